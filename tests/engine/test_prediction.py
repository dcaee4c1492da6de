"""What tools/test.py refuses before the network runs, and what it says of the way it predicted."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from sartorius.engine import prediction
from sartorius.engine.prediction import predict_split
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CONFIG_DIR


class StandInRunner:
    """Keeps the config that it is made from; nothing is trained, nothing is run."""

    configs: list = []

    @classmethod
    def from_cfg(cls, config: object) -> 'StandInRunner':
        cls.configs.append(config)
        return cls()

    def __init__(self) -> None:
        self.logger = self
        self.said: list[str] = []

    def warning(self, message: str) -> None:
        StandInRunner.said.append(message)

    def test(self) -> None:
        pass


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """A checkpoint without weights and two test images of 50x40 px, a and b, that nothing looks at."""
    monkeypatch.setattr(prediction, 'Runner', StandInRunner)
    StandInRunner.configs, StandInRunner.said = [], []
    images = [
        {'id': number, 'file_name': f'test/{name}.png', 'height': 40, 'width': 50} for number, name in enumerate('ab')
    ]
    categories = [{'id': number, 'name': name} for number, name in enumerate(('shsy5y', 'astro', 'cort'))]
    (tmp_path / 'test.json').write_text(json.dumps({'images': images, 'categories': categories}))
    torch.save({'state_dict': {}}, tmp_path / 'model.pth')
    return Namespace(
        config=CONFIG_DIR / 'demo' / 'mrcnn_r18.py',
        checkpoint=tmp_path / 'model.pth',
        split='test',
        tta=False,
        tiles=False,
        boxes=None,
        out=None,
        data_root=tmp_path,
        annotations=tmp_path,
        fold=None,
        cfg_options=[],
    )


def put_boxes(path: Path, *names: str, size: tuple[int, int] = (40, 50), count: int = 1) -> Path:
    """One box an image, without a mask."""
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


def test_predictions_say_nothing_of_ways_that_were_not_taken(options: Namespace) -> None:
    out = predict_split(options)
    assert out == options.checkpoint.parent / 'predictions_test.npz'
    assert evaluator().source['tta'] is False
    assert not {'tta_orientations', 'tta_scales', 'tiles', 'boxes'} & set(evaluator().source)
    assert evaluator().max_cells == 1000


def test_predictions_say_which_views_scales_tiles_and_boxes(options: Namespace, tmp_path: Path) -> None:
    options.tta = options.tiles = True
    options.cfg_options = ['tta_orientations=[none,rot90]', 'tta_scales=[2.0,2.5]', 'tiles.margin=30']
    options.boxes = put_boxes(tmp_path / 'boxes.npz', 'a', 'b')
    out = predict_split(options)
    assert out == options.checkpoint.parent / 'predictions_test_boxes.npz'
    # As it is read back from the file.
    source = json.loads(json.dumps(evaluator().source))
    assert source['tta'] is True
    assert source['tta_orientations'] == ['none', 'rot90']
    assert source['tta_scales'] == [2.0, 2.5]
    assert source['tiles'] == {'size': [520, 704], 'margin': 30, 'scale': 2.0}
    assert source['boxes']['file'].endswith('boxes.npz') and len(source['boxes']['sha256']) == 64
    # Given cells have no limit that could be reached.
    assert evaluator().max_cells is None
    assert StandInRunner.said == []


@pytest.mark.parametrize('count', [0, 1])
def test_images_without_boxes_are_told(options: Namespace, tmp_path: Path, count: int) -> None:
    names = ('b',) if count else ('a', 'b')
    options.boxes = put_boxes(tmp_path / 'boxes.npz', *names, count=count)
    predict_split(options)
    assert len(StandInRunner.said) == 1
    told = '1 of 2 images, which get no cells: a' if count else '2 of 2 images, which get no cells: a, b'
    assert StandInRunner.said[0].endswith(f'has no boxes for {told}')


def test_images_that_are_not_predicted_are_refused(options: Namespace, tmp_path: Path) -> None:
    options.boxes = put_boxes(tmp_path / 'boxes.npz', 'a', 'c', 'd')
    with pytest.raises(
        InputError, match=r'boxes\.npz: image c \(and 1 more\) is not among the 2 images of --split test'
    ):
        predict_split(options)
    assert not StandInRunner.configs


def test_boxes_of_other_sizes_are_refused(options: Namespace, tmp_path: Path) -> None:
    options.boxes = put_boxes(tmp_path / 'boxes.npz', 'a', size=(80, 100))
    with pytest.raises(InputError, match='image a is 100x80 px, in the data it is 50x40; find the boxes in the same'):
        predict_split(options)


def test_the_boxes_are_not_overwritten(options: Namespace, tmp_path: Path) -> None:
    options.boxes = options.out = put_boxes(tmp_path / 'boxes.npz', 'a')
    with pytest.raises(UsageError, match=r'--out .*boxes\.npz is the file of --boxes; choose another name'):
        predict_split(options)


def test_name_of_the_predictions_is_checked_first(options: Namespace, tmp_path: Path) -> None:
    options.out = tmp_path / 'predictions.csv'
    with pytest.raises(UsageError, match=r'must end in \.npz'):
        predict_split(options)


@pytest.mark.parametrize(
    ('way', 'option', 'message'),
    [
        ('tta', 'tta_orientations=[none,vertcal]', "unknown view 'vertcal'; did you mean 'vertical'"),
        ('tiles', 'tiles.sise=(60,60)', r'the config has no tiles\.sise; did you mean tiles\.size'),
        ('tiles', 'tiles.margin=300', 'under half a tile'),
    ],
)
def test_misspelt_ways_are_refused_first(options: Namespace, way: str, option: str, message: str) -> None:
    setattr(options, way, True)
    options.cfg_options = [option]
    with pytest.raises(InputError, match=message):
        predict_split(options)
    assert not StandInRunner.configs
