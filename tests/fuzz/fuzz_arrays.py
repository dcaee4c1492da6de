"""Hostile arrays for the numeric core, each answer held against a slow and obvious version where there is one.

Numbers that are not finite or huge, boxes without size or inverted, cells of one pixel, of the whole image, outside it
or empty, arrays of other types, read-only, turned or strided. Fusion and post-processing bring their own random inputs
and oracles (``tests/fusion/test_fusion_fuzz.py``, ``tests/postprocess/test_steps_fuzz.py``).
"""

import importlib.util
import tempfile
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from fuzz_judge import Verdict, Wrong, judge_all, judge_answer
from fuzz_mutations import Random, pick

TESTS = Path(__file__).resolve().parents[1]
NAN, INF, HUGE = float('nan'), float('inf'), 3e38
SIZES = ((24, 32), (24, 32), (24, 32), (5, 60), (40, 3), (1, 1), (1, 30), (60, 80))
Size = tuple[int, int]

FUNCTIONS: dict[str, Callable[[Random], None]] = {}
"""By name: makes an input, calls the functions and raises :class:`Wrong` where they contradict the slow version."""


@dataclass(frozen=True)
class ArrayCase:
    """A case, told by its function, its number and the seed."""

    kind: str
    number: int
    mutation: str = 'arrays'


def function(check: Callable[[Random], None]) -> Callable[[Random], None]:
    """Adds a check to :data:`FUNCTIONS`."""
    FUNCTIONS[check.__name__] = check
    return check


def run_arrays(name: str, count: int, seed: int, first: int = 0) -> list[tuple[ArrayCase, Verdict]]:
    """Cases of one function."""

    def make(number: int) -> Callable[[], Any]:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), first + number])
        return partial(FUNCTIONS[name], rng)

    # Compiled loops are loaded once, before processes are forked.
    for number in range(5):
        _quietly(make(-number - 1 if first > 5 else 10_000_000 + number))
    with tempfile.TemporaryDirectory(prefix='fuzz-') as folder:
        # No file is named: any sentence will do.
        judge = partial(judge_answer, names=[''], check=lambda _: '', output=Path(folder) / 'printed')
        verdicts = judge_all(count, make, judge)
        return [(ArrayCase(name, first + number), verdict) for number, verdict in enumerate(verdicts)]


def _quietly(answer: Callable[[], Any]) -> None:
    import contextlib

    with contextlib.suppress(Exception), warnings.catch_warnings(action='ignore'):
        answer()


def same(ours: Any, slow: Any, what: str) -> None:
    """Raises where two arrays differ."""
    if not np.array_equal(np.asarray(ours), np.asarray(slow)):
        raise Wrong(f'{what}: other than the slow version')


def holds(truth: object, what: str) -> None:
    """Raises unless something holds."""
    if not truth:
        raise Wrong(what)


# Inputs


def any_layout(rng: Random, array: np.ndarray) -> np.ndarray:
    """The same values: as they are, read-only, by columns, in every other place of a larger array, or from behind."""
    how = int(rng.integers(5))
    if how == 0:
        array = array.copy()
        array.flags.writeable = False
    elif how == 1:
        array = np.asfortranarray(array)
    elif how == 2 and array.ndim:
        wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
        wide[..., ::2] = array
        array = wide[..., ::2]
    elif how == 3 and array.ndim:
        array = array[::-1].copy()[::-1]
    return array


def any_crop(rng: Random, size: Size) -> Any:
    """A cell: solid, noise, a ring, one pixel, the whole image, nothing, or partly or far outside."""
    from sartorius.masks.crop import MaskCrop

    height, width = size
    x, y = (int(value) for value in rng.integers(-6, [width + 6, height + 6]))
    shape = tuple(rng.integers(0, 14, 2))
    ring = np.ones((7, 6), dtype=bool)
    ring[2:5, 2:4] = False
    kind = int(rng.integers(10))
    if kind == 0:
        return MaskCrop(any_layout(rng, np.ones(size, bool)), 0, 0)
    if kind == 1:
        return MaskCrop(np.ones((3, 3), bool), int(pick(rng, [10**9, -(10**9), 2**40])), y)
    mask = pick(
        rng, [np.ones(shape, bool), rng.random(shape) < 0.5, rng.random(shape) < 0.1, ring, np.ones((1, 1), bool)]
    )
    return MaskCrop(any_layout(rng, mask if kind > 2 else np.zeros(shape, bool)), x, y)


def any_crops(rng: Random, size: Size, most: int = 8) -> list[Any]:
    """Some cells; often one of them twice."""
    crops = [any_crop(rng, size) for _ in range(rng.integers(0, most + 1))]
    return crops + crops[:1] if rng.random() < 0.3 else crops


