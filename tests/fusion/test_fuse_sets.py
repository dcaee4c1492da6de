"""Fusion of prediction sets with their masks."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartorius.fusion import METHODS, build_method, fuse, fuse_image
from sartorius.masks.crop import MaskCrop
from sartorius.masks.kaggle_rle import decode
from sartorius.masks.paste import binarise, paste_soft_mask
from sartorius.predictions import ImagePredictions, PredictionSet
from sartorius.predictions.coco_results import area_average
from sartorius.predictions.provenance import FusedSource, Member, ModelSource
from sartorius.predictions.store import load_predictions, quantise, save_predictions
from sartorius.utils.errors import InputError
from sartorius.utils.version import git_commit

SIZE = (90, 120)
GRID = 12
# Methods that make one cell of duplicates.
MERGING = ['wbf', 'nms', 'nmw', 'consensus']


def fused_cells(*images, **options) -> ImagePredictions:
    """The fused image alone, without the counts."""
    return fuse_image(*images, **options)[0]


def make_image(boxes, scores, soft_masks, labels=None, image_id='a', size=SIZE) -> ImagePredictions:
    return ImagePredictions(
        image_id=image_id,
        size=size,
        boxes=np.float32(boxes).reshape(-1, 4),
        scores=np.float32(scores),
        labels=np.zeros(len(scores), np.int64) if labels is None else np.array(labels, dtype=np.int64),
        soft_masks=quantise(np.float32(soft_masks)),
    )


def random_image(rng, cells=6, image_id='a', grid=GRID) -> ImagePredictions:
    corners = rng.uniform(0, 60, (cells, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 20, (cells, 2))], axis=1)
    return make_image(
        boxes, rng.uniform(0.1, 1, cells), rng.random((cells, grid, grid)), rng.integers(0, 3, cells), image_id
    )


def as_sets(*images: ImagePredictions) -> list[PredictionSet]:
    return [PredictionSet(images=(image,)) for image in images]


def assert_same_cells(one: ImagePredictions, other: ImagePredictions) -> None:
    for name in ('boxes', 'scores', 'labels', 'soft_masks'):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def disk(centre, radius) -> MaskCrop:
    yy, xx = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return MaskCrop.from_full(np.hypot(xx - centre[0], yy - centre[1]) < radius)


def as_seen(crop: MaskCrop, box, score=0.8, grid=28) -> ImagePredictions:
    """A model that gives the true mask exactly, in a box of its own."""
    return make_image([box], [score], [area_average(crop, box, grid)])


def iou(first: MaskCrop, second: MaskCrop, size=SIZE) -> float:
    one, other = first.to_full(size), second.to_full(size)
    return (one & other).sum() / (one | other).sum()


def paste_full(soft_mask, box) -> np.ndarray:
    """The slow way: a full-size bitmap of probabilities, nothing outside the box."""
    full = np.zeros(SIZE)
    pasted, left, top = paste_soft_mask(soft_mask, box, SIZE)
    full[top : top + pasted.shape[0], left : left + pasted.shape[1]] = pasted
    yy, xx = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return full * ((xx >= box[0]) & (xx <= box[2]) & (yy >= box[1]) & (yy <= box[3]))


@pytest.mark.parametrize('seed', range(5))
def test_masks_equal_the_mean_of_full_size_bitmaps(seed):
    """Three boxes whose weighted mean is a box of whole pixels, one a grid cell: both ways have the same points."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(5, 50, 2)
    target = np.array([x, y, x + GRID, y + GRID], dtype=np.float64)
    shift = rng.uniform(-1.5, 1.5, 4)
    # Weight times score: .3, .3 and 2 x .4, of which the third box is the target itself.
    boxes, scores, weights = [target + shift, target - shift, target], [0.3, 0.3, 0.4], [1, 1, 2]
    masks = quantise(rng.random((3, GRID, GRID)))
    images = [make_image([box], [score], [mask]) for box, score, mask in zip(boxes, scores, masks, strict=True)]
    fused = fused_cells(images, 'wbf', weights, iou_threshold=0.3)
    assert len(fused) == 1
    np.testing.assert_allclose(fused.boxes[0], target, atol=1e-4)
    full = sum(
        share * paste_full(image.soft_masks[0], image.boxes[0])
        for share, image in zip([0.3, 0.3, 0.8], images, strict=True)
    )
    expected = (full / 1.4)[y : y + GRID, x : x + GRID]
    # Half a step of the rounding to 1/255, and the single precision of the box.
    np.testing.assert_allclose(fused.soft_masks[0], expected, atol=0.5 / 255 + 1e-3)


