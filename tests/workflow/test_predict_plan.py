"""Images in batches: how a list is cut, what the stages are, and which of them a change concerns."""

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartorius.engine.image_prediction.model import ImageOptions
from sartorius.engine.image_prediction.parts import Batch, read_image_list, write_image_list
from sartorius.images.files import ImageFile
from sartorius.utils.errors import InputError, UsageError
from sartorius.workflow.predict_plan import _OPTIONS, PredictWorkflow, forget_incomplete_batches, make_predict_plan
from sartorius.workflow.settings import read_workflow


@pytest.fixture
def images(tmp_path: Path) -> list[ImageFile]:
    images = [ImageFile(tmp_path / f'{number}, a.png', f'A/{number}, a') for number in range(5)]
    for image in images:
        image.path.write_bytes(b'x')
    (tmp_path / 'model.pth').write_bytes(b'm')
    return images


def settings(tmp_path: Path, **values: object) -> PredictWorkflow:
    return PredictWorkflow(batch_size=2, model=str(tmp_path / 'model.pth'), **values)


@given(st.integers(1, 100), st.integers(1, 120))
def test_batches_hold_every_image_once_in_order(images: int, count: int) -> None:
    listed = [ImageFile(Path(f'{number}.png'), str(number)) for number in range(images)]
    batches = [Batch(number, count).of(listed) for number in range(1, count + 1)]
    assert sum(batches, []) == listed
    assert max(map(len, batches)) - min(map(len, batches)) <= 1


@pytest.mark.parametrize('text', ['0/3', '4/3', '3', '1/0', '-1/3', 'a/b', '1/3/5'])
def test_batches_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match='--batch is .*; write K/N'):
        Batch.parse(text)
    assert Batch.parse('3/40') == Batch(3, 40)


def test_a_list_of_images_is_read_as_written(tmp_path: Path, images: list[ImageFile]) -> None:
    write_image_list(tmp_path / 'list.csv', images)
    assert read_image_list(tmp_path / 'list.csv') == images
    (tmp_path / 'list.csv').write_text('name\nx\n')
    with pytest.raises(InputError, match='a list of images has the columns image, path'):
        read_image_list(tmp_path / 'list.csv')


def test_a_changed_image_or_model_concerns_its_batches(tmp_path: Path, images: list[ImageFile]) -> None:
    out, workflow = tmp_path / 'out', settings(tmp_path)
    before = make_predict_plan(workflow, images, out)
    assert [(stage.key, stage.amount) for stage in before] == [
        ('predict/0001', '1 images'),
        ('predict/0002', '2 images'),
        ('predict/0003', '2 images'),
        ('merge/all', ''),
    ]
    assert [stage.key for stage in before.needs(before.stages['merge/all'])] == list(before.stages)[:3]
    images[1].path.write_bytes(b'xy')
    after = make_predict_plan(workflow, images, out)
    changed = [one.key for one, other in zip(before, after, strict=True) if one != other]
    assert changed == ['predict/0002']
    (tmp_path / 'model.pth').write_bytes(b'n')
    assert all(one != other for one, other in zip(after, make_predict_plan(workflow, images, out), strict=True))


def test_a_batch_of_which_a_file_is_gone_is_not_done(tmp_path: Path, images: list[ImageFile]) -> None:
    out, workflow = tmp_path / 'out', settings(tmp_path)
    plan = make_predict_plan(workflow, images, out)
    done = Batch(1, 3).file(out)
    done.parent.mkdir(parents=True)
    done.touch()
    forget_incomplete_batches(plan, workflow, images)
    assert not done.exists()


def test_every_option_of_an_image_is_a_key(tmp_path: Path, images: list[ImageFile]) -> None:
    names = {'pixel_size_um': 'pixel_size'}
    assert {names.get(one.name, one.name) for one in fields(ImageOptions)} == {*_OPTIONS, 'levels'} - {'config'}
    workflow = settings(tmp_path, levels=(-1.0, 5.5), min_score=0.0, exclude_border=True, channel=1, z='max')
    words = make_predict_plan(workflow, images, tmp_path / 'out').stages['predict/0001'].words
    text = ' '.join(words)
    for part in ('--levels=-1:5.5', '--min-score 0.0', '--exclude-border', '--channel 1', '--z max', '--batch 1/3'):
        assert part in text
    assert '--tta' not in words and '--scale' not in words


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('batch_size: 0', 'batch_size is 0; it must be 1 or more'),
        ('batch_size: 5\nminscore: .5', "unknown key 'minscore'; did you mean 'min_score'"),
        ('batch_size: 5\ntiles: maybe', 'tiles'),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / 'mine.yaml').write_text(text)
    with pytest.raises(InputError, match=message):
        read_workflow(tmp_path / 'mine.yaml')
