"""Exported files read back by the libraries that others read them with, and images to export."""

import contextlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import shapely
import tifffile
from numpy.typing import NDArray
from pycocotools.coco import COCO
from roifile import roiread

from sartorius.export.structures import ExportedImage
from sartorius.masks.crop import MaskCrop
from sartorius.masks.packed import PackedMasks
from sartorius.predictions.structures import ImagePredictions

Cells = dict[tuple[int, int], MaskCrop]
"""Masks by frame and label."""


def frame_of(image_id: str, crops: Sequence[MaskCrop], size: tuple[int, int], classes: int = 2) -> ImagePredictions:
    """Post-processed cells with rising classes and falling scores."""
    count = len(crops)
    return ImagePredictions(
        image_id=image_id,
        size=size,
        boxes=np.array([crop.window for crop in crops], np.float32).reshape(-1, 4),
        scores=np.linspace(1, 0.5, count, dtype=np.float32),
        labels=np.arange(count, dtype=np.int64) % classes,
        soft_masks=np.zeros((count, 28, 28), np.float32),
        crops=tuple(crops),
    )


def exported(frames: Sequence[Sequence[MaskCrop]], size: tuple[int, int], **others: object) -> ExportedImage:
    """An image, or a movie where there are several frames, of these cells."""
    predictions = tuple(frame_of(f'plate/A1#t{number:04d}', crops, size) for number, crops in enumerate(frames))
    options = {'image_id': 'plate/A1', 'classes': ('round', 'long'), 'is_movie': len(frames) > 1, **others}
    return ExportedImage(frames=predictions, **options)


def drawn(rows: str) -> tuple[list[MaskCrop], tuple[int, int]]:
    """Cells of a drawing, by their letter in alphabetical order, and its size; ``.`` is background."""
    letters = np.array([list(row) for row in rows.split()])
    crops = [MaskCrop.from_full(letters == name) for name in sorted({*letters.ravel()} - {'.'})]
    return crops, letters.shape


def cells_of(image: ExportedImage) -> Cells:
    """What every file must give back."""
    return {(frame, label): crop for frame in range(len(image.frames)) for label, crop in image.cells(frame)}


def differing(read: Cells, image: ExportedImage) -> list[tuple[int, int]]:
    """Frame and label of the cells that are not the same set of pixels on both sides."""
    expected = cells_of(image)
    return sorted(key for key in {*read, *expected} if _bytes(read.get(key)) != _bytes(expected.get(key)))


def read_label_tiff(path: Path) -> Cells:
    """By tifffile."""
    return _from_label_images(tifffile.imread(path))


def read_seg(path: Path) -> Cells:
    """By numpy, as Cellpose does."""
    return _from_label_images(np.load(path, allow_pickle=True).item()['masks'])


def read_rois(path: Path) -> Cells:
    """By roifile; the polygons of a region are filled by the even-odd rule."""
    with zipfile.ZipFile(path) as archive:
        if not archive.namelist():
            return {}
    rois = roiread(path)
    cells = {}
    for roi in rois if isinstance(rois, list) else [rois]:
        *_, label = roi.name.split('-')
        polygons = roi.coordinates(multi=True)
        cells[max(roi.position - 1, 0), int(label)] = filled(
            [np.asarray(polygon).round().astype(int) for polygon in polygons]
        )
    return cells


def read_geojson(path: Path) -> Cells:
    """By shapely: the pixels whose centres lie in a valid geometry."""
    cells = {}
    for feature in json.loads(path.read_text(encoding='utf-8'))['features']:
        geometry = shapely.geometry.shape(feature['geometry'])
        assert geometry.is_valid, shapely.is_valid_reason(geometry)
        x1, y1, x2, y2 = map(int, geometry.bounds)
        shapely.prepare(geometry)
        xs, ys = np.meshgrid(np.arange(x1, x2) + 0.5, np.arange(y1, y2) + 0.5)
        crop = MaskCrop(shapely.contains_xy(geometry, xs, ys), x1, y1)
        assert geometry.area == crop.area
        cells[feature['geometry'].get('plane', {'t': 0})['t'], int(feature['properties']['name'])] = crop
    return cells


def read_coco(path: Path) -> Cells:
    """By pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    cells = {}
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation).astype(bool)
        assert mask.sum() == annotation['area']
        crop = MaskCrop.from_full(mask)
        x1, y1, x2, y2 = crop.window
        assert annotation['bbox'] == [x1, y1, x2 - x1, y2 - y1]
        _, _, frame = Path(coco.imgs[annotation['image_id']]['file_name']).stem.partition('#t')
        cells[int(frame or 0), annotation['label']] = crop
    return cells


def filled(polygons: Iterable[NDArray[np.int64]]) -> MaskCrop:
    """Even-odd filling of polygons along rows and columns: each upright side flips what is right of it."""
    polygons = list(polygons)
    low, high = np.concatenate(polygons).min(axis=0), np.concatenate(polygons).max(axis=0)
    flips = np.zeros((high - low)[::-1] + (0, 1), dtype=np.uint8)
    for polygon in polygons:
        for (x1, y1), (x2, y2) in zip(polygon - low, np.roll(polygon, -1, axis=0) - low, strict=True):
            assert x1 == x2 or y1 == y2
            if x1 == x2:
                flips[min(y1, y2) : max(y1, y2), x1] ^= 1
    mask = np.bitwise_xor.accumulate(flips, axis=1)[:, :-1].astype(bool)
    return MaskCrop(mask, int(low[0]), int(low[1])).tight()


def _from_label_images(labels: NDArray[np.generic]) -> Cells:
    frames = labels if labels.ndim == 3 else labels[None]
    return {
        (number, label): crop
        for number, frame in enumerate(frames)
        for label, crop in enumerate(PackedMasks.from_labels(frame).crops, start=1)
        if crop.mask.size
    }


def _bytes(crop: MaskCrop | None) -> tuple[object, ...]:
    return () if crop is None else (crop.window, crop.mask.tobytes())
