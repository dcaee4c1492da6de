"""To and from COCO results JSON, so that any other detector can join.

A results list has one dict a cell: ``image_id``, ``category_id``, ``score``, ``bbox`` (``x, y, width, height``) and
``segmentation`` (COCO RLE with ``counts`` a str), which a detector of boxes leaves out. What the ids mean stands in a
COCO dataset dict with ``images`` (``id``, ``file_name``, ``height``, ``width``) and ``categories`` (``id``, ``name``),
as in any COCO annotation file.
Format: https://cocodataset.org/#format-results.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.masks.coco_rle import decode, encode
from sartorius.masks.crop import MaskCrop
from sartorius.masks.paste import binarise
from sartorius.predictions.store import DEFAULT_GRID
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.files import sha256_of, write_text
from sartorius.utils.paths import display_path


def read_coco_results(
    path: str | Path, dataset_path: str | Path, classes: Sequence[str] = CELL_TYPES, grid: int | None = None
) -> PredictionSet:
    """Reads another detector's results file and the COCO JSON whose images and categories it names.

    Raises:
        InputError: As :func:`from_coco_results`, with the file named; or a file that is no JSON.
        OSError: A file cannot be opened.
    """
    results, dataset = _read_json(path), _read_json(dataset_path)
    source = {'kind': 'coco_results', 'results': str(path), 'sha256': sha256_of(path), 'dataset': str(dataset_path)}
    try:
        return from_coco_results(results, dataset, classes, grid, source)
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}') from None


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
    """COCO results, one dict a cell, in the order of the predictions.

    Masks are the binary ``crops`` where the predictions have them, else the soft masks cut at 0.5. Boxes are the
    predictions' own, unrounded.

    Raises:
        InputError: An image or class that ``dataset`` does not have.
    """
    image_ids = {Path(image['file_name']).stem: image['id'] for image in _entries(dataset, 'images')}
    category_ids = {category['name']: category['id'] for category in _entries(dataset, 'categories')}
    for name in predictions.classes:
        if name not in category_ids:
            raise InputError(f'the COCO categories lack the class {name}; they have {", ".join(category_ids)}')
    results = []
    for image in predictions.images:
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
    classes: Sequence[str] = CELL_TYPES,
    grid: int | None = None,
    source: Mapping[str, Any] | None = None,
) -> PredictionSet:
    """Another detector's results as a prediction set.

    A mask is brought to the grid of its box by :func:`area_average`; what lies outside the box is lost. A result
    without ``bbox`` gets the box of its mask. Results of which none has a ``segmentation`` become boxes without masks;
    where only some have one, the others are refused: any mask made up for them would spoil the real ones.

    Args:
        results: Dicts as the module describes. ``image_id`` may also be the file name without suffix, as YOLO writes.
        dataset: COCO dict; all its ``images`` are in the result, those without results as empty ones.
        classes: Names that the labels of the result index; every category used must be among them.
        grid: Side of the soft masks' grid; 0 leaves the masks out. If None 28, or 0 where no result has a mask.
        source: Where the results came from.

    Raises:
        InputError: Naming the result (counted from 0), the key and the value: a missing key, an unknown image or
            category, a size that is not the image's, a box without area, a score outside 0 to 1, a broken RLE.
    """
    if not isinstance(results, Sequence) or isinstance(results, str):
        raise InputError('not COCO results: the JSON must be a list of dicts')
    images = {image['id']: image for image in _entries(dataset, 'images')}
    names = {category['id']: category['name'] for category in _entries(dataset, 'categories')}
    by_name = {Path(image['file_name']).stem: key for key, image in images.items()}
    if grid is None:
        grid = DEFAULT_GRID if not results or any(map(_has_mask, results)) else 0
    cells: dict[Any, list[tuple[list[float], float, int, NDArray[np.float32]]]] = {key: [] for key in images}
    for number, result in enumerate(results):
        try:
            image_id = _known(result, 'image_id', images, by_name)
            name = names[_known(result, 'category_id', names)]
            if name not in classes:
                raise InputError(f'category {name} is not among the classes {", ".join(classes)}')
            size = (int(images[image_id]['height']), int(images[image_id]['width']))
            box, score, crop = _read_cell(result, size, with_mask=grid > 0)
            soft_mask = area_average(crop, box, grid) if grid else np.zeros((0, 0), np.float32)
            cells[image_id].append((box, score, list(classes).index(name), soft_mask))
        except InputError as error:
            raise InputError(f'result {number}: {error}') from None
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f'result {number} is not as COCO writes it ({type(error).__name__}: {error})') from None
    return PredictionSet(
        images=tuple(_collect(images[key], found, grid) for key, found in cells.items()),
        classes=tuple(classes),
        source={'kind': 'coco_results'} if source is None else source,
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
    rows = _overlaps(np.linspace(y1, y2, grid + 1), np.arange(top, bottom + 1))
    columns = _overlaps(np.linspace(x1, x2, grid + 1), np.arange(left, right + 1))
    return (rows @ crop.mask @ columns.T).clip(0, 1).astype(np.float32)


def _overlaps(edges: NDArray[np.float64], pixels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share ``(S, pixels)`` of each grid cell that each pixel takes along one axis, from their edges."""
    low = np.maximum(edges[:-1, None], pixels[None, :-1])
    high = np.minimum(edges[1:, None], pixels[None, 1:])
    return np.clip(high - low, 0, None) / np.diff(edges)[:, None]


