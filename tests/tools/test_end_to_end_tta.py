"""TTA, tiles and box prompts through the real command lines, with untrained models of all three kinds."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.predictions.coco_results import write_coco_results
from sartorius.predictions.store import load_predictions, read_header
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.paths import CONFIG_DIR

pytestmark = pytest.mark.slow

# Untrained models have low scores.
FEW = ('--cfg-options', 'model.test_cfg.rcnn.score_thr=0.0', 'model.test_cfg.rcnn.max_per_img=30')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory, run: Callable[..., str]) -> Path:
    """Two test images of 176x130 px and their annotations."""
    folder = tmp_path_factory.mktemp('inference')
    run(
        'tools/data/make_synthetic.py', '--out', str(folder / 'data'), '--images', '4', '--test-images', '2',
        '--unlabelled-images', '0', '--size', '176x130',
    )  # fmt: skip
    run(
        'tools/prepare_sartorius.py', '--data-root', str(folder / 'data'), '--out', str(folder / 'annotations'),
        '--folds', '2',
    )  # fmt: skip
    return folder


@pytest.fixture(scope='module')
def test(data: Path, run: Callable[..., str]) -> Callable[..., str]:
    """Runs tools/test.py with an untrained small model."""

    def run_test(name: str, *options: str, out: Path, code: int = 0) -> str:
        checkpoint = data / f'{name}.pth'
        if not checkpoint.exists():
            save_untrained(name, checkpoint)
        return run(
            'tools/test.py', f'configs/sartorius/{name}.py', str(checkpoint), '--small',
            '--data-root', str(data / 'data'),
            '--annotations', str(data / 'annotations'), '--out', str(out), *options,
            *([] if FEW[0] in options else FEW), code=code,
        )  # fmt: skip

    return run_test


def save_untrained(name: str, checkpoint: Path) -> None:
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(load_config(CONFIG_DIR / 'sartorius' / f'{name}.py', small=True).model)
    heads = model.roi_head.mask_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        # Probabilities from 0 to 1; untrained heads predict 0.5 everywhere.
        torch.nn.init.normal_(head.conv_logits.weight, std=5)
    torch.save({'state_dict': model.state_dict()}, checkpoint)


@pytest.fixture(scope='module')
def plain(data: Path, test: Callable[..., str]) -> Path:
    """Predictions of Mask R-CNN, in one pass and with TTA of tiles."""
    test('mrcnn_r50', out=data / 'plain.npz')
    test(
        'mrcnn_r50', '--tta', '--tiles', *FEW[:-1], 'model.test_cfg.rcnn.max_per_img=100',
        'tiles.size=(90,120)', 'tiles.overlap=40', 'tta_orientations=[none,rot90]',
        out=data / 'tta_tiles.npz',
    )  # fmt: skip
    return data


def test_tta_of_tiles_is_recorded_and_boxes_are_inside_the_image(plain: Path) -> None:
    predictions = load_predictions(plain / 'tta_tiles.npz')
    assert predictions.source.tta_orientations == ('none', 'rot90') and predictions.source.tta_scales == (1.6, 2.0)
    assert predictions.source.tiles == {'size': [90, 120], 'overlap': 40, 'scale': 2.0}
    # A config there would be taken for that of the training whose checkpoint lies in the folder.
    assert not list(plain.glob('*.py'))
    for image in predictions.images:
        # Of four tiles with up to 100 cells each.
        assert 100 < len(image) <= 400
        assert image.boxes.min() >= 0 and (image.boxes.max(axis=0) <= [176, 130, 176, 130]).all()
    # Some end right of the first tile, and some below it; those of the first tile end in it.
    assert (np.concatenate([image.boxes for image in predictions.images]).max(axis=0)[2:] > [120, 90]).all()


def test_a_models_own_boxes_get_its_own_masks(plain: Path, test: Callable[..., str]) -> None:
    test('mrcnn_r50', '--boxes', str(plain / 'plain.npz'), out=plain / 'again.npz')
    plain_predictions, again = load_predictions(plain / 'plain.npz').by_id(), load_predictions(plain / 'again.npz')
    assert again.source.boxes.file.endswith('plain.npz')
    for image in again.images:
        own = plain_predictions[image.image_id]
        assert len(image) > 0
        for name in ('boxes', 'scores', 'labels'):
            np.testing.assert_array_equal(getattr(image, name), getattr(own, name))
        # A step of the file is 1/255.
        np.testing.assert_allclose(image.soft_masks, own.soft_masks, atol=1.5 / 255)
        assert image.soft_masks.std() > 0.1


@pytest.mark.parametrize('name', ['mrcnn_r50', 'cmrcnn_r50', 'htc_r50'])
def test_any_model_predicts_masks_for_fused_boxes(
    plain: Path, test: Callable[..., str], run: Callable[..., str], name: str
) -> None:
    fused = plain / 'fused.npz'
    if not fused.exists():
        run(
            'tools/ensemble.py', str(plain / 'plain.npz'), str(plain / 'tta_tiles.npz'), '--boxes-only', '--score', '0',
            '--out', str(fused),
        )  # fmt: skip
    assert read_header(fused).grid == 0
    out = plain / f'{name}.npz'
    test(name, '--tta', '--boxes', str(fused), *FEW, 'tta_orientations=[none,diagonal]', out=out)
    given, pred = load_predictions(fused, boxes_allowed=True).by_id(), load_predictions(out)
    assert pred.source.tta_orientations == ('none', 'diagonal') and pred.source.tta_scales == (1.6, 2.0)
    for image in pred.images:
        assert len(image) == len(given[image.image_id]) > 30
        np.testing.assert_array_equal(image.boxes, given[image.image_id].boxes)
        np.testing.assert_array_equal(image.scores, given[image.image_id].scores)
        assert image.soft_masks.shape[1:] == (28, 28) and image.soft_masks.std() > 0.05


def test_boxes_of_another_detector(plain: Path, test: Callable[..., str], data: Path) -> None:
    """COCO results of one image of the two, with the ids of the annotations."""
    dataset = json.loads((data / 'annotations' / 'test.json').read_text())
    predictions = load_predictions(plain / 'plain.npz')
    write_coco_results(plain / 'results.json', predictions, dataset)
    results = json.loads((plain / 'results.json').read_text())
    first = dataset['images'][0]
    for result in results:
        del result['segmentation']
    (plain / 'results.json').write_text(json.dumps([one for one in results if one['image_id'] == first['id']]))
    output = test('mrcnn_r50', '--boxes', str(plain / 'results.json'), out=plain / 'prompted.npz')
    pred = load_predictions(plain / 'prompted.npz').by_id()
    name, other = (Path(image['file_name']).stem for image in dataset['images'])
    assert f'has no boxes for 1 of 2 images, which get no cells: {other}' in output
    assert len(pred[other]) == 0
    np.testing.assert_allclose(pred[name].boxes, predictions.by_id()[name].boxes, atol=1e-4)
    assert pred[name].has_masks
    unknown = [dict(results[0], image_id='elsewhere')]
    (plain / 'results.json').write_text(json.dumps(unknown))
    output = test('mrcnn_r50', '--boxes', str(plain / 'results.json'), out=plain / 'prompted.npz', code=1)
    assert "image_id 'elsewhere' is not in the COCO dataset" in output.splitlines()[-1]


def test_tiff_of_16_bits_and_odd_size(tmp_path: Path, run: Callable[..., str]) -> None:
    """An image of 1024x1022 px, larger than any that the configs were made for."""
    folder = os.environ.get('USIIGACI_DATA')
    images = sorted(Path(folder).glob('*/raw.tif')) if folder else []
    if not images:
        pytest.skip('needs 16-bit images: set USIIGACI_DATA to the folder that holds set1/raw.tif and others')
    content = {
        'images': [{'id': 1, 'file_name': str(images[0].relative_to(folder)), 'height': 1022, 'width': 1024}],
        'categories': [{'id': number, 'name': name} for number, name in enumerate(CELL_TYPES)],
        'annotations': [],
    }
    (tmp_path / 'test.json').write_text(json.dumps(content))
    save_untrained('mrcnn_r50', tmp_path / 'untrained.pth')
    run(
        'tools/test.py', 'configs/sartorius/mrcnn_r50.py', str(tmp_path / 'untrained.pth'), '--small', '--tiles',
        '--data-root', folder,
        '--annotations', str(tmp_path), '--out', str(tmp_path / 'predictions.npz'), *FEW,
    )  # fmt: skip
    (image,) = load_predictions(tmp_path / 'predictions.npz').images
    assert image.size == (1022, 1024)
    # Each of six tiles gives up to 30.
    assert 30 < len(image) <= 180
    assert image.boxes.min() >= 0 and (image.boxes.max(axis=0) <= [1024, 1022, 1024, 1022]).all()
