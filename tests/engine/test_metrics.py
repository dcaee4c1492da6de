"""Warnings of validation and prediction: images that reach the model's limit on cells, cells that tiles cut."""

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.engine.metrics import CompetitionMetric, DumpPredictions
from sartorius.masks.crop import MaskCrop
from sartorius.models.outputs import to_image_predictions
from sartorius.postprocess.chain import build_chain
from sartorius.predictions.store import load_predictions
from sartorius.predictions.timing import read_seconds_per_image
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (20, 60)
LIMIT = 3


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """Warnings of the run's log that speak of a limit or of cut cells."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.addFilter(lambda record: re.search('limit|cut', record.getMessage()) is not None)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def sample(image_id: str, cells: int, **meta: int) -> dict:
    """A data sample as the evaluator passes it: boxes of 10x10 px side by side, all of one type."""
    boxes = torch.tensor([[12.0 * number, 2, 12 * number + 10, 12] for number in range(cells)]).reshape(-1, 4)
    pred = {
        'bboxes': boxes,
        'scores': torch.full((cells,), 0.9),
        'labels': torch.ones(cells, dtype=torch.int64),
        'masks': torch.ones(cells, 28, 28),
    }
    return {'img_id': image_id, 'ori_shape': SIZE, 'pred_instances': pred, **meta}


@pytest.mark.parametrize(
    ('samples', 'warning'),
    [
        pytest.param([sample('a', 0), sample('b', 2)], None, id='none'),
        pytest.param([sample('a', 3), sample('b', 2)], '1 of 2 images reach .* 3 cells .*: a; raise max_', id='one'),
        # The merged result holds less than the passes that reached the limit.
        pytest.param([sample('a', 1, max_cells=3), sample('b', 2, max_cells=2)], '1 of 2 .*: a; raise', id='a pass'),
        pytest.param([sample(name, 4) for name in 'abcde'], '5 of 5 .*: a, b, c and 2 more; raise', id='many'),
    ],
)
def test_prediction_warns_of_images_at_the_limit(
    tmp_path: Path, warnings: list[str], samples: list[dict], warning: str | None
) -> None:
    metric = DumpPredictions(str(tmp_path / 'predictions.npz'), CELL_TYPES, {'kind': 'model'}, max_cells=LIMIT)
    metric.process(None, samples)
    cells = sum(len(entry['pred_instances']['scores']) for entry in samples)
    assert metric.evaluate(len(samples)) == {'images': len(samples), 'cells': cells}
    predictions = load_predictions(tmp_path / 'predictions.npz')
    assert [len(image) for image in predictions.images] == [len(entry['pred_instances']['scores']) for entry in samples]
    assert len(warnings) == (0 if warning is None else 1)
    assert warning is None or re.search(warning, warnings[0])


def test_prediction_warns_of_cells_that_tiles_cut(tmp_path: Path, warnings: list[str]) -> None:
    metric = DumpPredictions(str(tmp_path / 'predictions.npz'), CELL_TYPES)
    metric.process(None, [sample('a', 2, cut_cells=0), sample('b', 2, cut_cells=1), sample('c', 2, cut_cells=2)])
    metric.evaluate(3)
    assert len(warnings) == 1
    assert re.match(r'3 cells are cut at the border of a tile, in b, c; raise tiles\.overlap', warnings[0])


def test_how_long_it_took_stands_beside_the_predictions_and_not_in_them(tmp_path: Path) -> None:
    contents = []
    for pause in (0.0, 0.02):
        metric = DumpPredictions(str(tmp_path / 'predictions.npz'), CELL_TYPES)
        metric.process(None, [sample('a', 2)])
        time.sleep(pause)
        metric.process(None, [sample('b', 2)])
        metric.evaluate(2)
        assert pause <= read_seconds_per_image(metric.out) < 1
        contents.append(metric.out.read_bytes())
    assert contents[0] == contents[1]
    metric.out.write_bytes(b'another file')
    assert read_seconds_per_image(metric.out) is None


def competition_metric(folder: Path, **more: int) -> CompetitionMetric:
    """Of the ground truth: image a with one cell, the first of :func:`sample`, and image b without any."""
    crop = MaskCrop(np.ones((10, 10), dtype=bool), 0, 2)
    images = [CocoImage('a.png', SIZE, cells_from_crops([crop], 1, SIZE)), CocoImage('b.png', SIZE)]
    write_coco(folder / 'gt.json', images, CELL_TYPES, {})
    return CompetitionMetric(str(folder / 'gt.json'), **more)


def test_validation_counts_predictions_before_the_chain(tmp_path: Path, warnings: list[str]) -> None:
    chain = build_chain([dict(type='ScoreThreshold', threshold=0.95), dict(type='RemoveOverlap')])
    samples = [sample('a', 3), sample('b', 2)]
    for entry in samples:
        entry['cells'] = chain(to_image_predictions(entry))
        assert len(entry['cells']) == 0
    metric = competition_metric(tmp_path, max_cells=LIMIT)
    metric.process(None, samples)
    # The cell of image a is an fn; image b, without cells, scores 1.
    assert metric.evaluate(2) == {'competition/mAP': 0.5, 'competition/astro': 0.0, 'competition/none': 1.0}
    assert len(warnings) == 1
    assert warnings[0].startswith('1 of 2 images reach the limit of 3 cells')


def test_validation_needs_the_chain(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='PostprocessHook'):
        competition_metric(tmp_path).process(None, [sample('a', 1)])