@pytest.mark.parametrize(
    ('method', 'average'), [('wbf', False), ('nmw', False), ('consensus', False), ('nms', False), ('nms', True)]
)
def test_members_that_agree_give_the_mask_they_agree_on(method, average):
    gt = disk((50.3, 40.6), 13)
    box = np.array([36, 27, 65, 55])
    rng = np.random.default_rng(0)
    images = [as_seen(gt, box + rng.uniform(-2, 2, 4)) for _ in range(5)]
    fused = fused_cells(images, method, average_masks=average)
    assert len(fused) == 1
    (crop,) = binarise(fused.soft_masks, fused.boxes, SIZE)
    alone = [iou(binarise(image.soft_masks, image.boxes, SIZE)[0], gt) for image in images]
    assert min(alone) > 0.95
    assert iou(crop, gt) > 0.95


def test_members_that_differ_are_averaged():
    box = [20, 20, 48, 48]
    left, right = np.zeros((28, 28)), np.zeros((28, 28))
    left[:, :20], right[:, 10:] = 1, 1
    fused = fused_cells([make_image([box], [0.9], [left]), make_image([box], [0.3], [right])], 'wbf')
    # Three parts of the left one, one of the right one.
    np.testing.assert_allclose(fused.soft_masks[0, 14, [5, 15, 25]], [0.75, 1, 0.25], atol=0.5 / 255)
    np.testing.assert_array_equal(fused.soft_masks, quantise(fused.soft_masks))


def test_nms_keeps_the_mask_of_the_kept_cell():
    rng = np.random.default_rng(1)
    images = [random_image(rng) for _ in range(3)]
    fused = fused_cells(images, 'nms')
    cells = {
        (*b.tolist(), float(s)): m for i in images for b, s, m in zip(i.boxes, i.scores, i.soft_masks, strict=True)
    }
    for box, score, mask in zip(fused.boxes, fused.scores, fused.soft_masks, strict=True):
        np.testing.assert_array_equal(mask, cells[(*box.tolist(), float(score))])


def test_nms_averages_only_masks_that_agree():
    box = [20, 20, 48, 48]
    kept, like, unlike = np.zeros((3, 28, 28))
    kept[4:24, 4:24], like[4:24, 6:24], unlike[:4] = 1, 1, 1
    images = [make_image([box], [score], [mask]) for score, mask in ((0.8, kept), (0.4, like), (0.7, unlike))]
    np.testing.assert_array_equal(fused_cells(images, 'nms').soft_masks[0], kept)
    fused = fused_cells(images, 'nms', average_masks=True).soft_masks[0]
    # Column 5 is in the kept mask (two thirds of the say) and not in the like one; the unlike one has none.
    np.testing.assert_allclose(fused[10, [5, 10]], [2 / 3, 1], atol=0.5 / 255)
    assert fused[2, 10] == 0


def test_grids_of_different_size_are_brought_to_the_largest():
    gt = disk((50, 40), 12)
    images = [as_seen(gt, [36, 26, 64, 54], 0.5, grid) for grid in (14, 28)]
    fused = fused_cells(images, 'wbf')
    assert fused.soft_masks.shape == (1, 28, 28)
    assert iou(binarise(fused.soft_masks, fused.boxes, SIZE)[0], gt) > 0.95


@pytest.mark.parametrize('method', METHODS)
def test_one_set_without_overlaps_comes_back(method):
    rng = np.random.default_rng(2)
    boxes = [[5, 5, 15, 17], [40.2, 30.1, 55, 50], [80, 60, 99.5, 80.5]]
    image = make_image(boxes, [0.9, 0.8, 0.7], rng.random((3, GRID, GRID)), [1, 0, 2])
    assert_same_cells(fused_cells([image], method), image)


@pytest.mark.parametrize('method', MERGING)
def test_an_image_three_times_is_the_image(method):
    rng = np.random.default_rng(3)
    boxes = [[5, 5, 15, 17], [40.2, 30.1, 55, 50], [80, 60, 99.5, 80.5]]
    image = make_image(boxes, [0.9, 0.8, 0.7], rng.random((3, GRID, GRID)), [1, 0, 2])
    fused = fused_cells([image] * 3, method)
    np.testing.assert_allclose(fused.boxes, image.boxes, atol=1e-4)
    np.testing.assert_allclose(fused.scores, image.scores, atol=1e-6)
    np.testing.assert_allclose(fused.soft_masks, image.soft_masks, atol=1.01 / 255)


