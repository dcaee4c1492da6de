"""Ground-truth cells in COCO JSON: written for training, and read by the data set and by scoring alike."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.coco_index import OWN_ID_KEY, CocoIndex, naming, read_coco_index
from sartorius.annotations.segmentation import compressed_counts, is_short, polygons_of, reaches_beyond
from sartorius.annotations.structures import CocoCell, CocoImage, GroundTruth, ImageAnnotations
from sartorius.masks.coco_rle import CocoRLE
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import CodeError, decode_coco, encode_coco
from sartorius.utils.classes import classes_of_file
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path

logger = logging.getLogger(__name__)


def cells_from_crops(
    crops: Sequence[MaskCrop], labels: int | Sequence[int] | NDArray[np.int64], size: Size
) -> list[CocoCell]:
    """Annotations of the parts of crops that lie in an image of ``(height, width)``; none may be empty there.

    ``labels`` is one for all cells, or one per cell.
    """
    masks = PackedMasks.from_crops(crops).clipped(size).tight()
    return _cells(masks, encode_coco(masks, size), np.broadcast_to(labels, len(masks)).tolist(), size)


def cells_from_counts(
    counts: Sequence[str], labels: Sequence[int], size: Size, iscrowd: Sequence[bool] = ()
) -> tuple[list[CocoCell], PackedMasks]:
    """Annotations, with their decoded masks, of compressed codes of one image; an empty mask has area 0.

    Raises:
        CodeError: A code that does not fit the image.
    """
    masks = decode_coco(counts, size)
    return _cells(masks, counts, labels, size, iscrowd), masks


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


@dataclass
class CocoReader:
    """Cells of a COCO JSON, image by image: the one reader of training and scoring.

    Masks may have any form of :func:`sartorius.annotations.segmentation.compressed_counts`; areas and boxes are those
    of the masks, whatever the file says. An annotation without pixels is dropped. A region with ``iscrowd`` 1 is no
    cell: training and scoring ignore it and what is predicted in it. A category that is not among the classes is
    ignored where no annotation uses it (Roboflow writes one above all others). :meth:`notes` tells what was dropped or
    ignored.

    Attributes:
        path: The file.
        classes: Names that the categories may have; labels index into it. None until the first image is read: the
            names of the categories (:func:`sartorius.utils.classes.classes_of_file`).
        annotated: Whether the file must have a list of annotations; one of images to predict on may lack it.
        counts: How many annotations were read, and what was dropped or ignored.
    """

    path: Path
    classes: Sequence[str] | None
    annotated: bool = True
    counts: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[tuple[CocoImage, PackedMasks]]:
        """Each image with its annotations and their decoded masks, in file order; crowd regions are among them.

        The ``details`` of each image have its ``cell_type`` as :meth:`CocoIndex.cell_types` tells it.

        Raises:
            InputError: The file is missing or is no sound COCO JSON (see
                :func:`sartorius.annotations.coco_index.index_coco`); an annotation has a category that is not among the
                classes, or a mask that is malformed or of another size than its image; all annotations are crowd
                regions.
        """
        index = read_coco_index(self.path, self.annotated)
        self.counts.clear()
        if self.classes is None:
            used = {index.categories[one['category_id']] for own in index.annotations.values() for one in own}
            self.classes = classes_of_file(used, index.categories.values())
        with naming(self.path):
            labels = self._labels(index)
            cell_types = index.cell_types()
            for number, image in index.images.items():
                cells, masks = self._read_cells(image.size, index.annotations.get(number, ()), labels)
                yield replace(image, cells=cells, details={**image.details, 'cell_type': cell_types[number]}), masks
            if (
                self.counts['crowd']
                and self.counts['crowd'] == self.counts['annotations'] - self.counts['empty'] - self.counts['outside']
            ):
                raise InputError(
                    f'all {self.counts["crowd"]} annotations are crowd regions (iscrowd 1), none is a cell; write '
                    'iscrowd 0 where an annotation is one cell'
                )

    def notes(self) -> list[str]:
        """One sentence for each kind of oddity that was met."""
        counts = self.counts
        sentences = {
            'empty': 'annotations have no pixels (such as an empty segmentation); they are dropped',
            'outside': 'annotations lie outside their image; they are dropped',
            'cut': 'annotations reach beyond their image; they are cut at its border',
            'short': 'polygons have fewer than three points and cover no pixel; they are dropped',
            'crowd': 'annotations are crowd regions (iscrowd 1); training and scoring ignore them',
            'unused': 'categories are not among the classes and no annotation uses them; they are ignored',
        }
        totals = dict.fromkeys(('empty', 'outside', 'cut', 'crowd'), counts['annotations'])
        return [
            f'{self.path}: {counts[key]:,} {f"of {totals[key]:,} " if key in totals else ""}{sentence}'
            for key, sentence in sentences.items()
            if counts[key]
        ]

    def _labels(self, index: CocoIndex) -> dict[int | str, int]:
        """Labels by category id."""
        used = {annotation['category_id'] for own in index.annotations.values() for annotation in own}
        labels = {}
        for number, name in index.categories.items():
            if name in self.classes:
                labels[number] = self.classes.index(name)
            elif number in used:
                raise InputError(f'unknown category {name!r}; the classes are {", ".join(self.classes)}')
            else:
                self.counts['unused'] += 1
        return labels

    def _read_cells(
        self, size: Size, annotations: Sequence[Mapping[str, Any]], labels: Mapping[int | str, int]
    ) -> tuple[list[CocoCell], PackedMasks]:
        """Cells and crowd regions of one image that have pixels."""
        counts, crowd = [], []
        for annotation in annotations:
            try:
                counts.append(compressed_counts(annotation['segmentation'], size))
                crowd.append(_is_crowd(annotation))
            except InputError as error:
                raise InputError(f'{_where(annotation)}: {error}') from None
        own_labels = [labels[annotation['category_id']] for annotation in annotations]
        try:
            cells, masks = cells_from_counts(counts, own_labels, size, crowd)
        except CodeError as error:
            raise InputError(f'{_where(annotations[error.number])}: {error.reason}') from None
        self.counts['annotations'] += len(cells)
        self.counts['short'] += sum(_short_polygons(annotation['segmentation']) for annotation in annotations)
        kept = np.flatnonzero(masks.areas)
        self._count_beyond(masks, annotations, size)
        if len(kept) < len(cells):
            cells, masks = [cells[number] for number in kept.tolist()], masks.select(kept)
        self.counts['crowd'] += sum(cell.iscrowd for cell in cells)
        return cells, masks

    def _count_beyond(self, masks: PackedMasks, annotations: Sequence[Mapping[str, Any]], size: Size) -> None:
        """Counts masks without pixels, and masks that are cut at the image's border."""
        # Few touch the border, and only these can reach beyond it.
        low, high = masks.windows[:, :2].min(axis=1), (masks.windows[:, 2:] - [size[1], size[0]]).max(axis=1)
        is_empty = masks.areas == 0
        for number in np.flatnonzero(is_empty | (low <= 0) | (high >= 0)).tolist():
            beyond = reaches_beyond(annotations[number]['segmentation'], size)
            self.counts['outside' if beyond else 'empty'] += bool(is_empty[number])
            self.counts['cut'] += bool(beyond and not is_empty[number])