def inner_crops(rng: Random, size: Size, most: int = 8) -> list[Any]:
    """Cells with pixels in the image, as annotations are, tight."""
    clipped = [crop.clipped(size).tight() for crop in any_crops(rng, size, most)]
    return [crop for crop in clipped if crop.mask.size]


def any_boxes(rng: Random, size: Size, bad: float = 0.2) -> np.ndarray:
    """Boxes of the image, with a share of odd ones."""
    height, width = size
    thin = np.nextafter(np.float32(3), np.float32(4))
    odd = [
        (NAN, 0, 9, 9), (0, 0, INF, 9), (-INF, -INF, INF, INF), (9, 9, 2, 2), (4, 4, 4, 9), (500, 3, 520, 9),
        (-50, -50, -40, -40), (-HUGE, -HUGE, HUGE, HUGE), (3, 3, 1e30, 9), (3, 3, thin, 9), (0, 0, width, height),
    ]  # fmt: skip
    boxes = []
    for _ in range(rng.integers(0, 12)):
        low, side = rng.uniform(-4, [width, height]), rng.uniform(0.1, 14, 2)
        boxes.append(
            pick(rng, odd)
            if rng.random() < bad
            else pick(rng, boxes)
            if boxes and rng.random() < 0.2
            else (*low, *(low + side))
        )
    kind = pick(rng, [np.float32, np.float32, np.float64])
    return any_layout(rng, np.array(boxes, dtype=kind).reshape(-1, 4))


def any_scores(rng: Random, count: int, bad: float = 0.05) -> np.ndarray:
    """Scores, many of them equal."""
    good = [0.0, 0.05, 0.2, 0.5, 0.5, 0.5, 0.9, 1.0, float(rng.random())]
    values = [pick(rng, [NAN, INF, -INF, -1.0, HUGE]) if rng.random() < bad else pick(rng, good) for _ in range(count)]
    return any_layout(rng, np.array(values, dtype=np.float32))


def full(crops: Sequence[Any], size: Size) -> np.ndarray:
    """Full-size masks, by a loop over pixels that needs no window arithmetic."""
    masks = np.zeros((len(crops), *size), bool)
    for mask, crop in zip(masks, crops, strict=True):
        for row, column in np.argwhere(crop.mask).tolist():
            if 0 <= row + crop.y < size[0] and 0 <= column + crop.x < size[1]:
                mask[row + crop.y, column + crop.x] = True
    return masks


@cache
def test_module(name: str) -> ModuleType:
    """A module of the tests."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, TESTS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Masks and their codes


@function
def codes(rng: Random) -> None:
    """Codes of hostile cells come back as the cells' pixels in the image; both packages and both forms agree."""
    from pycocotools import mask as coco_mask

    from sartorius.masks import coco_rle, kaggle_rle
    from sartorius.masks.packed import PackedMasks
    from sartorius.masks.packed_rle import decode_coco, decode_kaggle, encode_coco, encode_kaggle

    size = pick(rng, SIZES)
    crops = any_crops(rng, size)
    masks, packed = full(crops, size), PackedMasks.from_crops(crops)
    coco, kaggle = encode_coco(packed, size), encode_kaggle(packed, size)
    for number, crop in enumerate(crops):
        expected = coco_mask.encode(np.asfortranarray(masks[number].view(np.uint8)))['counts'].decode()
        holds(coco_rle.encode(crop, size)['counts'] == coco[number] == expected, 'COCO code')
        holds(kaggle_rle.encode(crop, size) == kaggle[number], 'competition code')
        same(coco_rle.decode({'size': list(size), 'counts': coco[number]}).to_full(size), masks[number], 'COCO decode')
        if kaggle[number]:
            same(kaggle_rle.decode(kaggle[number], size).to_full(size), masks[number], 'competition decode')
    same(full(decode_coco(coco, size).crops, size), masks, 'packed COCO decode')
    filled = [code for code in kaggle if code]
    same(
        full(decode_kaggle(filled, size).crops, size),
        masks[[bool(code) for code in kaggle]],
        'packed competition decode',
    )


