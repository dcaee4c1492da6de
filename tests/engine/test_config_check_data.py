"""Anchors, limits and files, checked on synthetic data whose right answers are known."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sartorius.engine.config import load_config
from sartorius.engine.config_check import check_before_training, check_config
from sartorius.engine.config_check.anchors import best_ious
from sartorius.engine.config_check.data import max_in_window
from sartorius.engine.config_check.report import Report
from sartorius.engine.config_check.shown_sizes import shown_sizes
from sartorius.engine.run_config import DataOptions, RecipeOptions, build_train_config
from sartorius.utils.errors import InputError
from sartorius.utils.paths import CHECKOUT, CONFIG_DIR

CONFIG = CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope('mmdet')


def write_split(folder: Path, name: str, cells: list[list[float]], image: str = 'a.png', **info: str) -> None:
    """One image of 200 x 300 px with boxes ``x, y, width, height`` of the first class."""
    content = {
        'info': info,
        'images': [{'id': 1, 'file_name': image, 'height': 200, 'width': 300}],
        'categories': [{'id': number, 'name': name} for number, name in enumerate(('shsy5y', 'astro', 'cort'))],
        'annotations': [
            {'id': number, 'image_id': 1, 'category_id': 0, 'segmentation': [x, y, x + w, y, x + w, y + h, x, y + h]}
            for number, (x, y, w, h) in enumerate(cells)
        ],
    }
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Training and validation image with four cells of 16 x 16 px each."""
    cells = [[x, 20.0, 16.0, 16.0] for x in (20.0, 60.0, 100.0, 140.0)]
    write_split(tmp_path, 'fold0_train.json', cells)
    write_split(tmp_path, 'fold0_val.json', cells, 'b.png')
    for name in 'ab':
        (tmp_path / f'{name}.png').touch()
    return tmp_path


def checked(folder: Path, **options: Any) -> Report:
    return check_config(train_config(folder, **options), CONFIG)


def train_config(folder: Path, **options: Any) -> Config:
    words = tuple(f'{key}={value}'.replace(' ', '') for key, value in options.items())
    return build_train_config(RecipeOptions(CONFIG, small=True, cfg_options=words), DataOptions(folder, folder))


def messages(report: Report, level: str, topic: str) -> list[str]:
    return [entry.text for entry in report.messages if (entry.level, entry.topic) == (level, topic)]


def test_a_config_that_fits_has_no_errors_and_no_warnings(folder: Path) -> None:
    report = checked(folder)
    assert (report.count('error'), report.count('warning')) == (0, 0), report.to_text()
    assert {entry.topic for entry in report.messages} == {'keys', 'files', 'limits', 'anchors'}
    assert 'at most 4 cells per image (a)' in messages(report, 'ok', 'limits')[0]


