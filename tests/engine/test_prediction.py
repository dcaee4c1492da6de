"""Prediction of a split: what is refused before the network runs, and what the source says of the inference mode."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sartorius.engine.prediction import PredictionOptions, predict_split
from sartorius.engine.run_config import DataOptions, RecipeOptions
from sartorius.inference import predictor
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CONFIG_DIR


class StandInRunner:
    """Keeps the config that it is built from; nothing is run."""

    configs: list = []
    model = torch.nn.Linear(1, 1)

    @classmethod
    def from_cfg(cls, config: object) -> 'StandInRunner':
        cls.configs.append(config)
        return cls()

    def __init__(self) -> None:
        self.logger = self
        self.warnings: list[str] = []

    def warning(self, message: str) -> None:
        StandInRunner.warnings.append(message)

    def test(self) -> None:
        pass


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint of the stand-in's model."""
    torch.save({'state_dict': StandInRunner.model.state_dict()}, tmp_path / 'model.pth')
    return tmp_path / 'model.pth'


@pytest.fixture
def predict(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Predicts two test images of 50x40 px, a and b, that nothing reads."""
    monkeypatch.setattr(predictor, 'PredictionRunner', StandInRunner)
    StandInRunner.configs, StandInRunner.warnings = [], []
    images = [
        {'id': number, 'file_name': f'test/{name}.png', 'height': 40, 'width': 50, 'image_id': name}
        for number, name in enumerate('ab')
    ]
    categories = [{'id': number, 'name': name} for number, name in enumerate(('shsy5y', 'astro', 'cort'))]
    (tmp_path / 'test.json').write_text(json.dumps({'images': images, 'categories': categories}))

    def run(*cfg_options: str, **options: object) -> Path:
        recipe = RecipeOptions(CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py', True, cfg_options)
        return predict_split(recipe, DataOptions(tmp_path, tmp_path), PredictionOptions(checkpoint, **options))

    return run


def put_boxes(path: Path, *names: str, size: tuple[int, int] = (40, 50), count: int = 1) -> Path:
    """One box per image, without a mask."""
    images = tuple(
        ImagePredictions(
            image_id=name,
            size=size,
            boxes=np.array([[1, 2, 11, 22]] * count, dtype=np.float32).reshape(-1, 4),
            scores=np.full(count, 0.5, np.float32),
            labels=np.zeros(count, np.int64),
            soft_masks=np.zeros((count, 0, 0), np.float32),
        )
        for name in names
    )
    save_predictions(path, PredictionSet(images))
    return path


def evaluator() -> dict:
    return StandInRunner.configs[-1].test_evaluator


def test_source_names_no_mode_that_was_not_used(predict: Callable[..., Path], checkpoint: Path) -> None:
    out = predict()
    assert out == checkpoint.parent / 'predictions_test.npz'
    assert evaluator().source['tta'] is False
    assert not {'tta_orientations', 'tta_scales', 'tiles', 'boxes'} & set(evaluator().source)
    assert evaluator().max_cells == 1000


def test_source_names_orientations_scales_tiles_and_boxes(
    predict: Callable[..., Path], checkpoint: Path, tmp_path: Path
) -> None:
    changes = ('tta_orientations=[none,rot90]', 'tta_scales=[2.0,2.5]', 'tiles.overlap=60')
    boxes = put_boxes(tmp_path / 'boxes.npz', 'a', 'b')
    out = predict(*changes, tta=True, tiles=True, boxes=boxes)
    assert out == checkpoint.parent / 'predictions_test_boxes.npz'
    # As it is read back from the file.
    source = json.loads(json.dumps(evaluator().source))
    assert source['tta'] is True
    assert source['tta_orientations'] == ['none', 'rot90']
    assert source['tta_scales'] == [2.0, 2.5]
    assert source['tiles'] == {'size': [520, 704], 'overlap': 60, 'scale': 2.0}
    assert source['boxes']['file'].endswith('boxes.npz') and len(source['boxes']['sha256']) == 64
    # Given boxes have no limit that could be reached.
    assert evaluator().max_cells is None
    assert StandInRunner.warnings == []


@pytest.mark.parametrize('count', [0, 1])
def test_images_without_boxes_are_named(predict: Callable[..., Path], tmp_path: Path, count: int) -> None:
    names = ('b',) if count else ('a', 'b')
    predict(boxes=put_boxes(tmp_path / 'boxes.npz', *names, count=count))
    assert len(StandInRunner.warnings) == 1
    expected = '1 of 2 images, which get no cells: a' if count else '2 of 2 images, which get no cells: a, b'
    assert StandInRunner.warnings[0].endswith(f'has no boxes for {expected}')


def test_images_that_are_not_predicted_are_refused(predict: Callable[..., Path], tmp_path: Path) -> None:
    boxes = put_boxes(tmp_path / 'boxes.npz', 'a', 'c', 'd')
    with pytest.raises(
        InputError, match=r'boxes\.npz: image c \(and 1 more\) is not among the 2 images of --split test'
    ):
        predict(boxes=boxes)
    assert not StandInRunner.configs


def test_boxes_of_other_sizes_are_refused(predict: Callable[..., Path], tmp_path: Path) -> None:
    boxes = put_boxes(tmp_path / 'boxes.npz', 'a', size=(80, 100))
    with pytest.raises(
        InputError, match='image a is 100x80 px, in the data it is 50x40; predict the boxes from the same'
    ):
        predict(boxes=boxes)


def test_the_boxes_are_not_overwritten(predict: Callable[..., Path], tmp_path: Path) -> None:
    boxes = put_boxes(tmp_path / 'boxes.npz', 'a')
    with pytest.raises(UsageError, match=r'--out .*boxes\.npz is the file of --boxes; choose another name'):
        predict(boxes=boxes, out=boxes)


def test_name_of_the_predictions_is_checked_first(predict: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'must end in \.npz'):
        predict(out=tmp_path / 'predictions.csv')


@pytest.mark.parametrize(
    ('mode', 'change', 'message'),
    [
        ('tta', 'tta_orientations=[none,vertcal]', "unknown orientation 'vertcal'; did you mean 'vertical'"),
        ('tiles', 'tiles.sise=(60,60)', r'the config has no tiles\.sise; did you mean tiles\.size'),
        ('tiles', 'tiles.overlap=600', 'less than a side of a tile'),
    ],
)
def test_unusable_settings_are_refused_first(
    predict: Callable[..., Path], mode: str, change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predict(change, **{mode: True})
    assert not StandInRunner.configs