def _read_cell(
    result: Mapping[str, Any], size: tuple[int, int], with_mask: bool
) -> tuple[list[float], float, MaskCrop | None]:
    """Box ``x1, y1, x2, y2``, score and mask (None unless ``with_mask``) of one result."""
    score = float(result['score'])
    if not 0 <= score <= 1:
        raise InputError(f'score {score} lies outside 0 to 1')
    crop = _read_mask(result, size) if with_mask else None
    if result.get('bbox') is None and crop is not None:
        box = [float(edge) for edge in crop.window]
    else:
        x, y, width, height = (float(value) for value in result['bbox'])
        box = [x, y, x + width, y + height]
    if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
        raise InputError(f'box {box} (x1, y1, x2, y2) has no area; leave the result out')
    return box, score, crop


def _read_mask(result: Mapping[str, Any], size: tuple[int, int]) -> MaskCrop:
    if not _has_mask(result):
        raise InputError('no segmentation; boxes without masks cannot join results that have some, give them apart')
    rle = result['segmentation']
    if not isinstance(rle, Mapping):
        raise InputError('segmentation is a polygon; convert it to RLE with pycocotools.mask.frPyObjects and merge')
    if list(rle['size']) != list(size):
        raise InputError(f'segmentation has size {list(rle["size"])}, its image is {list(size)} (height, width)')
    return decode(rle)


def _collect(
    image: Mapping[str, Any], cells: Sequence[tuple[list[float], float, int, NDArray[np.float32]]], grid: int
) -> ImagePredictions:
    image_id, size = Path(image['file_name']).stem, (int(image['height']), int(image['width']))
    if not cells:
        return ImagePredictions.empty(image_id, size, grid)
    boxes, scores, labels, soft_masks = zip(*cells, strict=True)
    return ImagePredictions(
        image_id=image_id,
        size=size,
        boxes=np.array(boxes, dtype=np.float32),
        scores=np.array(scores, dtype=np.float32),
        labels=np.array(labels, dtype=np.int64),
        soft_masks=np.stack(soft_masks),
    )


def _has_mask(result: object) -> bool:
    return isinstance(result, Mapping) and bool(result.get('segmentation'))


def _known(
    result: Mapping[str, Any], key: str, lookup: Mapping[Any, Any], by_name: Mapping[str, Any] | None = None
) -> Any:
    value = result[key]
    if value not in lookup and by_name and value in by_name:
        return by_name[value]
    if value not in lookup:
        raise InputError(f'{key} {value!r} is not in the COCO dataset; use the JSON that the detector ran on')
    return value


def _entries(dataset: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    """``images`` or ``categories`` of a COCO dict, checked for what is used of them."""
    needed = {'images': ('id', 'file_name', 'height', 'width'), 'categories': ('id', 'name')}[key]
    entries = dataset.get(key) if isinstance(dataset, Mapping) else None
    if not isinstance(entries, Sequence):
        raise InputError(f'the COCO dataset has no list of {key}')
    for number, entry in enumerate(entries):
        for name in needed:
            if name not in entry:
                raise InputError(f'entry {number} of the COCO {key} lacks {name}')
    return entries


def _read_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise InputError(f'{display_path(path)}: not JSON ({error})') from None
