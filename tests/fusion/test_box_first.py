"""Detectors without masks join a fusion, and fused boxes without masks are handed on."""

import numpy as np
import pytest

from sartorius.fusion import fuse, fuse_image
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.store import load_predictions, quantise, save_predictions
from sartorius.utils.errors import InputError

SIZE = (90, 120)
GRID = 12


def fused_cells(*images, **options) -> ImagePredictions:
    """The fused image alone, without the counts."""
    return fuse_image(*images, **options)[0]


def make_image(boxes, scores, soft_masks) -> ImagePredictions:
    labels = np.zeros(len(scores), dtype=np.int64)
    return ImagePredictions('a', SIZE, np.float32(boxes), np.float32(scores), labels, quantise(np.float32(soft_masks)))


def random_image(rng, cells=6) -> ImagePredictions:
    corners = rng.uniform(0, 60, (cells, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 20, (cells, 2))], axis=1)
    return make_image(boxes, rng.uniform(0.1, 1, cells), rng.random((cells, GRID, GRID)))


def as_sets(*images: ImagePredictions) -> list[PredictionSet]:
    return [PredictionSet(images=(image,)) for image in images]


def assert_same_cells(one: ImagePredictions, other: ImagePredictions) -> None:
    for name in ('boxes', 'scores', 'labels', 'soft_masks'):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def without_masks(image):
    return ImagePredictions(
        image.image_id, image.size, image.boxes, image.scores, image.labels, np.zeros((len(image), 0, 0), np.float32)
    )


@pytest.mark.parametrize('method', ['wbf', 'nmw'])
def test_boxes_alone_have_a_say_in_place_and_score_but_not_in_the_mask(method):
    rng = np.random.default_rng(14)
    model = make_image([[20, 20, 40, 40]], [0.6], rng.random((1, GRID, GRID)))
    detector = without_masks(make_image([[21, 20, 41, 40], [60, 60, 70, 70]], [0.6, 0.9], rng.random((2, 2, 2))))
    fused, dropped = fuse_image([model, detector], method)
    assert len(fused) == 1 and dropped['without_mask'] == 1
    assert 20.1 < fused.boxes[0, 0] < 20.9
    # As if the box had come with the model's own mask.
    alike = make_image([[21, 20, 41, 40]], [0.6], np.zeros((1, GRID, GRID)))
    alike_fused = fused_cells([model, alike], method)
    np.testing.assert_array_equal(fused.boxes, alike_fused.boxes)
    np.testing.assert_array_equal(fused.scores, alike_fused.scores)
    # The zeros of that made-up mask would have spoilt it; only the model's own is sampled.
    assert fused.soft_masks.max() > 1.5 * alike_fused.soft_masks.max()


def test_a_chosen_box_without_mask_takes_that_of_the_box_it_suppressed():
    rng = np.random.default_rng(15)
    model = make_image([[20, 20, 40, 40]], [0.6], rng.random((1, GRID, GRID)))
    detector = without_masks(make_image([[20, 20, 40, 40]], [0.7], rng.random((1, 2, 2))))
    fused = fused_cells([model, detector], 'nms')
    np.testing.assert_array_equal(fused.scores, np.float32([0.7]))
    np.testing.assert_allclose(fused.soft_masks, model.soft_masks, atol=1.01 / 255)


def test_fused_boxes_without_masks_are_handed_on(tmp_path):
    rng = np.random.default_rng(16)
    sets = as_sets(random_image(rng), without_masks(random_image(rng)))
    fused = fuse(sets, boxes_only=True)
    assert not fused.images[0].has_masks and fused.source.dropped['without_mask'] == 0
    with_masks = fuse(sets)
    assert len(fused.images[0]) == len(with_masks.images[0]) + with_masks.source.dropped['without_mask']
    save_predictions(tmp_path / 'boxes.npz', fused)
    with pytest.raises(InputError, match=r'boxes\.npz: boxes without masks; let a model predict them with .* --boxes'):
        load_predictions(tmp_path / 'boxes.npz')
    assert_same_cells(load_predictions(tmp_path / 'boxes.npz', boxes_allowed=True).images[0], fused.images[0])


def test_boxes_alone_everywhere_are_refused_where_masks_are_asked_for():
    rng = np.random.default_rng(17)
    sets = as_sets(without_masks(random_image(rng)), without_masks(random_image(rng)))
    with pytest.raises(InputError, match='boxes without masks in all files; fuse them with --boxes-only'):
        fuse(sets)
    assert len(fuse(sets, boxes_only=True).images[0]) > 0
    with pytest.raises(InputError, match='set 2 has boxes without masks, and consensus compares masks'):
        fuse(as_sets(random_image(rng), without_masks(random_image(rng))), 'consensus')