def read_coco(path: str | Path, classes: Sequence[str] | None = None) -> GroundTruth:
    """Reads the cells of a COCO JSON, in the order of its images; what is dropped is logged as a warning.

    Args:
        path: COCO JSON; images without annotations are kept.
        classes: Names that the categories may have; labels index into it. None: the names of the categories
            (:func:`sartorius.utils.classes.classes_of_file`).

    Returns:
        Annotations by image id (:mod:`sartorius.images.image_ids`).

    Raises:
        InputError: As iterating over :class:`CocoReader`.
    """
    reader = CocoReader(Path(path), classes)
    annotated = {image.image_id: _annotations_of(image, masks) for image, masks in reader}
    for sentence in reader.notes():
        logger.warning(sentence)
    return GroundTruth(annotated, reader.classes)


def read_image_details(path: str | Path) -> dict[str, Mapping[str, Any]]:
    """Further entries of a COCO JSON's images by image id, such as ``cell_type`` and ``group``.

    Raises:
        InputError: The file is missing or no COCO JSON.
    """
    return {image.image_id: image.details for image in read_coco_index(path).images.values()}


def read_cell_types(path: str | Path) -> dict[str, str]:
    """Cell types of a COCO JSON's images by image id, see :meth:`CocoIndex.cell_types`.

    Raises:
        InputError: The file is missing or no COCO JSON.
    """
    index = read_coco_index(path)
    return {index.images[number].image_id: name for number, name in index.cell_types().items()}


def _annotations_of(image: CocoImage, masks: PackedMasks) -> ImageAnnotations:
    crops = masks.crops
    cells = [number for number, cell in enumerate(image.cells) if not cell.iscrowd]
    return ImageAnnotations(
        image_id=image.image_id,
        size=image.size,
        crops=tuple(crops[number] for number in cells),
        labels=np.array([image.cells[number].label for number in cells], dtype=np.int64),
        crowd=tuple(crop for crop, cell in zip(crops, image.cells, strict=True) if cell.iscrowd),
    )


def _cells(
    masks: PackedMasks, counts: Sequence[str], labels: Sequence[int], size: Size, iscrowd: Sequence[bool] = ()
) -> list[CocoCell]:
    """Annotations of tight masks whose codes are known."""
    height, width = int(size[0]), int(size[1])
    boxes = zip(*masks.windows[:, :2].T.tolist(), masks.widths.tolist(), masks.heights.tolist(), strict=True)
    return [
        CocoCell(label, CocoRLE(size=[height, width], counts=code), area, box, crowd)
        for label, code, area, box, crowd in zip(
            labels, counts, masks.areas.tolist(), boxes, iscrowd or [False] * len(masks), strict=True
        )
    ]


def _where(annotation: Mapping[str, Any]) -> str:
    return f'annotation {annotation["id"]}'


def _is_crowd(annotation: Mapping[str, Any]) -> bool:
    value = annotation.get('iscrowd') or 0
    if value not in (0, 1):
        raise InputError(f'its iscrowd is {value!r}, neither 0 nor 1')
    return bool(value)


def _short_polygons(segmentation: Any) -> int:
    if isinstance(segmentation, Mapping):
        return 0
    return sum(len(polygon) > 0 and is_short(polygon) for polygon in polygons_of(segmentation))


def _image_entry(number: int, image: CocoImage) -> dict[str, Any]:
    height, width = image.size
    own = {} if image.own_id is None else {OWN_ID_KEY: image.own_id}
    return {'id': number, 'file_name': image.file_name, 'height': height, 'width': width, **own, **image.details}


def _cell_entry(number: int, image_number: int, cell: CocoCell) -> dict[str, Any]:
    return {
        'id': number,
        'image_id': image_number,
        'category_id': cell.label + 1,
        'bbox': cell.bbox,
        'area': cell.area,
        'iscrowd': int(cell.iscrowd),
        'segmentation': cell.segmentation,
    }
