"""Reading and writing COCO results JSON, so that predictions of any other detector can be fused and scored.

A results list has one dict per cell: ``image_id``, ``category_id``, ``score``, ``bbox`` (``x, y, width, height``) and
``segmentation`` (RLE or polygons), which a detector of boxes omits. The meaning of the ids is in a COCO dataset dict
with ``images`` (``id``, ``file_name``, ``height``, ``width``) and ``categories`` (``id``, ``name``), as in any COCO
annotation file.
Format: https://cocodataset.org/#format-results.
"""

import json
import logging
import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.coco_index import CocoIndex, index_coco, is_id, naming, read_coco_index, unknown_id
from sartorius.annotations.segmentation import compressed_counts, reaches_beyond
from sartorius.annotations.structures import CocoImage
from sartorius.images.image_ids import describe_matches, image_id_of, match_image_ids
from sartorius.images.size_limit import check_edges
from sartorius.masks.coco_rle import CocoRLE, decode, encode
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.paste import binarise
from sartorius.predictions.provenance import ForeignSource, Source
from sartorius.predictions.store import DEFAULT_GRID
from sartorius.predictions.structures import ImagePredictions, PredictionSet, with_known_ids
from sartorius.utils.classes import classes_of_file
from sartorius.utils.errors import InputError, shown
from sartorius.utils.files import sha256_of, write_text
from sartorius.utils.input_text import read_json
from sartorius.utils.paths import display_path

logger = logging.getLogger(__name__)

_EMPTY = 'have a mask without pixels; they are dropped'
_APART = 'have a mask that lies outside their box or their image; they are dropped'
_OUTSIDE = 'have a box outside their image; they are dropped'
_CUT = 'have a mask that reaches beyond their box; what lies outside it is lost'
_LOST = (_EMPTY, _APART, _OUTSIDE, _CUT)

_Cell = tuple[list[float], float, NDArray[np.float32], int]
"""Box ``x1, y1, x2, y2``, score, soft mask and label."""


def read_coco_results(
    path: str | Path, dataset_path: str | Path, classes: Sequence[str] | None = None, grid: int | None = None
) -> PredictionSet:
    """Reads another detector's results file and the COCO JSON whose images and categories it names.

    Raises:
        InputError: As :func:`from_coco_results`, with the file named; or a file that is not JSON.
        OSError: A file cannot be opened.
    """
    results, index = read_json(path), read_coco_index(dataset_path, annotated=False)
    source = ForeignSource(kind='coco_results', file=str(path), sha256=sha256_of(path), dataset=str(dataset_path))
    with naming(display_path(path)):
        return _to_predictions(results, index, classes, grid, source)


def write_coco_results(path: str | Path, predictions: PredictionSet, dataset: Mapping[str, Any] | None = None) -> None:
    """Writes a results file atomically; ``dataset`` as in :func:`to_coco_results`, :func:`dataset_of` if None."""
    results = to_coco_results(predictions, dataset_of(predictions) if dataset is None else dataset)
    write_text(path, json.dumps(results))


def dataset_of(predictions: PredictionSet) -> dict[str, Any]:
    """COCO ``images`` and ``categories`` for a prediction set alone: ids count from 1, file names are the image ids."""
    images = [
        {'id': number, 'file_name': f'{image.image_id}.png', 'height': image.size[0], 'width': image.size[1]}
        for number, image in enumerate(predictions.images, start=1)
    ]
    return {
        'images': images,
        'categories': [{'id': number, 'name': name} for number, name in enumerate(predictions.classes, start=1)],
    }


