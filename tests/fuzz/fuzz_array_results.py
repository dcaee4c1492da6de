"""Hostile arrays for what is made of masks: scores, predictions files, label quality, fusion, post-processing, exports.

Fusion and post-processing bring their own random inputs and oracles (``tests/fusion/test_fusion_fuzz.py``,
``tests/postprocess/test_steps_fuzz.py``).
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_array_inputs import INF, NAN, SIZES, any_boxes, any_crops, any_layout, any_scores, inner_crops
from fuzz_array_registry import Size, full, function, holds, same, test_module
from fuzz_judge import Wrong
from fuzz_mutations import Random, pick


def any_gt(rng: Random, size: Size, classes: int = 3) -> Any:
    """Annotations of one image, overlapping ones and crowd regions among them."""
    from sartorius.annotations.structures import ImageAnnotations

    cells = inner_crops(rng, size)
    crowd = inner_crops(rng, size, 2) if rng.random() < 0.3 else []
    return ImageAnnotations('a', size, tuple(cells), rng.integers(0, classes, len(cells)), tuple(crowd))


@function
def matching(rng: Random) -> None:
    """True positives, false ones and the competition's score of any cells, against the obvious count."""
    from sartorius.evaluation.cell_errors import classify_cells
    from sartorius.evaluation.matching import counted_predictions, match
    from sartorius.evaluation.metric import image_score, score_images
    from sartorius.masks.overlap import mask_iou

    size = pick(rng, SIZES)
    gt, pred = any_gt(rng, size), inner_crops(rng, size)
    found = match(gt.crops, pred, size)
    holds(found.tp + found.fn == len(gt) and found.tp + found.fp == len(pred), 'counts')
    score = image_score(mask_iou(gt.crops, pred, size))
    holds(0 <= score <= 1, f'score {score}')
    own = image_score(mask_iou(gt.crops, gt.crops, size))
    holds(own == 1, f'truth against itself scores {own}')
    counted = counted_predictions(pred, gt)
    holds(counted.shape == (len(pred),) and (gt.crowd or counted.all()), 'predictions that count')
    table = score_images({'a': gt}, {'a': pred})
    holds(np.isfinite(table.select_dtypes('number').to_numpy()).all(), 'a score that is not finite')
    errors = classify_cells(gt.crops, pred, size)
    holds(len(errors.gt_category) == len(gt) and len(errors.pred_category) == len(pred), 'each cell has one category')


@function
def average_precision(rng: Random) -> None:
    """COCO's scores of odd predictions stay between 0 and 1, or there are none."""
    from sartorius.evaluation.coco_ap import encode_predictions, score_boxes, score_masks
    from sartorius.postprocess.steps import with_crops

    size = pick(rng, SIZES)
    gt, image = any_gt(rng, size), any_predictions(rng, size)
    for scores in (
        score_boxes({'a': gt}, {'a': image}),
        score_masks({'a': gt}, {'a': encode_predictions(with_crops(image))}),
    ):
        holds(all(np.isnan(value) or -1 <= value <= 1 for value in scores.values()), f'AP {scores}')


def any_predictions(rng: Random, size: Size) -> Any:
    """Predictions with values as files may have them: any boxes, but numbers within their ranges."""
    from sartorius.predictions.structures import ImagePredictions

    given = any_boxes(rng, size, bad=0.1)
    given = given[np.isfinite(given).all(axis=1)]
    side, count = int(rng.integers(1, 8)), len(given)
    soft = any_layout(rng, rng.random((count, side, side)).astype(np.float32))
    return ImagePredictions(
        'a', size, given.astype(np.float32), any_scores(rng, count, 0), rng.integers(0, 3, count), soft
    )