cell = st.tuples(
    st.sampled_from([0.0, 10.0, 12.0]),
    st.sampled_from([0.0, 10.0]),
    st.sampled_from([0.25, 0.5]),
    st.integers(0, 1),
    st.integers(0, 3),
)


@settings(max_examples=60, deadline=None)
@given(
    models=st.lists(st.lists(cell, max_size=6), min_size=1, max_size=4),
    method=st.sampled_from(sorted(METHODS)),
    average=st.booleans(),
    class_agnostic=st.booleans(),
    random=st.randoms(use_true_random=False),
)
def test_order_of_sets_and_cells_makes_no_difference(models, method, average, class_agnostic, random):
    """Also where boxes, scores and labels are equal and the masks are not."""
    masks = np.random.default_rng(0).random((4, 5, 5))
    weights = [random.choice([1.0, 2.0]) for _ in models]

    def build(cells):
        boxes = [[x, y, x + 10, y + 10] for x, y, *_ in cells]
        chosen = masks[[c[4] for c in cells]] if cells else np.zeros((0, 5, 5))
        return make_image(boxes, [c[2] for c in cells], chosen, [c[3] for c in cells])

    options = {'method': method, 'average_masks': average, 'class_agnostic': class_agnostic}
    fused = fused_cells([build(cells) for cells in models], weights=weights, **options)
    order = random.sample(range(len(models)), len(models))
    shuffled = [build(random.sample(models[m], len(models[m]))) for m in order]
    assert_same_cells(fused_cells(shuffled, weights=[weights[m] for m in order], **options), fused)


def test_a_score_threshold_leaves_cells_out_before_the_fusion():
    box = [20, 20, 40, 40]
    ones = np.ones((1, GRID, GRID))
    images = [make_image([box], [0.9], ones), make_image([box], [0.2], ones)]
    np.testing.assert_allclose(fused_cells(images, 'wbf').scores, [0.55], atol=1e-6)
    np.testing.assert_allclose(fused_cells(images, 'wbf', score_thresholds=0.3).scores, [0.45], atol=1e-6)


def test_score_thresholds_a_set_and_a_class():
    ones = np.ones((2, GRID, GRID))
    boxes = [[20, 20, 40, 40], [60, 20, 80, 40]]
    sets = as_sets(
        make_image(boxes, [0.35, 0.35], ones, [0, 1]),
        make_image([[0, 50, 20, 70], [30, 50, 50, 70]], [0.35, 0.2], ones, [0, 1]),
    )

    def kept(thresholds):
        fused = fuse(sets, 'nms', score_thresholds=thresholds)
        return sorted(fused.images[0].boxes[:, 0].tolist()), fused.source.dropped['low_score']

    # A score that equals its threshold stays, in single precision too.
    assert kept(0.35) == ([0, 20, 60], 1)
    assert kept([0.4, 0]) == ([0, 30], 2)
    assert kept([dict(shsy5y=0.5), dict(astro=0.3, shsy5y=0.4)]) == ([60], 3)
    assert kept(dict(astro=0.3, cort=0.9)) == ([0, 20, 60], 1)


def test_classes_are_matched_by_name():
    ones = np.ones((1, GRID, GRID))
    first = PredictionSet((make_image([[20, 20, 40, 40]], [0.9], ones, [0]),), ('cort', 'astro', 'shsy5y'))
    second = PredictionSet((make_image([[20, 20, 40, 40]], [0.7], ones, [2]),), ('shsy5y', 'astro', 'cort'))
    for sets in ([first, second], [second, first]):
        fused = fuse(sets)
        assert len(fused.images[0]) == 1 and fused.classes[fused.images[0].labels[0]] == 'cort'
        assert fused.classes == ('cort', 'astro', 'shsy5y')