def to_coco_results(predictions: PredictionSet, dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    """COCO results, one dict per cell, in the order of the predictions.

    Masks are the binary ``crops`` where the predictions have them, else the soft masks cut at 0.5. Boxes are the
    predictions' own, unrounded.

    Raises:
        InputError: An image or class that ``dataset`` does not have.
    """
    index = index_coco(dataset, annotated=False)
    image_ids = index.id_by_name
    category_ids = {name: number for number, name in index.categories.items()}
    for name in predictions.classes:
        if name not in category_ids:
            raise InputError(f'the COCO categories lack the class {name}; they have {", ".join(category_ids)}')
    results = []
    for image in with_known_ids(predictions, image_ids).images:
        if image.image_id not in image_ids:
            raise InputError(f'the COCO images lack {image.image_id}; use the JSON of the images predicted on')
        crops = binarise(image.soft_masks, image.boxes, image.size) if image.crops is None else image.crops
        for box, score, label, crop in zip(image.boxes, image.scores, image.labels, crops, strict=True):
            x1, y1, x2, y2 = box.tolist()
            results.append(
                {
                    'image_id': image_ids[image.image_id],
                    'category_id': category_ids[predictions.classes[label]],
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'score': float(score),
                    'segmentation': encode(crop, image.size),
                }
            )
    return results


def from_coco_results(
    results: Sequence[Mapping[str, Any]],
    dataset: Mapping[str, Any],
    classes: Sequence[str] | None = None,
    grid: int | None = None,
    source: Source | None = None,
) -> PredictionSet:
    """Another detector's results as a prediction set.

    A mask is brought to the grid of its box by :func:`area_average`; what lies outside the box is lost. A result
    without ``bbox`` gets the box of its mask. Results of which none has a ``segmentation`` become boxes without masks;
    where only some have one, the others are refused: any mask made up for them would spoil the real ones. A result
    whose mask has no pixels, or none in its box, or whose box lies outside the image, is dropped. What is dropped, and
    what is cut off by a box, is counted and logged as a warning.

    Which image a result is of: the one of its ``file_name`` if it has one (Ultralytics' YOLO writes it, beside an
    ``image_id`` that is the number in the name, and no id of the dataset); else the one whose id is its ``image_id``;
    else the one whose file name without suffix is its ``image_id``, as text or as a number. A number that is the id of
    one image and the name of another is refused once any other result's number was taken for a name.

    Args:
        results: Dicts as the module describes.
        dataset: COCO dict; all its ``images`` are in the result, those without results as empty ones.
        classes: Names that the labels of the result index; every category used must be among them. None: the names of
            the categories (:func:`sartorius.utils.classes.classes_of_file`).
        grid: Side of the soft masks' grid; 0 for boxes without masks. If None 28, or 0 where no result has a mask.
        source: Where the results came from.

    Raises:
        InputError: Naming the result (counted from 0), the key and the value: a missing key, an unknown image or
            category, a size that is not the image's, a box without area, a score outside 0 to 1, a broken mask.
    """
    return _to_predictions(results, index_coco(dataset, annotated=False), classes, grid, source)


def _to_predictions(
    results: Any, index: CocoIndex, classes: Sequence[str] | None, grid: int | None, source: Source | None
) -> PredictionSet:
    """See :func:`from_coco_results`."""
    if not isinstance(results, Sequence) or isinstance(results, str):
        raise InputError('not COCO results: the JSON must be a list of dicts')
    if grid is None:
        grid = DEFAULT_GRID if not results or any(map(_has_mask, results)) else 0
    numbers = _image_numbers(results, index)
    if classes is None:
        named = {result.get('category_id') for result in results if is_id(result.get('category_id'))}
        used = {index.categories[key] for key in named if key in index.categories}
        classes = classes_of_file(used, index.categories.values())
    cells: dict[int | str, list[_Cell]] = {key: [] for key in index.images}
    counts: Counter[str] = Counter()
    for place, (result, number) in enumerate(zip(results, numbers, strict=True)):
        try:
            cell = _read_cell(result, index.images[number], grid, counts)
            if cell is None:
                continue
            name = index.categories[_known(result, 'category_id', index.categories)]
            if name not in classes:
                raise InputError(f'category {name} is not among the classes {", ".join(classes)}')
            cells[number].append((*cell, list(classes).index(name)))
        except InputError as error:
            raise InputError(f'result {place}: {error}') from None
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f'result {place} is not as COCO writes it ({type(error).__name__}: {error})') from None
    for what in filter(counts.get, _LOST):
        logger.warning(f'{counts[what]:,} of {len(results):,} COCO results {what}')
    return PredictionSet(
        images=tuple(_collect(index.images[key], found, grid) for key, found in cells.items()),
        classes=tuple(classes),
        source=source or ForeignSource(kind='coco_results'),
    )


