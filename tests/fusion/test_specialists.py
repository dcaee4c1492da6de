"""A general model decides what an image shows, and that type's own model gives the cells."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sartorius.fusion import fuse
from sartorius.fusion.recipe import build_recipe, load_recipe
from sartorius.fusion.specialists import trained_for
from sartorius.postprocess.steps import VoteClass
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.provenance import (
    ConcatenatedSource,
    ForeignSource,
    FusedSource,
    Member,
    ModelSource,
    RunRecord,
)
from sartorius.predictions.store import load_predictions, quantise, save_predictions
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError

SIZE = (40, 60)
SHSY5Y, ASTRO, CORT = range(3)


def image(image_id: str, cells: list[tuple[int, float]], seed: int = 0, grid: int = 8) -> ImagePredictions:
    """Boxes side by side; a cell is its label and score."""
    rng = np.random.default_rng([seed, *image_id.encode()])
    corners = np.array([[3 + 8 * number, 5] for number in range(len(cells))], dtype=np.float32).reshape(-1, 2)
    return ImagePredictions(
        image_id=image_id,
        size=SIZE,
        boxes=np.concatenate([corners, corners + (7, 9 + seed)], axis=1).astype(np.float32),
        scores=np.array([score for _, score in cells], dtype=np.float32),
        labels=np.array([label for label, _ in cells], dtype=np.int64),
        soft_masks=quantise(rng.random((len(cells), grid, grid), dtype=np.float32)),
    )


def model(cell_types: list[str] | None, seed: int, cells: dict[str, list[tuple[int, float]]], **more) -> PredictionSet:
    images = tuple(image(name, found, seed) for name, found in cells.items())
    return PredictionSet(images, source=ModelSource(cell_types=tuple(cell_types or ())), **more)


def members() -> dict[str, PredictionSet]:
    """Image a: one clear cort (.81) against two faint shsy5y (.25 + .16); b: astro; c: nothing; d: shsy5y."""
    return {
        'general': model(
            None,
            1,
            {'a': [(SHSY5Y, 0.5), (CORT, 0.9), (SHSY5Y, 0.4)], 'b': [(ASTRO, 0.3)], 'c': [], 'd': [(SHSY5Y, 0.2)]},
        ),
        'cort': model(
            ['cort'], 2, {'a': [(CORT, 0.7), (ASTRO, 0.95), (CORT, 0.05)], 'b': [], 'c': [(CORT, 1)], 'd': []}
        ),
        'shsy5y': model(['shsy5y'], 3, {'a': [(SHSY5Y, 1)], 'b': [(SHSY5Y, 1)], 'c': [], 'd': [(CORT, 0.9)]}),
    }


def joined(sets: dict[str, PredictionSet], **options) -> PredictionSet:
    return fuse(list(sets.values()), 'specialists', names=list(sets), **options)


def assert_same_cells(one: ImagePredictions, other: ImagePredictions) -> None:
    for name in ('boxes', 'scores', 'labels', 'soft_masks'):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_each_image_has_the_cells_of_its_own_types_model() -> None:
    sets = members()
    found = joined(sets, score_thresholds=0.1).by_id()
    # The vote says cort: of its model's cells, one is faint and one of another type.
    assert_same_cells(found['a'], sets['cort'].by_id()['a'].select([0]))
    # No model was trained on astro alone.
    assert_same_cells(found['b'], sets['general'].by_id()['b'])
    # The general model sees nothing.
    assert len(found['c']) == 0
    # The model of the type sees only another type.
    assert len(found['d']) == 0


def test_every_cell_is_accounted_for() -> None:
    sets = members()
    result = joined(sets, score_thresholds=0.1)
    total = sum(len(one) for each in sets.values() for one in each.images)
    dropped = result.source.dropped
    assert total == 12 and sum(map(len, result.images)) == 2
    assert dropped == {'low_score': 1, 'unusable': 0, 'rejected': 9, 'without_mask': 0}


def test_the_vote_is_that_of_post_processing_and_thresholds_do_not_change_it() -> None:
    sets = members()
    general = sets['general'].by_id()['a']
    assert set(VoteClass()(general).labels) == {CORT}
    # Without its clear cell the general model would vote for shsy5y.
    thresholds = [dict(cort=0.95), 0.1, 0.1]
    assert set(joined(sets, score_thresholds=thresholds).by_id()['a'].labels) == {CORT}


def test_the_order_of_the_files_makes_no_difference() -> None:
    sets = members()
    turned = dict(reversed(sets.items()))
    for one, other in zip(joined(sets).images, joined(turned).images, strict=True):
        assert one.image_id == other.image_id
        assert_same_cells(one, other)


def test_classes_are_matched_by_name() -> None:
    sets = members()
    # The cort model's file counts its classes the other way round.
    other = sets['cort']
    images = tuple(
        ImagePredictions(one.image_id, one.size, one.boxes, one.scores, 2 - one.labels, one.soft_masks)
        for one in other.images
    )
    renamed = PredictionSet(images, classes=CELL_TYPES[::-1], source=other.source)
    expected = joined(sets).by_id()['a']
    found = joined({**sets, 'cort': renamed})
    image_a = found.by_id()['a']
    assert [found.classes[label] for label in image_a.labels] == ['cort'] * len(expected)
    np.testing.assert_array_equal(image_a.boxes, expected.boxes)


def test_masks_on_several_grids_come_to_the_largest_and_fit_a_file(tmp_path: Path) -> None:
    sets = members()
    fine = tuple(
        image(one.image_id, list(zip(one.labels, one.scores, strict=True)), 2, 16) for one in sets['cort'].images
    )
    result = joined({**sets, 'cort': PredictionSet(fine, source=sets['cort'].source)})
    save_predictions(tmp_path / 'joined.npz', result)
    read = load_predictions(tmp_path / 'joined.npz')
    assert {one.soft_masks.shape[1] for one in read.images} == {16}
    assert_same_cells(read.by_id()['a'], result.by_id()['a'])


def test_what_a_model_was_trained_for_goes_through_a_fusion() -> None:
    cort, astro = ModelSource(cell_types=('cort',)), ModelSource(cell_types=('astro',))
    assert trained_for(cort) == ('cort',)
    assert trained_for(ModelSource()) is trained_for(ForeignSource()) is None
    for kind in (partial(FusedSource, method='wbf'), ConcatenatedSource):
        twice = (Member(name='a', source=cort), Member(name='b', source=replace(cort, config='other.py')))
        assert trained_for(kind(members=twice)) == ('cort',)
        assert trained_for(kind(members=(*twice, Member(name='c', source=astro)))) is None


def test_a_file_that_says_nothing_is_told_in_the_config() -> None:
    sets = {
        name: PredictionSet(one.images, source=ForeignSource(kind='coco_results')) for name, one in members().items()
    }
    result = joined(sets, cell_types=[None, ['cort'], ['shsy5y']], score_thresholds=0.1)
    for one, other in zip(result.images, joined(members(), score_thresholds=0.1).images, strict=True):
        assert_same_cells(one, other)
    assert {one.name: one.cell_types for one in result.source.members} == {
        'cort': ('cort',),
        'general': (),
        'shsy5y': ('shsy5y',),
    }


def test_a_specialist_that_was_trained_on_the_images_is_refused() -> None:
    sets = members()
    leak = replace(sets['cort'].source, split='val', fold=0, annotations='fold0_val.json', run=RunRecord(fold=1))
    sets['cort'] = PredictionSet(sets['cort'].images, source=leak)
    with pytest.raises(InputError, match='^cort: was held out from fold 1 and predicted images of fold 0'):
        joined(sets)


@pytest.mark.parametrize(
    ('cell_types', 'message'),
    [
        ([None, None, ['cort']], 'of all types: general and cort'),
        ([['astro'], ['cort'], ['shsy5y']], 'of all types: none'),
        ([None, ['cort'], ['cort', 'astro']], 'cort and shsy5y were both trained on cort'),
        ([None, ['cort'], ['neuron']], "shsy5y: trained on an unknown type 'neuron'"),
    ],
)
def test_members_whose_parts_do_not_fit_are_refused(cell_types: list, message: str) -> None:
    sets = {name: PredictionSet(one.images) for name, one in members().items()}
    with pytest.raises(InputError, match=message):
        joined(sets, cell_types=cell_types)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'weights': [1, 2, 1]}, 'weights has no meaning'),
        ({'class_agnostic': True}, 'class_agnostic has no meaning'),
        ({'average_masks': True}, 'average_masks has no meaning'),
        ({'boxes_only': True}, 'boxes_only has no meaning'),
        ({'iou_threshold': 0.5}, 'takes no IoU threshold'),
    ],
)
def test_settings_of_other_fusions_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        joined(members(), **options)


def test_a_model_alone_is_refused() -> None:
    with pytest.raises(InputError, match='takes one model of all cell types and others'):
        joined({'general': members()['general']})


def test_other_images_are_refused() -> None:
    sets = members()
    sets['cort'] = PredictionSet(sets['cort'].images[:3], source=sets['cort'].source)
    with pytest.raises(InputError, match='cort has no image d'):
        joined(sets)


def test_the_config_names_a_model_a_type(repo_root: Path) -> None:
    recipe = load_recipe(repo_root / 'configs' / 'ensemble' / 'specialists.py')
    assert [member.predictions.parent.name for member in recipe.members] == [
        'mrcnn_r50',
        *(f'mrcnn_r50_{cell_type}' for cell_type in CELL_TYPES),
    ]


@pytest.mark.parametrize('value', ['cort', [], [3]])
def test_cell_types_of_a_member_are_a_list_of_names(value: object) -> None:
    with pytest.raises(InputError, match='item 1 of members: .*cell_types is'):
        build_recipe({'method': {'type': 'specialists'}, 'members': [{'predictions': 'a.npz', 'cell_types': value}]})