@function
def foreign_codes(rng: Random) -> None:
    """Spoilt codes: both forms agree on what they are, or both refuse."""
    from pycocotools import mask as coco_mask

    from sartorius.masks import coco_rle, kaggle_rle
    from sartorius.masks.packed_rle import decode_coco, decode_kaggle
    from sartorius.utils.errors import InputError

    size = pick(rng, SIZES)
    good = inner_crops(rng, size, 2)
    code = coco_rle.encode(good[0], size)['counts'] if good else ''
    for _ in range(rng.integers(0, 3)):
        place = int(rng.integers(len(code) + 1))
        code = (
            code[:place]
            + str(pick(rng, ['', '0', 'o', 'P', '\x7f', 'oooooooooooooo', '`' * 15, 'é']))
            + code[place + int(rng.integers(2)) :]
        )
    one, many = (
        _answer(lambda: coco_rle.decode({'size': list(size), 'counts': code})),
        _answer(lambda: decode_coco([code], size).crops[0]),
    )
    holds((one is None) == (many is None), f'COCO code {code!r} of {size}: one form refuses, the other does not')
    if one is not None:
        same(one.to_full(size), many.to_full(size), f'COCO code {code!r}')
        with warnings.catch_warnings(action='ignore'):
            theirs = coco_mask.decode({'size': list(size), 'counts': code})
        same(one.to_full(size), theirs.astype(bool), f'COCO code {code!r}')
    numbers = [
        int(pick(rng, [0, 1, 2, 3, 5, size[0] * size[1], -1, 2**31, 2**63, 10**25, *rng.integers(1, 200, 4)]))
        for _ in range(rng.integers(0, 7))
    ]
    text = str(pick(rng, [' ', ' ', ' ', '  ', '\t', ', '])).join(map(str, numbers)) + str(
        pick(rng, ['', '', ' ', ' x', '.0', '\x00', '٣'])
    )
    one, many = _answer(lambda: kaggle_rle.decode(text, size)), _answer(lambda: decode_kaggle([text], size).crops[0])
    holds((one is None) == (many is None), f'competition code {text!r} of {size}: one form refuses, the other does not')
    if one is not None:
        same(one.to_full(size), many.to_full(size), f'competition code {text!r}')
        flat = np.zeros(size[0] * size[1], int)
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            flat[start - 1 : start - 1 + length] += 1
        holds(
            flat.max(initial=0) <= 1 and min(numbers, default=1) > 0,
            f'competition code {text!r} breaks the rules and is read',
        )
        same(one.to_full(size), flat.reshape(size) > 0, f'competition code {text!r}')
    if one is None and many is None:
        raise InputError('refused')


def _answer(call: Callable[[], Any]) -> Any:
    from sartorius.utils.errors import InputError

    try:
        return call()
    except InputError:
        return None


@function
def packed_masks(rng: Random) -> None:
    """Every operation on packed masks against the same one on full-size arrays."""
    import cv2
    from scipy.ndimage import binary_fill_holes

    from sartorius.masks.packed import PackedMasks

    size = pick(rng, SIZES)
    crops = any_crops(rng, size)
    packed, masks = PackedMasks.from_crops(crops).clipped(size), full(crops, size)
    same(packed.areas, masks.sum((1, 2)), 'areas')
    same(full(packed.crops, size), masks, 'crops')
    same(full(packed.tight().crops, size), masks, 'tight')
    same(full(packed.flipped(size, True, False).crops, size), masks[:, :, ::-1], 'flipped')
    same(full(packed.flipped(size, False, True).crops, size), masks[:, ::-1], 'flipped')
    turned = full(packed.turned(size).crops, size[::-1])
    same(turned.sum((1, 2)), masks.sum((1, 2)), 'turned')
    same(
        full(packed.filled().crops, size),
        [binary_fill_holes(mask) for mask in masks] if len(masks) else masks,
        'filled',
    )
    x, y = (int(value) for value in rng.integers(-5, 6, 2))
    moved = np.zeros_like(masks)
    for number, row, column in np.argwhere(masks).tolist():
        if 0 <= row + y < size[0] and 0 <= column + x < size[1]:
            moved[number, row + y, column + x] = True
    same(full(packed.moved(x, y).crops, size), moved, 'moved')
    new = pick(rng, SIZES)
    resized = full(packed.resized(size, new).crops, new)
    expected = [cv2.resize(mask.view(np.uint8), new[::-1], interpolation=cv2.INTER_NEAREST) > 0 for mask in masks]
    same(resized, np.array(expected).reshape(-1, *new), 'resized')
    labels = packed.to_labels(size)
    holds(((labels > 0) == masks.any(0)).all(), 'label image')