@pytest.mark.parametrize(
    'generator',
    [
        dict(type='AnchorGenerator', strides=[4, 8, 16], ratios=[0.5, 1.0, 2.0], scales=[4]),
        dict(type='AnchorGenerator', strides=[8, 16], ratios=[1.0], scales=[2, 3], center_offset=0.5),
        dict(type='AnchorGenerator', strides=[(16, 8)], ratios=[1.0], base_sizes=[20], scales=[1.0]),
    ],
)
def test_best_ious_against_all_anchors(generator: dict[str, Any]) -> None:
    """Boxes inside, at the border and beyond it, of all shapes."""
    built = TASK_UTILS.build(generator)
    height, width = 90, 130
    random = np.random.default_rng(0)
    corners = random.uniform((-10, -10), (width, height), (300, 2))
    boxes = np.concatenate([corners, corners + random.uniform(2, 100, (300, 2))], axis=1)
    grids = [(-(-height // down), -(-width // across)) for across, down in built.strides]
    anchors = torch.cat(built.grid_priors(grids, device='cpu')).double()
    expected = bbox_overlaps(torch.from_numpy(boxes), anchors).max(dim=1).values.numpy()
    sizes = np.tile([height, width], (300, 1)).astype(float)
    np.testing.assert_allclose(best_ious(boxes, sizes, built), expected, atol=1e-6)


@pytest.mark.parametrize(
    ('side', 'fix'),
    [(2.0, r'lower .*anchor_generator\.scales'), (190.0, r'raise .*anchor_generator\.scales')],
)
def test_cells_that_no_anchor_fits(folder: Path, side: float, fix: str) -> None:
    write_split(folder, 'fold0_train.json', [[5.0, 5.0, side, side]] * 3)
    options = {
        'model.rpn_head.anchor_generator.strides': [4, 8, 16, 32, 64],
        'model.rpn_head.anchor_generator.scales': [2],
    }
    (found,) = messages(checked(folder, **options), 'warning', 'anchors')
    assert 'shsy5y 0.0 %' in found
    assert re.search(fix, found)


@pytest.mark.parametrize(
    ('step', 'factors', 'sizes'),
    [
        (dict(type='Resize', scale=(600, 400), keep_ratio=True), (2, 2, 2), [(400, 600)] * 3),
        (dict(type='Resize', scale_factor=1.5), (1.5, 1.5, 1.5), [(300, 450)] * 3),
        # 300 is fitted into 999, 200 into the short edge.
        (
            dict(type='RandomChoiceResize', scales=[(999, 400), (999, 200), (999, 300)], keep_ratio=True),
            (1, 1.5, 2),
            [(200, 300), (300, 450), (400, 600)],
        ),
        (
            dict(type='RandomResize', scale=(300, 200), ratio_range=(0.5, 2.0), keep_ratio=True),
            (0.5, 1, 2),
            [(100, 150), (200, 300), (400, 600)],
        ),
        (
            dict(type='RandomTile', tile_size=(50, 100), scale_range=(1, 4)),
            (1, 2, 4),
            [(50, 100), (100, 200), (200, 400)],
        ),
        (dict(type='RandomCellCrop', crop_size=(64, 32)), (1, 1, 1), [(64, 32)] * 3),
        (dict(type='RandomFlip', prob=0.5), (1, 1, 1), [(200, 300)] * 3),
    ],
)
def test_output_sizes_of_a_pipeline(step: dict[str, Any], factors: tuple[float, ...], sizes: list[Any]) -> None:
    outputs = shown_sizes([step], (200, 300))
    assert [output.size for output in outputs] == sizes
    np.testing.assert_allclose([output.factors for output in outputs], [(factor, factor) for factor in factors])


def test_densest_window() -> None:
    """Nine cells in a corner of 30 px, one far from it; an image that the window covers has them all."""
    near = [(10.0 * x, 10.0 * y, 10.0 * x + 4, 10.0 * y + 4) for x in range(3) for y in range(3)]
    boxes = np.array([*near, (180.0, 180.0, 184.0, 184.0)])
    assert max_in_window(boxes, (200, 200), (40.0, 40.0)) == 9
    assert max_in_window(boxes, (200, 200), (500.0, 500.0)) == 10
    assert max_in_window(boxes[:0], (200, 200), (40.0, 40.0)) == 0


@pytest.mark.parametrize(
    ('options', 'level', 'message'),
    [
        ({'model.test_cfg.rcnn.max_per_img': 3}, 'error', 'max_per_img is 3, and a has 4 cells'),
        ({'model.test_cfg.rcnn.max_per_img': 4}, 'error', None),
        ({'model.roi_head.bbox_head.num_classes': 80}, 'error', 'bbox_head.num_classes is 80, the data set has 3'),
        ({'model.test_cfg.rpn.max_per_img': 7}, 'warning', 'test_cfg.rpn.max_per_img is 7, .*at least 8'),
        ({'model.train_cfg.rpn_proposal.nms_pre': 5}, 'warning', 'rpn_proposal.nms_pre is 5.* have 3 cells'),
    ],
)
def test_limits(folder: Path, options: dict[str, Any], level: str, message: str | None) -> None:
    found = messages(checked(folder, **options), level, 'limits')
    assert len(found) == (message is not None)
    if message is not None:
        assert re.search(message, found[0])


def test_sampler_that_draws_fewer_cells_than_it_sees(folder: Path) -> None:
    """60 cells evenly over 200 x 300 px; a tile of 96 px shows 9 of them."""
    cells = [[20.0 * x + 2, 20.0 * y + 2, 16.0, 16.0] for x in range(15) for y in range(4)]
    write_split(folder, 'fold0_train.json', cells)
    few = {'model.train_cfg.rcnn.sampler.num': 16}
    (found,) = messages(checked(folder, **few), 'warning', 'limits')
    assert 'draws 8 positives (num x pos_fraction), and 9 cells' in found
    assert messages(checked(folder), 'warning', 'limits') == []


def test_missing_files_are_named(folder: Path) -> None:
    (folder / 'a.png').unlink()
    (folder / 'fold0_val.json').unlink()
    found = messages(checked(folder, load_from='/nowhere/weights.pth'), 'error', 'files')
    assert any('fold0_val.json: no such annotation file; tools/prepare_sartorius.py makes it' in text for text in found)
    assert any('1 of 1 training images are missing' in text and 'a.png' in text for text in found)
    assert any('load_from: /nowhere/weights.pth: no such checkpoint' in text for text in found)


@pytest.mark.parametrize(
    ('image', 'set_id', 'message'),
    [
        ('b.png', 'one', None),
        ('b.png', 'other', 'were not prepared together; prepare the data anew'),
        ('a.png', 'one', r'1 images are in both .*, the first is .*a\.png; a model must not be scored on images'),
    ],
)
def test_training_and_validation_images_belong_together(
    folder: Path, image: str, set_id: str, message: str | None
) -> None:
    write_split(folder, 'fold0_train.json', [[20, 20, 16, 16]], set_id='one')
    write_split(folder, 'fold0_val.json', [[20, 20, 16, 16]], image, set_id=set_id)
    errors = checked(folder).to_text('error')
    assert re.search(message, errors) if message else 'files' not in errors


def test_keys_are_checked_without_data(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    report = checked(folder)
    assert messages(report, 'error', 'keys') == []
    assert messages(report, 'ok', 'keys') == ['no unknown key or type; the model can be built']
    assert len(messages(report, 'error', 'files')) == 2
    assert len(messages(checked(folder, **{'model.backbone.depth': 19}), 'error', 'keys')) == 1


def test_weights_at_a_url_are_not_fetched(folder: Path) -> None:
    found = messages(checked(folder, load_from='https://nowhere.invalid/weights.pth'), 'ok', 'files')
    assert any('load_from: weights.pth will be downloaded' in text for text in found)


def test_training_stops_at_errors_and_goes_on_with_warnings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = train_config(folder, **{'model.test_cfg.rpn.max_per_img': 7})
    check_before_training(config, str(CONFIG))
    assert 'warning  limits   model.test_cfg.rpn.max_per_img' in capsys.readouterr().out
    config.model.roi_hed = config.model.pop('roi_head')
    with pytest.raises(InputError, match="training has not started; errors: 1\nerror .*did you mean 'roi_head'"):
        check_before_training(config, str(CONFIG))


def test_other_files_are_no_config_of_a_training() -> None:
    path = CONFIG_DIR / 'ensemble' / 'wbf.py'
    with pytest.raises(InputError, match='wbf.py: has no model, so it is no training config'):
        check_config(load_config(path), path)


def test_tool_says_how_many_errors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(CHECKOUT / 'tools' / 'analysis/check_config.py'))['main']
    words = [str(CONFIG), '--small', '--data-root', str(folder), '--annotations', str(folder)]
    assert main(words) == 0
    assert 'mrcnn_r50.py: errors: 0, warnings: 0' in capsys.readouterr().out
    assert main([*words, '--cfg-options', 'model.test_cfg.rcnn.max_per_img=1']) == 1
    assert 'errors: 1' in capsys.readouterr().out
