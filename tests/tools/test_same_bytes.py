"""The same commands on the same input give the same bytes, whatever the folder, hour, time zone and hash seed.

Run as a script it is one process that runs all tools, one after the other, in the current folder.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.annotations.reading import load_annotations
from sartorius.predictions.provenance import DataRecord, ModelSource, RunData, RunRecord
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet

TRUTH = 'annotations/all.json'
FIRST = """
    data.make_synthetic --out data --images 8 --test-images 2 --unlabelled-images 2 --size 96x80 --seed 1
    data.make_synthetic --out livecell --form livecell --images 4 --size 96x80 --seed 1
    prepare_sartorius --data-root data --out annotations --folds 2
    data.prepare_livecell --data-root livecell --keep-incomplete --out livecell_prepared
    analysis.data_report data/train.csv --images data/train --folds annotations/folds.csv --out data_report
    data.clean_masks data/train.csv --out clean/train.csv --report clean/report
"""
WITH_PREDICTIONS = f"""
    ensemble a/predictions_val.npz b/predictions_val.npz --out fused.npz
    ensemble a/predictions_val.npz b/predictions_val.npz --method wbf --boxes-only --out boxes.npz
    tune a/predictions_val.npz --annotations {TRUTH} --folds 2 --out tuned
    make_submission fused.npz --postprocess tuned/postprocess.json --out submission.csv
    score_submission submission.csv data/train.csv --per-image scores.csv
    analysis.report fused.npz --images data/train --annotations {TRUTH} --errors errors.csv --out report
    export fused.npz --images data/train --out own --format masks rois table geojson overlay coco seg
    analysis.leaderboard a b --annotations {TRUTH} --out results.md
    analysis.ablation a/predictions_val.npz --annotations {TRUTH} --folds 2 --out ablation
    analysis.missing_cells a/predictions_val.npz --annotations {TRUTH} --images data/train --out missing
    data.prepare_images data/train --labels own --format masks --out own_prepared --folds 2
    data.pseudo_label --all-data unlabelled.npz --train-csv data/train.csv --out pseudo/train.csv
"""


@pytest.mark.slow
def test_the_same_commands_give_the_same_bytes(repo_root: Path, tmp_path: Path) -> None:
    contents, said = [], []
    for place, environment in (
        ('one', {'PYTHONHASHSEED': '1', 'TZ': 'UTC', 'OMP_NUM_THREADS': '1'}),
        (
            'two/longer name',
            {'PYTHONHASHSEED': '2', 'TZ': 'Asia/Tokyo', 'OMP_NUM_THREADS': '2', 'TMPDIR': str(tmp_path)},
        ),
    ):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        done = subprocess.run(
            [sys.executable, __file__],
            cwd=folder,
            env={**os.environ, 'PYTHONPATH': str(repo_root), **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said.append(done.stdout)
        files = (path for path in folder.rglob('*') if path.is_file())
        contents.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})
    assert said[0] == said[1]
    assert contents[0].keys() == contents[1].keys() and len(contents[0]) > 100
    assert [name for name, content in contents[0].items() if content != contents[1][name]] == []
    places = (str(tmp_path).encode(), str(repo_root).encode())
    assert [name for name, content in contents[0].items() if any(place in content for place in places)] == []


def write_predictions(path: str, seed: int, source: ModelSource, images: dict) -> None:
    """Predictions like the annotated cells, displaced and with scores at random."""
    rng, predictions = np.random.default_rng(seed), []
    for image_id, image in images.items():
        windows = np.array([crop.window for crop in image.crops], np.float32).reshape(-1, 4)
        grids = [cv2.resize(crop.mask.astype(np.float32), (28, 28)) for crop in image.crops]
        predictions.append(
            ImagePredictions(
                image_id=image_id,
                size=image.size,
                boxes=windows + rng.normal(0, 0.4, windows.shape).astype(np.float32),
                scores=rng.uniform(0.2, 1, len(windows)).astype(np.float32),
                labels=image.labels,
                soft_masks=np.stack(grids) if grids else np.zeros((0, 28, 28), np.float32),
            )
        )
    save_predictions(path, PredictionSet(tuple(predictions), images.classes, source))


def run_tools(commands: str) -> None:
    for command in commands.strip().splitlines():
        name, *words = command.split()
        importlib.import_module(f'tools.{name}').main(words)


def make_predictions() -> None:
    truth = load_annotations(TRUTH)
    data = RunData(train=DataRecord(file='other.json', sha256='0' * 64, split='train'))
    for seed, name in enumerate('ab'):
        run = RunRecord(recipe=name, data=data)
        source = ModelSource(checkpoint=f'{name}.pth', checkpoint_sha256=name * 64, split='val', run=run)
        write_predictions(f'{name}/predictions_val.npz', seed, source, truth)
    renamed = [Path(path).stem for path in sorted(Path('data/train_semi_supervised').glob('*.png'))]
    images = type(truth)(dict(zip(renamed, truth.values(), strict=False)), truth.classes)
    write_predictions('unlabelled.npz', 2, ModelSource(split='unlabelled', run=run), images)


if __name__ == '__main__':
    run_tools(FIRST)
    make_predictions()
    run_tools(WITH_PREDICTIONS)
