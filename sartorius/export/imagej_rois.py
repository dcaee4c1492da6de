"""Cells as ImageJ's regions of interest: ``NAME_rois.zip``, for its ROI Manager."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sartorius.export.structures import ExportedImage
from sartorius.masks.crop import MaskCrop
from sartorius.visualization.outlines import corner_outlines
from sartorius.visualization.overlay import class_color

if TYPE_CHECKING:
    from roifile import ImagejRoi

MAX_GROUP = 255

# Commands of a composite region's path, of java.awt.geom.PathIterator.
_MOVE_TO, _LINE_TO, _CLOSE = 0.0, 1.0, 4.0


def write_roi_zip(path: Path, image: ExportedImage) -> None:
    """Writes one region per cell, called by its label (``0007``; of a movie ``t0003-0007``, frames from 0).

    The corners lie on the edges of pixels, so that ImageJ fills exactly the cell's pixels: a traced polygon, or a
    composite of polygons where the cell has holes or pieces. Property ``class``, group (1 for the first class) and
    colour tell the class.
    The position is that of the frame in a stack of frames, as the label image is one.
    """
    digits = max(4, len(str(max(len(frame) for frame in image.frames))))
    with zipfile.ZipFile(path, 'w') as archive:
        for number, frame in enumerate(image.frames):
            prefix = f't{number:04d}-' if image.is_movie else ''
            for label, crop in image.cells(number):
                roi = _region(crop)
                roi.name = f'{prefix}{label:0{digits}d}'
                class_number = int(frame.labels[label - 1])
                roi.group = class_number + 1 if class_number < MAX_GROUP else 0
                roi.properties = {'class': image.classes[class_number]}
                roi.stroke_color = bytes((255, *class_color(class_number)))
                if image.is_movie:
                    # From 1. To ImageJ, images over time alone are no hyperstack: it ignores a position in time there.
                    roi.position = number + 1
                # The same cells give the same bytes: no time of writing.
                entry = zipfile.ZipInfo(f'{roi.name}.roi')
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, roi.tobytes())


def _region(crop: MaskCrop) -> 'ImagejRoi':
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    polygons = corner_outlines(crop)
    x1, y1, x2, y2 = crop.window
    roi = ImagejRoi(roitype=ROI_TYPE.TRACED, left=x1, top=y1, right=x2, bottom=y2)
    if len(polygons) == 1:
        roi.integer_coordinates = polygons[0] - (x1, y1)
        roi.n_coordinates = len(polygons[0])
        # Corners beyond the 16 bits of ImageJ's integers have a copy as floats that it takes instead.
        if max(x2, y2) > np.iinfo(np.int16).max:
            roi.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
            roi.subpixel_coordinates = polygons[0].astype(np.float32)
    else:
        roi.roitype = ROI_TYPE.RECT
        roi.multi_coordinates = np.concatenate([_closed_path(polygon) for polygon in polygons])
        roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def _closed_path(polygon: NDArray[np.int32]) -> NDArray[np.float32]:
    steps = np.full((len(polygon), 3), _LINE_TO, dtype=np.float32)
    steps[0, 0] = _MOVE_TO
    steps[:, 1:] = polygon
    return np.append(steps.ravel(), np.float32(_CLOSE))