def area_average(crop: MaskCrop, box: Sequence[float], grid: int) -> NDArray[np.float32]:
    """Share of each grid cell of a box that a mask covers: the exact area average.

    Args:
        crop: The cell in image pixels, each pixel a unit square.
        box: ``x1, y1, x2, y2`` in pixels, half-open, with an area.
        grid: Side S of the grid that spans the box.

    Returns:
        float32 ``(S, S)`` in [0, 1].
    """
    left, top, right, bottom = crop.window
    x1, y1, x2, y2 = box
    rows = _overlaps(y1, y2, grid, np.arange(top, bottom + 1))
    columns = _overlaps(x1, x2, grid, np.arange(left, right + 1))
    return (rows @ crop.mask @ columns.T).clip(0, 1).astype(np.float32)


def _overlaps(start: float, end: float, grid: int, pixels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share ``(S, pixels)`` of each grid cell that each pixel takes along one axis, from the pixels' edges."""
    # As np.linspace, clip and diff, whose calls take longer than such small arrays do.
    edges = np.arange(grid + 1) * ((end - start) / grid) + start
    edges[-1] = end
    low = np.maximum(edges[:-1, None], pixels[:-1])
    high = np.minimum(edges[1:, None], pixels[1:])
    return np.maximum(high - low, 0) / (edges[1:] - edges[:-1])[:, None]


def _image_numbers(results: Sequence[Any], index: CocoIndex) -> list[int | str]:
    """Id in the dataset of each result's image: see :func:`from_coco_results`."""
    by_name = index.id_by_name
    known = _match_names(results, index)
    by_number = _ids_by_number(index)
    numbers: list[int | str] = []
    ids_that_are_names: list[int] = []
    names = 0
    for place, result in enumerate(results):
        if not isinstance(result, Mapping) or not {'image_id', 'file_name'} & result.keys():
            raise InputError(f'result {place} is not as COCO writes it: it has no image_id')
        if result.get('file_name') is not None:
            name = image_id_of(str(result['file_name']))
            if name not in known:
                raise InputError(f'result {place}: file_name {result["file_name"]!r} is not among the COCO images')
            numbers.append(by_name[known[name]])
            continue
        value = result['image_id']
        if not is_id(value):
            raise InputError(f'result {place} is not as COCO writes it: its image_id is {shown(value)}')
        if isinstance(value, int):
            named = by_number.get(value, [])
        else:
            named = [by_name[known[value]]] if value in known else []
        if value in index.images:
            numbers.append(value)
            if named not in ([], [value]):
                ids_that_are_names.append(place)
        elif len(named) == 1:
            numbers.append(named[0])
            names += isinstance(value, int)
        elif named:
            files = ' and '.join(index.images[number].file_name for number in named)
            raise InputError(f'result {place}: image_id {value!r} may be {files}; write the file_name beside it')
        else:
            raise InputError(
                f'result {place}: image_id {value!r} is not in the COCO dataset; use the JSON that the detector ran on'
            )
    if names and ids_that_are_names:
        place = ids_that_are_names[0]
        value = results[place]['image_id']
        file = index.images[by_number[value][0]].file_name if isinstance(value, int) else value
        raise InputError(
            f'result {place}: image_id {value!r} is the id of {index.images[value].file_name} and the name of {file}, '
            'and other results are named by the number of their file; write the file_name beside each image_id'
        )
    return numbers


def _match_names(results: Sequence[Any], index: CocoIndex) -> dict[str, str]:
    """Image id by each name that results give: a file name, or text as ``image_id`` that is no id of the dataset."""
    names: dict[str, None] = {}
    for result in results:
        if not isinstance(result, Mapping):
            continue
        if result.get('file_name') is not None:
            names[image_id_of(str(result['file_name']))] = None
        elif isinstance(result.get('image_id'), str):
            names[result['image_id']] = None
    matched = match_image_ids(names, index.id_by_name)
    sentence = describe_matches(matched)
    if sentence:
        logger.warning(sentence)
    return matched


def _ids_by_number(index: CocoIndex) -> dict[int, list[int | str]]:
    """Ids of the images whose file name is a number, by that number: ``0001.png`` and ``1.png`` have the same."""
    numbers: dict[int, list[int | str]] = {}
    for image_id, number in index.id_by_name.items():
        name = image_id.rpartition('/')[2]
        if name.isascii() and name.isdecimal():
            numbers.setdefault(int(name), []).append(number)
    return numbers


def _read_cell(
    result: Mapping[str, Any], image: CocoImage, grid: int, counts: Counter[str]
) -> tuple[list[float], float, NDArray[np.float32]] | None:
    """Box ``x1, y1, x2, y2``, score and soft mask of one result; None, and counted, if nothing of it is left."""
    size = image.size
    score = _number(result['score'], 'score')
    if not 0 <= score <= 1:
        raise InputError(f'score {score} lies outside 0 to 1')
    crop = _read_mask(result, size) if grid else None
    if crop is not None and not crop.mask.size:
        is_apart = reaches_beyond(result['segmentation'], size)
        counts[_APART if is_apart else _EMPTY] += 1
        return None
    if result.get('bbox') is None and crop is not None:
        box = [float(edge) for edge in crop.window]
    else:
        sides = result['bbox']
        if not isinstance(sides, list | tuple) or len(sides) != 4:
            raise InputError(f'bbox {shown(sides)} is no list of x, y, width and height')
        x, y, width, height = (_number(value, 'bbox') for value in sides)
        box = [x, y, x + width, y + height]
    # As the predictions hold it, where a large number may swallow a small width.
    x1, y1, x2, y2 = array('f', box)
    if not (math.isfinite(x1 + y1 + x2 + y2) and x1 < x2 and y1 < y2):
        raise InputError(f'box {box} (x1, y1, x2, y2) has no area; remove the result')
    try:
        check_edges(box)
    except InputError as error:
        raise InputError(f'image {image.image_id}: {error}') from None
    if box[2] <= 0 or box[3] <= 0 or box[0] >= size[1] or box[1] >= size[0]:
        counts[_OUTSIDE] += 1
        return None
    if crop is None:
        return box, score, np.zeros((0, 0), np.float32)
    soft_mask = area_average(crop, box, grid)
    # What a predictions file rounds to nothing is nothing.
    if soft_mask.max() < 1 / 510:
        counts[_APART] += 1
        return None
    left, top, right, bottom = crop.window
    counts[_CUT] += left < box[0] - 1 or top < box[1] - 1 or right > box[2] + 1 or bottom > box[3] + 1
    return box, score, soft_mask


def _read_mask(result: Mapping[str, Any], size: Size) -> MaskCrop:
    if result.get('segmentation') is None:
        raise InputError(
            'no segmentation; boxes without masks cannot be mixed with results that have masks, give them in a file of '
            'their own'
        )
    return decode(CocoRLE(size=list(size), counts=compressed_counts(result['segmentation'], size)))


def _collect(image: CocoImage, cells: Sequence[_Cell], grid: int) -> ImagePredictions:
    if not cells:
        return ImagePredictions.empty(image.image_id, image.size, grid)
    boxes, scores, soft_masks, labels = zip(*cells, strict=True)
    return ImagePredictions(
        image_id=image.image_id,
        size=image.size,
        boxes=np.array(boxes, dtype=np.float32),
        scores=np.array(scores, dtype=np.float32),
        labels=np.array(labels, dtype=np.int64),
        soft_masks=np.stack(soft_masks),
    )


def _has_mask(result: object) -> bool:
    return isinstance(result, Mapping) and bool(result.get('segmentation'))


def _known(result: Mapping[str, Any], key: str, lookup: Mapping[Any, Any]) -> Any:
    value = result[key]
    if not is_id(value) or value not in lookup:
        what = unknown_id(value, lookup, 'categories of the COCO dataset')
        raise InputError(f'{key} {what}; use the JSON that the detector ran on')
    return value


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f'{name} {shown(value)} is no number')
    return float(value)
