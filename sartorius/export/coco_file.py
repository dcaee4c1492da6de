"""Cells as COCO JSON for CVAT, Label Studio, FiftyOne and Roboflow: ``NAME_coco.json``, and ``coco.json`` of a run.

Cells are polygons along the edges of pixels, which pycocotools fills to exactly the cell's pixels. COCO's polygons have
no holes (several are joined, not subtracted), so that a cell with holes is cut along rows into parts without. They are
not run lengths because CVAT and Label Studio take polygons for editing.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from scipy import ndimage

from sartorius.export.structures import ExportedImage
from sartorius.images.image_ids import frame_id
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.utils.input_text import read_json
from sartorius.visualization.outlines import corner_outlines


class _CocoWriter:
    """Writes a COCO file image by image; memory is that of one image's annotations and of the list of images.

    Ids are counted from 1, in the order of writing.
    """

    def __init__(self, file: IO[str], categories: Sequence[dict[str, Any]]) -> None:
        self.file = file
        self.images: list[dict[str, Any]] = []
        self.count = 0
        file.write(f'{{"categories": {json.dumps(categories, ensure_ascii=False)},\n"annotations": [')

    def add(self, entry: dict[str, Any], annotations: Iterable[dict[str, Any]]) -> None:
        """An image without its id, and its annotations without id and image."""
        self.images.append({**entry, 'id': len(self.images) + 1})
        for annotation in annotations:
            ids = {'id': self.count + 1, 'image_id': len(self.images)}
            self.file.write(f'{"," if self.count else ""}\n{json.dumps({**annotation, **ids})}')
            self.count += 1

    def close(self) -> None:
        """Writes the list of images."""
        self.file.write(f'\n],\n"images": {json.dumps(self.images, ensure_ascii=False)}}}\n')


def write_coco(path: Path, image: ExportedImage) -> None:
    """Writes an image's cells; every frame of a movie is an image ``NAME#t0003``.

    An annotation has the cell's ``score`` and ``label`` besides COCO's own keys.
    """
    categories = [{'id': number, 'name': name} for number, name in enumerate(image.classes, start=1)]
    with open(path, 'w', encoding='utf-8') as file:
        writer = _CocoWriter(file, categories)
        for frame in range(len(image.frames)):
            height, width = image.size
            entry = {'file_name': _file_name(image, frame), 'width': width, 'height': height}
            writer.add(entry, _annotations(image, frame))
        writer.close()


def merge_coco(path: Path, parts: Sequence[Path]) -> None:
    """Writes the images and annotations of several files, in that order, with new ids.

    Raises:
        InputError: There is no part, a part is no such file, or two parts have other categories.
    """
    if not parts:
        raise InputError('no image to merge to COCO JSON; name at least one')
    writer = None
    with open(path, 'w', encoding='utf-8') as file:
        for part in parts:
            content = _read(part)
            if writer is None:
                categories = content['categories']
                writer = _CocoWriter(file, categories)
            if content['categories'] != categories:
                raise InputError(f'{part} has other classes than {parts[0]}; export both again by one model')
            try:
                annotations: dict[int, list[dict[str, Any]]] = {entry['id']: [] for entry in content['images']}
                for annotation in content['annotations']:
                    annotations[annotation['image_id']].append(annotation)
                for entry in content['images']:
                    # Taken out, so that of two images under one id the second is missed.
                    writer.add(entry, annotations.pop(entry['id']))
            except (KeyError, TypeError, UnicodeError) as error:
                raise InputError(
                    f'{part}: its images and annotations do not belong together ({type(error).__name__}: {error}); '
                    'export it again'
                ) from None
        writer.close()


def parts_without_holes(crop: MaskCrop) -> list[MaskCrop]:
    """The cell cut along rows into parts of which none has a hole; the cell alone if it has none."""
    parts, uncut = [], [crop]
    while uncut:
        part = uncut.pop()
        background, count = ndimage.label(np.pad(~part.mask, 1, constant_values=True))
        if count < 2:
            parts.append(part)
            continue
        # The hole's first row falls to the upper part, at whose lower edge it is open.
        row = next(place[0] for place in ndimage.find_objects(background)[1:]).start
        uncut.append(MaskCrop(part.mask[:row], part.x, part.y))
        uncut.append(MaskCrop(part.mask[row:], part.x, part.y + row))
    return parts


def _annotations(image: ExportedImage, frame: int) -> Iterator[dict[str, Any]]:
    predictions = image.frames[frame]
    for label, crop in image.cells(frame):
        x1, y1, x2, y2 = crop.window
        polygons = [polygon for part in parts_without_holes(crop) for polygon in corner_outlines(part)]
        yield {
            'category_id': int(predictions.labels[label - 1]) + 1,
            'segmentation': [polygon.ravel().tolist() for polygon in polygons],
            'bbox': [x1, y1, x2 - x1, y2 - y1],
            'area': crop.area,
            'iscrowd': 0,
            'score': round(float(predictions.scores[label - 1]), 6),
            'label': label,
        }


def _file_name(image: ExportedImage, frame: int) -> str:
    name = PurePosixPath(image.file_name or image.image_id)
    suffix = name.suffix if image.file_name else ''
    return f'{frame_id(image.image_id, frame)}{suffix}' if image.is_movie else str(name)


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, fix='export it again')
    if not isinstance(content, dict) or not {'categories', 'images', 'annotations'} <= content.keys():
        raise InputError(f'{path}: no COCO JSON (categories, images, annotations); export it again')
    return content