@function
def predictions_files(rng: Random) -> None:
    """What is written comes back; what cannot be written is refused before a file appears."""
    from sartorius.images.size_limit import MAX_EDGE
    from sartorius.predictions.store import load_predictions, quantise, save_predictions
    from sartorius.predictions.structures import ImagePredictions, PredictionSet
    from sartorius.utils.errors import InputError

    size = pick(rng, SIZES)
    given = any_boxes(rng, size, bad=0.1)
    count, side = len(given), int(rng.integers(1, 5))
    soft = rng.random((count, side, side)) * pick(rng, [1, 1, 1, 1.5])
    scores = any_scores(rng, count, 0.05)
    image = ImagePredictions(
        'a', size, given.astype(np.float32), scores, rng.integers(0, 3, count), soft.astype(np.float32)
    )
    good = (
        (np.abs(image.boxes) <= MAX_EDGE).all()
        and (scores >= 0).all()
        and (scores <= 1).all()
        and image.soft_masks.max(initial=0) <= 1
    )
    with tempfile.TemporaryDirectory(prefix='fuzz-') as folder:
        path = Path(folder) / 'a.npz'
        try:
            save_predictions(path, PredictionSet((image,)))
        except InputError:
            holds(not good and not list(Path(folder).iterdir()), 'refused without a reason, or a file was left')
            raise
        holds(good, 'written though a value is out of range')
        back = load_predictions(path).images[0]
        for name in ('boxes', 'scores', 'labels'):
            same(getattr(back, name), getattr(image, name), name)
        same(back.soft_masks, quantise(image.soft_masks), 'soft masks')


@function
def label_quality(rng: Random) -> None:
    """Defects of any annotations are found and mended without losing a cell in silence."""
    from sartorius.label_quality.cleaning import clean, summarise_cleaning
    from sartorius.label_quality.defects import DEFECTS, Rules
    from sartorius.label_quality.statistics import measure_cells
    from sartorius.label_quality.structures import AnnotatedCell, AnnotatedImage

    images = []
    for number in range(rng.integers(1, 3)):
        size = pick(rng, SIZES)
        cells = [
            AnnotatedCell(row, crop, str(pick(rng, ['astro', 'astro', 'cort'])))
            for row, crop in enumerate(inner_crops(rng, size))
        ]
        images.append(AnnotatedImage(f'i{number}', size, tuple(cells)))
    rules = Rules()
    cleaning = clean(images, list(DEFECTS), rules)
    summarise_cleaning(cleaning, rules)
    dropped = sum(issue.after is None for issue in cleaning.fixes)
    before, after = (sum(len(image.cells) for image in part) for part in (cleaning.before, cleaning.after))
    holds(
        before == sum(len(image.cells) for image in images) and after == before - dropped,
        f'{before} cells, {dropped} dropped, {after} left',
    )
    table = measure_cells(cleaning.before)
    holds(len(table) == before, 'a row per cell')


@function
def missing_cells(rng: Random) -> None:
    """Cells that labels lack, of odd predictions."""
    from sartorius.label_quality.missing import Limits, compare_with_labels, merge_candidates
    from sartorius.postprocess.steps import with_crops

    size = pick(rng, SIZES)
    gt, limits = any_gt(rng, size), Limits()
    comparisons = []
    for _ in range(rng.integers(1, 3)):
        pred = with_crops(any_predictions(rng, size))
        pred = pred.select([number for number, crop in enumerate(pred.crops) if crop.area])
        comparisons.append(compare_with_labels(gt, pred, pred.crops))
    for candidate in merge_candidates(comparisons, size, limits):
        holds(candidate.crop.clipped(size).area == candidate.crop.area > 0, 'a candidate outside the image')


@function
def grey_levels(rng: Random) -> None:
    """Any pixels become 8 bits, the order of levels kept."""
    from sartorius.images.grey_levels import luminance, stretch_limits, three_channels, to_uint8

    shape = pick(rng, [(1, 1), (5, 7), (1, 40), (16, 16), (2, 5, 7)])
    kind = pick(
        rng,
        [
            np.uint8,
            np.int8,
            np.uint16,
            np.int16,
            np.uint32,
            np.int32,
            np.uint64,
            np.int64,
            np.float16,
            np.float32,
            np.float64,
        ],
    )
    if np.dtype(kind).kind in 'iu':
        limits = np.iinfo(kind)
        image = (
            rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
            if rng.random() < 0.7
            else np.full(shape, pick(rng, [limits.min, limits.max, 0]))
        )
    else:
        image = rng.normal(0, pick(rng, [1e-30, 1, 1e30]), shape)
        odd = rng.random(shape) < pick(rng, [0, 0.2, 1])
        with np.errstate(all='ignore'):
            image = np.where(odd, pick(rng, [NAN, INF, -INF, 1e300]), image).astype(kind)
    image = any_layout(rng, image.astype(kind) if np.dtype(kind).kind in 'iu' else image)
    out = to_uint8(image)
    holds(out.dtype == np.uint8 and out.shape == image.shape, 'shape or type')
    if np.isfinite(image).all():
        stretch_limits(image)
        order = np.argsort(image, axis=None, kind='stable')
        holds((np.diff(out.ravel()[order].astype(int)) >= 0).all(), 'a brighter pixel became darker')
    if out.ndim == 2:
        holds(three_channels(out).shape == (*out.shape, 3), 'three channels')
    luminance(np.stack([image] * 3, axis=-1))


