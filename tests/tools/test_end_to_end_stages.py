"""Training in stages on made images: eight types, then three from their weights; one type alone, joined by class."""

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from sartorius.annotations.coco import read_cell_types
from sartorius.engine import config as engine_config
from sartorius.predictions.store import load_predictions
from sartorius.utils.classes import CELL_TYPES, LIVECELL_LINES
from sartorius.utils.files import sha256_of

# No worker processes, and few cells: a model of one iteration takes everything for a cell.
LIGHT = [
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
    'model.test_cfg.rcnn.max_per_img=60',
    'model.test_cfg.rcnn.score_thr=0.0',
]


@pytest.fixture
def tool(repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a tool in this process, its work dirs in a folder of the test."""
    monkeypatch.setattr(engine_config, 'WORK_DIRS', tmp_path / 'runs')
    monkeypatch.chdir(repo_root)

    def run(name: str, *words: object) -> None:
        runpy.run_path(str(repo_root / 'tools' / f'{name}.py'))['main']([str(word) for word in words])

    return run


def log_of(run: Path) -> str:
    return next(run.glob('*/*.log')).read_text()


def scored_types(run: Path) -> set[str]:
    """Cell types of which validation said a score."""
    return set(re.findall(r'competition/(\w+):', log_of(run))) - {'mAP'}


@pytest.mark.slow
def test_three_types_start_from_eight_and_models_of_one_type_join(tool: Callable[..., None], tmp_path: Path) -> None:
    eight, three, runs = tmp_path / 'eight', tmp_path / 'three', tmp_path / 'runs'
    sizes = ['--size', '128x96', '--density', 3]
    tool('data/make_synthetic', '--form', 'livecell', '--out', eight, '--images', 8, '--test-images', 0, *sizes)
    tool('data/prepare_livecell', '--data-root', eight, '--out', eight / 'annotations', '--keep-incomplete')
    tool('data/make_synthetic', '--out', three, '--images', 12, '--test-images', 0, '--unlabelled-images', 0, *sizes)
    tool('prepare_sartorius', '--data-root', three, '--out', three / 'annotations', '--folds', 2)

    def train(config: str, data: Path, *words: object) -> None:
        folders = ['--data-root', data, '--annotations', data / 'annotations']
        tool('train', f'configs/{config}.py', '--small', *folders, '--iterations', 1, *words, '--cfg-options', *LIGHT)

    train('livecell/mrcnn_r50', eight)
    first = runs / 'livecell_mrcnn_r50_small'
    assert scored_types(first) == set(LIVECELL_LINES)

    train('sartorius/mrcnn_r50_livecell', three, '--fold', 1, '--from-scratch')
    second = runs / 'mrcnn_r50_livecell_small_fold1'
    said = f'starts from {first}/iter_1.pth: '
    random = 'at random, because their shapes differ: roi_head.bbox_head.fc_cls (9 to 4)\n'
    assert re.search(re.escape(said) + r"\d+ of the model's \d+ tensors; " + re.escape(random), log_of(second))
    assert json.loads((second / 'run.json').read_text())['weights']['sha256'] == sha256_of(first / 'iter_1.pth')

    train('sartorius/mrcnn_r50_cort', three, '--fold', 1)
    alone = runs / 'mrcnn_r50_cort_small_fold1'
    assert scored_types(alone) == {'cort'}

    files = []
    for config, folder in (('mrcnn_r50_livecell', second), ('mrcnn_r50_cort', alone)):
        files.append(folder / 'predictions_val.npz')
        words = ['--split', 'val', '--fold', 1, '--data-root', three, '--annotations', three / 'annotations']
        tool('test', f'configs/sartorius/{config}.py', folder / 'iter_1.pth', *words, '--cfg-options', *LIGHT)
    shown = read_cell_types(three / 'annotations' / 'fold1_val.json')
    assert set(shown.values()) == set(CELL_TYPES)
    general, cort = map(load_predictions, files)
    assert (general.source.cell_types, cort.source.cell_types) == ((), ('cort',))
    assert set(cort.image_ids) == set(general.image_ids) == set(shown)

    tool('ensemble', *files, '--method', 'specialists', '--score', 0, '--out', tmp_path / 'joined.npz')
    assert set(load_predictions(tmp_path / 'joined.npz').image_ids) == set(shown)
