"""True cells in COCO JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sartorius.annotations.structures import ImageAnnotations
from sartorius.masks import coco_rle
from sartorius.masks.coco_rle import CocoRLE
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import decode_coco, encode_coco
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path


@dataclass(frozen=True, slots=True)
class CocoCell:
    """One annotation.

    Attributes:
        label: Index into the classes of the JSON.
        segmentation: The mask.
        area: Its pixels.
        bbox: ``x, y, width, height`` in pixels, tight to the mask.
    """

    label: int
    segmentation: CocoRLE
    area: int
    bbox: tuple[int, int, int, int]


@dataclass(frozen=True)
class CocoImage:
    """One image with its annotations.

    Attributes:
        file_name: Path relative to the data root, with forward slashes.
        size: Image ``(height, width)`` in pixels.
        cells: Its annotations; may be empty.
        details: Further entries of the image in the JSON, such as ``cell_type`` and ``group``.
    """

    file_name: str
    size: Size
    cells: Sequence[CocoCell] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def cells_from_crops(
    crops: Sequence[MaskCrop], labels: int | Sequence[int] | NDArray[np.int64], size: Size
) -> list[CocoCell]:
    """Annotations of the parts of crops that lie in an image of ``(height, width)``; none may be empty there.

    ``labels`` is one for all cells, or one a cell.
    """
    cells = PackedMasks.from_crops(crops).clipped(size).tight()
    boxes = zip(*cells.windows[:, :2].T.tolist(), cells.widths.tolist(), cells.heights.tolist(), strict=True)
    height, width = int(size[0]), int(size[1])
    each = np.broadcast_to(labels, len(cells)).tolist()
    return [
        CocoCell(label, CocoRLE(size=[height, width], counts=counts), area, box)
        for label, counts, area, box in zip(each, encode_coco(cells, size), cells.areas.tolist(), boxes, strict=True)
    ]


def cell_from_polygons(polygons: Sequence[Sequence[float]], label: int, size: Size) -> CocoCell:
    """Annotation of the union of polygons ``[x1, y1, x2, y2, ...]``, rasterised as COCO's own tools do.

    Raises:
        InputError: No polygon, one with fewer than three points or an odd number of values, or a point that is not a
            number or lies more than ten times the image's size away.
    """
    if not polygons:
        raise InputError('no polygon')
    for polygon in polygons:
        # pycocotools would take four values for a box, and memory for every pixel along an edge to a far point.
        if len(polygon) < 6 or len(polygon) % 2:
            raise InputError(f'a polygon of {len(polygon)} values; it must be x y pairs of three points or more')
        if not np.abs(polygon).max() <= 10 * max(size):
            raise InputError('a polygon with a point that is no number or lies far outside the image')
    rle = coco_mask.merge(coco_mask.frPyObjects([list(polygon) for polygon in polygons], *size))
    x, y, width, height = (int(value) for value in coco_mask.toBbox(rle))
    segmentation = CocoRLE(size=[int(size[0]), int(size[1])], counts=rle['counts'].decode('ascii'))
    return CocoCell(label, segmentation, int(coco_mask.area(rle)), (x, y, width, height))


def write_coco(path: str | Path, images: Iterable[CocoImage], classes: Sequence[str], info: Mapping[str, Any]) -> None:
    """Writes a COCO JSON atomically, image by image.

    Images and annotations are numbered from 1 in the given order; categories from 1 in the order of ``classes``.
    """
    images = tuple(images)
    categories = [{'id': number, 'name': name, 'supercategory': 'cell'} for number, name in enumerate(classes, 1)]
    with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write(f'{{"info": {json.dumps(info)},\n"categories": {json.dumps(categories)},\n"images": [\n')
        file.write(',\n'.join(json.dumps(_image_entry(number, image)) for number, image in enumerate(images, 1)))
        file.write('\n],\n"annotations": [\n')
        cells = ((number, cell) for number, image in enumerate(images, 1) for cell in image.cells)
        for index, (image_number, cell) in enumerate(cells):
            file.write(',\n' if index else '')
            file.write(json.dumps(_cell_entry(index + 1, image_number, cell)))
        file.write('\n]}\n')


def read_coco(path: str | Path, classes: Sequence[str] = CELL_TYPES) -> dict[str, ImageAnnotations]:
    """Reads the cells of a COCO JSON, in the order of its images.

    Args:
        path: COCO JSON whose masks are compressed RLE with a str or polygons; images without annotations are kept.
        classes: Names that the categories may have; labels index into it.

    Returns:
        Annotations by image id (the file name without folder and suffix).

    Raises:
        InputError: The file is missing or no COCO JSON; two images have the same id; an annotation names an image or
            category that is not there; a mask is malformed or has another size than its image.
    """
    path = Path(path)
    content = _read_json(path)
    labels = {}
    for category in content['categories']:
        if category['name'] not in classes:
            raise InputError(f'{path}: unknown category {category["name"]!r}; the classes are {", ".join(classes)}')
        labels[category['id']] = classes.index(category['name'])
    images: dict[Any, tuple[str, Size]] = {
        image['id']: (Path(image['file_name']).stem, (image['height'], image['width'])) for image in content['images']
    }
    found: dict[Any, list[tuple[dict[str, Any], str]]] = {number: [] for number in images}
    for annotation in content['annotations']:
        where = _where(path, annotation)
        if annotation['image_id'] not in images:
            raise InputError(f'{where}: its image {annotation["image_id"]!r} is not among the images')
        if annotation['category_id'] not in labels:
            raise InputError(f'{where}: its category {annotation["category_id"]!r} is not among the categories')
        try:
            counts = _counts_of(annotation['segmentation'], images[annotation['image_id']][1])
        except InputError as error:
            raise InputError(f'{where}: {error}') from None
        found[annotation['image_id']].append((annotation, counts))
    annotated: dict[str, ImageAnnotations] = {}
    for number, (image_id, size) in images.items():
        if image_id in annotated:
            raise InputError(f'{path}: two images are called {image_id}; file names must differ by more than folder')
        crops = _decode(path, found[number], size)
        image_labels = np.array([labels[annotation['category_id']] for annotation, _ in found[number]], dtype=np.int64)
        annotated[image_id] = ImageAnnotations(image_id, size, crops, image_labels)
    return annotated


def read_image_details(path: str | Path) -> dict[str, dict[str, Any]]:
    """Entries of a COCO JSON's images by image id, such as ``cell_type`` and ``group``.

    Raises:
        InputError: The file is missing or no COCO JSON.
    """
    return {Path(image['file_name']).stem: image for image in _read_json(Path(path))['images']}


def read_cell_types(path: str | Path) -> dict[str, str]:
    """Cell types of a COCO JSON's images by image id, as :func:`cell_types_of` tells them.

    Raises:
        InputError: The file is missing or no COCO JSON.
    """
    content = _read_json(Path(path))
    cell_types = cell_types_of(content)
    return {Path(image['file_name']).stem: cell_types[image['id']] for image in content['images']}


def cell_types_of(content: Mapping[str, Any]) -> dict[Any, str]:
    """Which cell type each image of a COCO JSON shows, by the image's number in it.

    That is what its entry says under ``cell_type``, else the category of most of its annotations (the first of equally
    many), and empty text where neither says it.
    """
    names = {category['id']: category['name'] for category in content['categories']}
    counts: dict[Any, Counter[str]] = {image['id']: Counter() for image in content['images']}
    for annotation in content.get('annotations', ()):
        if annotation['image_id'] in counts:
            counts[annotation['image_id']][names.get(annotation['category_id'], '')] += 1
    voted = {number: max(count, key=count.get, default='') for number, count in counts.items()}
    return {image['id']: str(image.get('cell_type') or voted[image['id']]) for image in content['images']}


REQUIRED_KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'categories': ('id', 'name'),
    'annotations': ('id', 'image_id', 'category_id', 'segmentation'),
}


def _read_json(path: Path) -> dict[str, Any]:
    """A COCO JSON whose lists and entries have all keys that are read."""
    if not path.is_file():
        raise InputError(f'{path}: no such file; tools/prepare_sartorius.py makes COCO JSON from the competition CSV')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: not JSON ({error}); make it anew with tools/prepare_sartorius.py') from None
    if not isinstance(content, dict):
        raise InputError(f'{path}: not a COCO JSON, but a JSON {type(content).__name__}')
    for name, keys in REQUIRED_KEYS.items():
        if not isinstance(content.get(name), list):
            raise InputError(f'{path}: not a COCO JSON of true cells, the list {name!r} is missing')
        for index, entry in enumerate(content[name]):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise InputError(f'{path}: entry {index} of {name!r} has no {missing[0]!r}')
    return content


def _where(path: Path, annotation: Mapping[str, Any]) -> str:
    return f'{path}: annotation {annotation["id"]}'


def _decode(path: Path, found: Sequence[tuple[dict[str, Any], str]], size: Size) -> tuple[MaskCrop, ...]:
    """Crops of the counts of one image; a malformed one is named by its annotation."""
    try:
        return tuple(decode_coco([counts for _, counts in found], size).crops)
    except InputError:
        for annotation, counts in found:
            try:
                coco_rle.decode(CocoRLE(size=list(size), counts=counts))
            except InputError as error:
                raise InputError(f'{_where(path, annotation)}: {error}') from None
        raise


def _counts_of(segmentation: Any, size: Size) -> str:
    """Compressed COCO counts of any form of mask."""
    if isinstance(segmentation, list):
        return cell_from_polygons(segmentation, 0, size).segmentation['counts']
    if not isinstance(segmentation, dict) or not {'size', 'counts'} <= segmentation.keys():
        raise InputError('its segmentation is neither a list of polygons nor an RLE of size and counts')
    if tuple(segmentation['size']) != tuple(size):
        raise InputError(
            f'its mask is {segmentation["size"][1]}x{segmentation["size"][0]}, its image {size[1]}x{size[0]}'
        )
    return segmentation['counts']


def _image_entry(number: int, image: CocoImage) -> dict[str, Any]:
    height, width = image.size
    return {'id': number, 'file_name': image.file_name, 'height': height, 'width': width, **image.details}


def _cell_entry(number: int, image_number: int, cell: CocoCell) -> dict[str, Any]:
    return {
        'id': number,
        'image_id': image_number,
        'category_id': cell.label + 1,
        'bbox': cell.bbox,
        'area': cell.area,
        'iscrowd': 0,
        'segmentation': cell.segmentation,
    }