def test_images_are_matched_by_id_and_the_source_tells_all():
    rng = np.random.default_rng(4)
    a, b = random_image(rng, image_id='a'), random_image(rng, image_id='b')
    other_a, other_b = random_image(rng, image_id='a'), random_image(rng, image_id='b')
    sets = [
        PredictionSet((a, b), source=ModelSource(config='one.py')),
        PredictionSet((other_b, other_a), source=ModelSource(config='two.py')),
    ]
    fused = fuse(sets, 'wbf', weights=[1, 3], score_thresholds=[0, dict(cort=0)], names=['z.npz', 'y.npz'])
    assert fused.image_ids == ('a', 'b')
    assert_same_cells(fused.images[0], fused_cells([a, other_a], 'wbf', [1, 3]))
    assert fused.source == FusedSource(
        method='wbf',
        settings={
            'iou_threshold': 0.7,
            'conf_type': 'box_and_model_avg',
            'class_agnostic': False,
            'average_masks': False,
            'boxes_only': False,
        },
        members=(
            Member(name='y.npz', weight=3.0, score_threshold={'cort': 0.0}, source=ModelSource(config='two.py')),
            Member(name='z.npz', weight=1.0, score_threshold=0.0, source=ModelSource(config='one.py')),
        ),
        dropped={'low_score': 0, 'rejected': 0, 'unusable': 0, 'without_mask': 0},
        git_commit=git_commit(),
    )


def test_what_is_fused_in_memory_equals_the_file(tmp_path):
    rng = np.random.default_rng(5)
    fused = fuse(as_sets(random_image(rng), random_image(rng)))
    save_predictions(tmp_path / 'p.npz', fused)
    back = load_predictions(tmp_path / 'p.npz')
    assert_same_cells(back.images[0], fused.images[0])
    assert back.source == fused.source


@pytest.mark.parametrize('method', METHODS)
def test_images_without_cells(method):
    empty = ImagePredictions.empty('a', SIZE, GRID)
    assert len(fused_cells([empty, empty], method)) == 0
    image = random_image(np.random.default_rng(6), 1)
    assert len(fused_cells([empty, image], method)) == 1


def test_an_image_missing_in_one_set_is_named():
    rng = np.random.default_rng(7)
    both = PredictionSet((random_image(rng, image_id='a'), random_image(rng, image_id='b')))
    one = PredictionSet((random_image(rng, image_id='a'),))
    with pytest.raises(InputError, match=r'^one\.npz has no image b, which another file has'):
        fuse([both, one], names=['both.npz', 'one.npz'])
    with pytest.raises(InputError, match='set 1 has no image c and 1 more'):
        fuse([one, PredictionSet((random_image(rng, image_id='c'), random_image(rng, image_id='d')))])


def test_other_classes_are_refused():
    rng = np.random.default_rng(8)
    sets = [PredictionSet((random_image(rng),)), PredictionSet((random_image(rng),), ('a', 'b', 'c'))]
    with pytest.raises(InputError, match=r'two\.npz has the classes a, b, c, one\.npz has shsy5y, astro, cort'):
        fuse(sets, names=['one.npz', 'two.npz'])


def test_a_model_that_lacks_a_class_has_no_say_in_it():
    ones = np.ones((2, GRID, GRID))
    boxes = [[20, 20, 40, 40], [60, 20, 80, 40]]
    everything = PredictionSet((make_image(boxes, [0.9, 0.8], ones, [0, 1]),))
    cort_alone = PredictionSet((make_image([[90, 60, 110, 80]], [0.7], ones[:1], [0]),), ('cort',))
    for sets in ([everything, cort_alone], [cort_alone, everything]):
        fused = fuse(sets)
        assert fused.classes == ('shsy5y', 'astro', 'cort')
        assert fused.images[0].labels.tolist() == [0, 1, 2]
        # Of cort, the first model found nothing.
        np.testing.assert_allclose(fused.images[0].scores, [0.9, 0.8, 0.35], atol=1e-6)


def test_models_of_one_cell_type_each():
    ones = np.ones((1, GRID, GRID))
    sets = [PredictionSet((make_image([[20, 20, 40, 40]], [0.5], ones, [0]),), (name,)) for name in ('cort', 'shsy5y')]
    fused = fuse(sets)
    assert fused.classes == ('shsy5y', 'cort') and fused.images[0].labels.tolist() == [0, 1]