@function
def fusion(rng: Random) -> None:
    """Any sets through any method, by the oracles of the tests of fusion."""
    from sartorius.fusion import METHODS, fuse
    from sartorius.utils.errors import InputError

    module = test_module('fusion/test_fusion_fuzz.py')
    sets = module.any_sets(rng)
    options = module.any_settings(rng, pick(rng, sorted(METHODS)), len(sets))
    reasons = module.why_refused(sets, options)
    try:
        fused = fuse(sets, **options)
    except InputError:
        holds(reasons, 'refused without a reason')
        raise
    holds(not reasons, f'not refused: {reasons}')
    _by_tests(module.check_fused, fused, sets, options)
    _by_tests(module.check_members, sets, options)


@function
def postprocess(rng: Random) -> None:
    """Any predictions through any chain, by the oracles of the tests of post-processing."""
    from sartorius.postprocess.chain import Chain
    from sartorius.postprocess.steps import RemoveOverlap, drop_unusable
    from sartorius.utils.classes import CELL_TYPES

    module = test_module('postprocess/test_steps_fuzz.py')
    image = module.any_image(rng)
    chain = Chain(tuple(module.any_steps(rng, test_module('postprocess/conftest.py').rank))).for_classes(CELL_TYPES)
    cells = chain(image)
    covered = module.full_masks(cells).sum(axis=0)
    holds(covered.max(initial=0) <= 1, 'two cells share a pixel')
    holds(
        all(0 < crop.area == crop.clipped(cells.size).area for crop in cells.crops), 'a cell without pixels or outside'
    )
    image, steps = drop_unusable(image), chain.steps
    for step in steps if any(isinstance(step, RemoveOverlap) for step in steps) else [*steps, RemoveOverlap()]:
        after = step(image)
        _by_tests(module.check_step, step, image, after)
        image = after
    same(module.full_masks(image), module.full_masks(cells), 'step by step')


def _by_tests(check: Callable[..., None], *args: Any) -> None:
    try:
        check(*args)
    except AssertionError as error:
        raise Wrong(f'{check.__name__}: {str(error)[:200]}') from None


@function
def exports(rng: Random) -> None:
    """Disjoint cells of any shape come back from every export that can hold them."""
    from sartorius.annotations.coco import read_coco
    from sartorius.annotations.label_images import read_label_image
    from sartorius.annotations.label_outlines import read_geojson, read_rois
    from sartorius.export.formats import FORMATS
    from sartorius.export.structures import ExportedImage
    from sartorius.masks.overlap import resolve_overlaps
    from sartorius.predictions.structures import ImagePredictions

    size = pick(rng, SIZES)
    crops = [crop.clipped(size).tight() for crop in any_crops(rng, size)]
    crops = [crop for crop in resolve_overlaps(crops, np.ones(len(crops)), size) if crop.area]
    count = len(crops)
    boxes = np.array([crop.window for crop in crops], np.float32).reshape(-1, 4)
    labels = rng.integers(0, 3, count)
    frame = ImagePredictions(
        'a', size, boxes, any_scores(rng, count, 0), labels, np.zeros((count, 2, 2), np.float32), tuple(crops)
    )
    image = ExportedImage('a', (frame,), ('shsy5y', 'astro', 'cort'), file_name='a.png')
    expected = sorted(mask.tobytes() for mask in full(crops, size))
    readers = {
        'masks': lambda path: read_label_image(path, size).crops,
        'rois': lambda path: read_rois(path, size).crops,
        'geojson': lambda path: read_geojson(path, size).crops,
        'coco': lambda path: read_coco(path)['a'].crops,
    }
    with tempfile.TemporaryDirectory(prefix='fuzz-') as folder:
        for name, form in FORMATS.items():
            if form.needs_pixels:
                continue
            path = form.path(Path(folder), 'a')
            form.writer(path, image)
            if name in readers and count:
                found = sorted(mask.tobytes() for mask in full(list(readers[name](path)), size))
                holds(found == expected, f'{name}: other cells than were written')