@function
def label_images(rng: Random) -> None:
    """Label images of any type give one cell per label, or a sentence."""
    from sartorius.masks.packed import PackedMasks

    size = pick(rng, SIZES)
    kind = pick(rng, [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint32, np.uint64, bool, np.float32])
    top = 1 if kind is bool else int(pick(rng, [1, 5, 100, 100, 2**31 - 1, 2**63 - 1]))
    top = min(top, np.iinfo(kind).max) if np.dtype(kind).kind in 'iu' else min(top, 100)
    # The slow version needs a full-size mask for each number.
    top = min(top, 500) if kind is np.uint16 else top
    numbers = np.unique(rng.integers(-1 if rng.random() < 0.1 else 0, top, 5, endpoint=True))
    labels = any_layout(rng, rng.choice(numbers, size).astype(kind))
    packed = PackedMasks.from_labels(labels)
    expected = [labels == number for number in range(1, int(labels.max()) + 1)]
    same(full(packed.crops, size), np.array(expected).reshape(-1, *size), 'cells of labels')


@function
def overlapping(rng: Random) -> None:
    """Overlaps, IoU and the removal of overlaps against full-size masks."""
    from sartorius.masks.nms import containment_nms, mask_nms
    from sartorius.masks.overlap import mask_iou, resolve_overlaps

    size = pick(rng, SIZES)
    first, second = any_crops(rng, size), any_crops(rng, size)
    a, b = full(first, size), full(second, size)
    shared = (a[:, None] & b[None]).sum((2, 3))
    union = (a[:, None] | b[None]).sum((2, 3))
    same(mask_iou(first, second, size), shared / np.maximum(union, 1), 'IoU')
    scores = any_scores(rng, len(first), bad=0)
    kept = resolve_overlaps(first, scores, size, pick(rng, [0.0, 0.3, 1.0]))
    holds(full(kept, size).sum(0).max(initial=0) <= 1, 'two cells share a pixel')
    holds((full(kept, size) <= a).all(), 'a cell grew')
    iou = mask_iou(first, first, size)
    threshold = float(pick(rng, [0.0, 0.5, 1.0]))
    slow: list[int] = []
    for cell in np.argsort(-scores, kind='stable').tolist():
        if all(iou[cell, other] <= threshold for other in slow):
            slow.append(cell)
    same(mask_nms(first, scores, size, threshold), slow, 'mask NMS')
    chosen = containment_nms(first, scores, size, threshold)
    holds(len(set(chosen.tolist())) == len(chosen), 'a cell is kept twice')


@function
def boxes(rng: Random) -> None:
    """IoU, NMS and Soft-NMS of boxes, odd ones among them."""
    from sartorius.masks.nms import box_iou, box_nms, gaussian_soft_nms, linear_soft_nms

    given = any_boxes(rng, (24, 32))
    scores = any_scores(rng, len(given), bad=0.03)
    threshold = float(pick(rng, [0.0, 0.3, 0.7, 1.0]))
    with np.errstate(all='ignore'):
        iou = box_iou(given, given)
        kept = box_nms(given, scores, threshold)
        linear = linear_soft_nms(given, scores, threshold)
        gaussian = gaussian_soft_nms(given, scores, pick(rng, [0.5, 1e-3, 100.0]))
    holds(len(set(kept.tolist())) == len(kept) and set(kept.tolist()) <= set(range(len(given))), 'indices')
    usable = np.isfinite(given).all(axis=1)
    holds(((iou[usable][:, usable] >= 0) & (iou[usable][:, usable] <= 1 + 1e-12)).all(), 'IoU beyond 0 to 1')
    if usable.all() and np.isfinite(scores).all():
        slow: list[int] = []
        for cell in np.argsort(-scores, kind='stable').tolist():
            if all(iou[cell, other] <= threshold for other in slow):
                slow.append(cell)
        same(kept, slow, 'box NMS')
        holds(
            (np.abs(linear) <= np.abs(scores) + 1e-6).all() and (np.abs(gaussian) <= np.abs(scores) + 1e-6).all(),
            'Soft-NMS raises a score',
        )


@function
def pasting(rng: Random) -> None:
    """Soft masks in odd boxes stay within the image and within their boxes."""
    from sartorius.masks.paste import binarise, paste_soft_mask

    size = pick(rng, SIZES)
    given = any_boxes(rng, size, bad=0.4)
    side = int(rng.integers(1, 9))
    soft = rng.random((len(given), side, side)).astype(np.float32)
    if rng.random() < 0.2:
        soft[rng.random(soft.shape) < 0.1] = pick(rng, [NAN, INF, -1, 2])
    soft = any_layout(rng, soft)
    limits = pick(rng, [0.5, 0.0, 1.0, any_scores(rng, len(given), 0)])
    crops = binarise(soft, given, size, limits)
    holds(len(crops) == len(given), 'one crop per box')
    for number, (crop, box) in enumerate(zip(crops, given.tolist(), strict=True)):
        x1, y1, x2, y2 = crop.window
        holds(
            not crop.mask.size or (0 <= x1 < x2 <= size[1] and 0 <= y1 < y2 <= size[0]),
            f'window {crop.window} of box {box}',
        )
        pasted, left, top = paste_soft_mask(soft[number], given[number], size)
        holds(pasted.shape == crop.mask.shape and (not pasted.size or (left, top) == (x1, y1)), 'another window')
        limit = np.float32(limits if np.isscalar(limits) else limits[number])
        same(crop.mask, pasted >= limit, 'cut at the threshold')


