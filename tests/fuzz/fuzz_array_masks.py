"""Hostile arrays for masks, their codes, boxes and outlines, held against slow and obvious versions."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fuzz_array_inputs import INF, NAN, SIZES, any_boxes, any_crop, any_crops, any_layout, any_scores, inner_crops
from fuzz_array_registry import Size, full, function, holds, same
from fuzz_mutations import Random, pick


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