def test_other_sizes_are_refused():
    image = random_image(np.random.default_rng(9))
    other = make_image(image.boxes, image.scores, image.soft_masks, size=(45, 60))
    with pytest.raises(InputError, match='image a is 60x45 px in set 2, 120x90 in set 1; predict on the same files'):
        fuse(as_sets(image, other))
    with pytest.raises(InputError, match='image a: 60x45 px in one set, 120x90 in another'):
        fused_cells([image, other])


def test_the_same_predictions_under_two_names_are_refused():
    rng = np.random.default_rng(13)
    a, b, other = (random_image(rng, image_id=name) for name in 'aba')
    sets = [PredictionSet(images) for images in ((a, b), (other, b), (b, a))]
    with pytest.raises(InputError, match=r'3\.npz and 1\.npz hold the same predictions; leave one out'):
        fuse(sets, names=['1.npz', '2.npz', '3.npz'])
    # Two models that found nothing are no copies of each other, nor are other masks in the same boxes.
    empty = ImagePredictions.empty('a', SIZE, GRID)
    assert len(fuse(as_sets(empty, empty)).images[0]) == 0
    fuse(as_sets(a, make_image(a.boxes, a.scores, 1 - a.soft_masks, a.labels)))


def test_post_processed_cells_are_refused():
    image = random_image(np.random.default_rng(10), 1)
    crops = (disk((20, 20), 5),)
    done = ImagePredictions('a', SIZE, image.boxes, image.scores, image.labels, image.soft_masks, crops)
    with pytest.raises(InputError, match='image a: already post-processed'):
        fuse(as_sets(done))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'weights': [1, 2, 3]}, '3 weights for 2 sets'),
        ({'weights': [0, 1]}, 'weight 0 is not above 0'),
        ({'method': 'mean'}, "fusion method: unknown type 'mean'"),
        ({'iou_threshold': 0}, 'iou_threshold is 0'),
        ({'score_thresholds': -1}, 'score threshold is -1'),
        ({'score_thresholds': float('nan')}, 'score threshold is nan'),
        ({'score_thresholds': [0.1]}, '1 score thresholds for 2 prediction sets'),
        ({'score_thresholds': [0.1, '0.2']}, "score threshold is '0.2'"),
        ({'score_thresholds': [0.1, dict(astr=0.1)]}, "unknown class 'astr'; did you mean 'astro'"),
        ({'method': build_method({'type': 'consensus', 'min_models': 3})}, 'min_models is 3, and there are 2'),
        ({'names': ['a']}, '1 names for 2'),
    ],
)
def test_bad_settings_are_refused(options, message):
    rng = np.random.default_rng(11)
    with pytest.raises(InputError, match=message):
        fuse(as_sets(random_image(rng), random_image(rng)), **options)


@pytest.mark.parametrize('name', ['boxes', 'scores', 'soft_masks'])
def test_bad_values_name_the_image(name):
    image = random_image(np.random.default_rng(12))
    getattr(image, name).flat[0] = np.nan
    with pytest.raises(InputError, match='image a: '):
        fuse(as_sets(image))


def test_real_cells_seen_by_models_that_agree(real_data):
    """Real masks of one image in boxes that differ: the fused masks are as good as the models'."""
    with open(real_data / 'train.csv', encoding='utf-8') as file:
        rows = [row for row in csv.DictReader(file) if row['cell_type'] == 'cort']
    rows = [row for row in rows if row['id'] == rows[0]['id']]
    size = (int(rows[0]['height']), int(rows[0]['width']))
    gt = [decode(row['annotation'], size) for row in rows]
    rng = np.random.default_rng(0)
    models = []
    for _ in range(3):
        boxes = np.array([crop.window for crop in gt]) + rng.uniform(-1, 1, (len(gt), 4))
        masks = [area_average(crop, box, 28) for crop, box in zip(gt, boxes, strict=True)]
        models.append(make_image(boxes, np.linspace(0.9, 0.5, len(gt)), masks, size=size))
    # A pixel or so apart, the boxes of the smallest cells overlap by less than .7.
    fused = fused_cells(models, 'wbf', iou_threshold=0.6)
    assert len(fused) == len(gt)
    crops = binarise(fused.soft_masks, fused.boxes, size)
    alone = [
        np.mean([iou(c, t, size) for c, t in zip(binarise(m.soft_masks, m.boxes, size), gt, strict=True)])
        for m in models
    ]
    together = np.mean([iou(crop, true, size) for crop, true in zip(crops, gt, strict=True)])
    assert min(alone) > 0.9 and together > min(alone) - 0.02