@function
def polygons(rng: Random) -> None:
    """Polygons with corners anywhere, against the rule of even and odd for each pixel's centre."""
    from sartorius.masks.polygons import ellipse, fill_polygons

    size = pick(rng, SIZES[:7])
    extremes = [NAN, INF, -INF, 1e308, -1e308, 2**53, -(2**31), 1e-320]
    rings = [rng.integers(-6, 40, (int(rng.integers(0, 7)), 2)).astype(float) for _ in range(rng.integers(0, 4))]
    odd = rng.random() < 0.2 and any(ring.size for ring in rings)
    if odd:
        ring = pick(rng, [ring for ring in rings if ring.size])
        ring[int(rng.integers(len(ring))), int(rng.integers(2))] = pick(rng, extremes)
    crop = fill_polygons([any_layout(rng, ring) for ring in rings], size)
    x1, y1, x2, y2 = crop.window
    holds(not crop.mask.size or (0 <= x1 < x2 <= size[1] and 0 <= y1 < y2 <= size[0]), f'window {crop.window}')
    if not odd:
        same(crop.to_full(size), _even_odd(rings, size), 'polygons')
    values = [
        float(pick(rng, [*extremes[:5], 0.0, 5.0, -3.5, 12.25])) if rng.random() < 0.3 else float(rng.uniform(1, 30))
        for _ in range(5)
    ]
    if np.isfinite(values).all() and min(values[2:4]) > 0:
        with np.errstate(all='ignore'):
            disc = ellipse((values[0], values[1]), (values[2], values[3]), values[4], size)
        left, top, right, bottom = disc.window
        holds(not disc.mask.size or (0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]), 'ellipse')


def _even_odd(rings: Sequence[np.ndarray], size: Size) -> np.ndarray:
    mask = np.zeros(size, bool)
    sides = [
        (*ring[number], *ring[(number + 1) % len(ring)])
        for ring in rings
        if len(ring) > 2
        for number in range(len(ring))
    ]
    for row in range(size[0]):
        y = row + 0.5
        crossings = [x1 + (y - y1) * (x2 - x1) / (y2 - y1) for x1, y1, x2, y2 in sides if (y1 <= y) != (y2 <= y)]
        for column in range(size[1]):
            mask[row, column] = (
                sum(crossing + 1e-8 < column + 0.5 + 1e-16 and crossing + 1e-8 < column + 0.5 for crossing in crossings)
                % 2
            )
    return mask


@function
def pieces(rng: Random) -> None:
    """Holes and pieces of odd cells."""
    from scipy.ndimage import binary_fill_holes, label

    from sartorius.masks.convex_fill import fill_as_convex, undo_convex_fill
    from sartorius.masks.pieces import drop_fragments, fill_holes, join_pieces, largest_piece, piece_areas

    crop = any_crop(rng, (24, 32))
    (filled,) = fill_holes([crop])
    same(filled.mask, binary_fill_holes(crop.mask), 'holes')
    areas = piece_areas(crop)
    holds(sum(areas) == crop.area and len(areas) == label(crop.mask, np.ones((3, 3)))[1], 'pieces')
    largest = largest_piece(crop)
    holds(largest.area == max(areas, default=0) and (largest.mask <= crop.mask).all(), 'largest piece')
    kept = drop_fragments(crop, pick(rng, [0.0, 0.5, 1.0]), pick(rng, [0, 5, INF]))
    holds((kept.mask <= crop.mask).all() and (kept.area > 0) == (crop.area > 0), 'fragments')
    joined = join_pieces(crop, int(pick(rng, [0, 1, 3])))
    holds((joined.mask >= crop.mask).all(), 'joined pieces')
    convex = fill_as_convex(crop)
    holds(convex.window == crop.window and (convex.area > 0) == (crop.area > 0), 'convex fill')
    holds(undo_convex_fill(crop)[0].area <= crop.area, 'undone fill')


# Scores


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


# Labels, images, fusion, post-processing, exports


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
