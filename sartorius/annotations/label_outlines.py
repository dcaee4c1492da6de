"""Cells from files of outlines: ImageJ's ROIs, QuPath's GeoJSON and labelme's JSON.

In all three, pixel ``(row 0, column 0)`` reaches from 0 to 1 in both directions. A pixel belongs to a shape if its
centre does, as in ImageJ and QuPath (:mod:`sartorius.masks.polygons`).
"""

import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sartorius.annotations.labelled_cells import LabelledCells
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.polygons import ellipse, fill_polygons
from sartorius.utils.errors import InputError
from sartorius.utils.input_files import DamagedFileError, read_bytes, read_zip
from sartorius.utils.input_text import read_json

if TYPE_CHECKING:
    from roifile import ImagejRoi

T = TypeVar('T')

NO_AREA = 'points, lines and texts, which have no area, left out'
OTHER = 'other files in the archive than ROIs, left out'
EMPTY = 'shapes that hold the centre of no pixel left out'
CUT = 'cells that reach beyond the image, cut at its border'

_CLASS_PROPERTY = re.compile(r'^\s*class\s*:(.*)$', re.MULTILINE)
# Of their size in a zip, ROIs take so many times as much while they are read.
_ROI_COPIES = 4
# Commands of a path of java.awt.geom.PathIterator, and how many points follow each: move, line, two curves, close.
_PATH_POINTS = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}
_CURVE_STEPS = np.arange(1, 17)[:, None] / 16


@dataclass(frozen=True, eq=False)
class _Shape:
    """What one shape of a file covers.

    Attributes:
        crop: Its pixels in the image; None for a shape without area.
        box: ``x1, y1, x2, y2`` of the whole shape, in and outside the image.
        name: Its class, or empty text.
        frame: Frame or plane that it lies in, from 0.
    """

    crop: MaskCrop | None
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    name: str = ''
    frame: int = 0


def read_rois(path: Path, size: Size) -> LabelledCells:
    """The cells of an ImageJ ``.roi``, or of a zip of them as the ROI Manager saves it.

    A cell's class is the ROI's property ``class``, if it has one (in ImageJ: Edit > Selection > Properties).

    Args:
        path: The file.
        size: ``(height, width)`` of the image; what lies beyond it is cut off.

    Raises:
        InputError: The file is damaged or holds other files alone; a ROI lies outside the image, or in a later frame of
            a movie.
    """
    entries, others = _roi_entries(path)
    cells = _collect(path, size, entries, _roi_shape)
    return replace(cells, counts=cells.counts + Counter({OTHER: others}))


def read_geojson(path: Path, size: Size) -> LabelledCells:
    """The cells of a GeoJSON as QuPath exports it: polygons of detections, cells and annotations alike.

    A cell's class is the name of its classification. Of a QuPath cell the outline counts, not its nucleus.

    Args:
        path: A FeatureCollection, a list of features, or one feature.
        size: ``(height, width)`` of the image; what lies beyond it is cut off.

    Raises:
        InputError: The file is no such JSON, or a shape lies outside the image or in a later frame of a movie.
    """
    content = read_json(path)
    features = content.get('features', [content]) if isinstance(content, Mapping) else content
    if not isinstance(features, list):
        raise InputError(f'{path}: no GeoJSON of QuPath; it has no list of features')
    return _collect(path, size, _numbered('feature', features), _geojson_shape)


def read_labelme(path: Path, size: Size) -> LabelledCells:
    """The cells of labelme's own JSON: polygons, rectangles and circles; those of one ``group_id`` are one cell.

    A cell's class is its ``label``.

    Args:
        path: The file.
        size: ``(height, width)`` of the image; what lies beyond it is cut off.

    Raises:
        InputError: The file is no such JSON, belongs to an image of another size, or a shape lies outside it.
    """
    content = read_json(path)
    shapes = content.get('shapes') if isinstance(content, Mapping) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, Mapping) for shape in shapes):
        raise InputError(f'{path}: no JSON of labelme; it has no list of shapes')
    said = content.get('imageHeight') or size[0], content.get('imageWidth') or size[1]
    if said != size:
        raise InputError(f'{path}: labels an image of {said[1]}x{said[0]} pixels, this one has {size[1]}x{size[0]}')
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for number, shape in enumerate(shapes):
        group = shape.get('group_id')
        groups.setdefault(('shape', number) if group is None else (repr(shape.get('label')), repr(group)), []).append(
            shape
        )
    return _collect(path, size, _numbered('shape', list(groups.values())), _labelme_shape)


def _numbered(what: str, entries: Sequence[T]) -> list[tuple[str, T]]:
    return [(f'{what} {number} (counted from 0)', entry) for number, entry in enumerate(entries)]


def _collect(
    path: Path, size: Size, entries: Iterable[tuple[str, T]], draw: Callable[[T, Size], _Shape]
) -> LabelledCells:
    """The cells among some named entries of a file."""
    crops: list[MaskCrop] = []
    classes: list[str] = []
    counts: Counter[str] = Counter()
    for where, entry in entries:
        try:
            shape = draw(entry, size)
        # Foreign files are malformed in every way.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
            raise InputError(f'{path}: {where} cannot be read ({type(error).__name__}: {error})') from None
        x1, y1, x2, y2 = shape.box
        if shape.frame > 0:
            raise InputError(
                f'{path}: {where} lies in frame {shape.frame} (counted from 0) of a movie or stack; training takes '
                'single images, so save each frame and its labels as files of their own'
            )
        if shape.crop is None:
            counts[NO_AREA] += 1
        elif x2 <= 0 or y2 <= 0 or x1 >= size[1] or y1 >= size[0]:
            raise InputError(
                f'{path}: {where} lies outside its image of {size[1]}x{size[0]} pixels (x {x1:g} to {x2:g}, y {y1:g} '
                f'to {y2:g}); the labels belong to another image, or to this one at another size or in other units'
            )
        elif not shape.crop.area:
            counts[EMPTY] += 1
        else:
            counts[CUT] += min(x1, y1) < 0 or x2 > size[1] or y2 > size[0]
            crops.append(shape.crop)
            classes.append(shape.name)
    return LabelledCells(tuple(crops), tuple(classes), +counts)


def _polygons(rings: Iterable[Any], size: Size, name: str = '', frame: int = 0) -> _Shape:
    """A shape of rings, each a sequence of ``x, y`` (and further numbers, which are ignored)."""
    arrays = [np.asarray([point[:2] for point in ring], dtype=np.float64).reshape(-1, 2) for ring in rings]
    corners = np.concatenate([np.zeros((0, 2)), *arrays])
    if not len(corners) or not np.isfinite(corners).all():
        raise ValueError('it has no corners, or corners that are no numbers')
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return _Shape(fill_polygons(arrays, size), (x1, y1, x2, y2), name, frame)


def _ellipse(x: float, y: float, axes: tuple[float, float], angle: float, size: Size) -> _Shape:
    along, across = axes
    if not (math.isfinite(x + y + angle) and 0 < along < math.inf and 0 < across < math.inf):
        raise ValueError('its ellipse has no area')
    reach_x = math.hypot(along * math.cos(angle), across * math.sin(angle))
    reach_y = math.hypot(along * math.sin(angle), across * math.cos(angle))
    return _Shape(ellipse((x, y), axes, angle, size), (x - reach_x, y - reach_y, x + reach_x, y + reach_y))


def _roi_entries(path: Path) -> tuple[list[tuple[str, bytes]], int]:
    """Names and contents of the ROIs of a file, and how many other files it holds."""
    if path.suffix.lower() == '.roi':
        return [(f'ROI {path.stem}', read_bytes(path))], 0
    try:
        names, members = read_zip(path, lambda name: name.lower().endswith('.roi'), copies=_ROI_COPIES)
    except DamagedFileError:
        raise InputError(f'{path}: damaged, or no zip of ROIs; save it from the ROI Manager again') from None
    # An export of an image without cells is empty.
    if not members and names:
        raise InputError(f'{path}: holds no ROI; save them from the ROI Manager: More > Save')
    # Folders, and what macOS puts beside each file, are nothing to speak of.
    files = [name for name in names if not name.endswith('/') and not name.startswith('__MACOSX/')]
    return [(f'ROI {Path(name).stem}', content) for name, content in members.items()], len(files) - len(members)


def _roi_shape(data: bytes, size: Size) -> _Shape:
    from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi

    roi = ImagejRoi.frombytes(data)
    # ImageJ fills rectangles and ovals in whole pixels even where it knows their fractions.
    x1, y1, x2, y2 = roi.left, roi.top, roi.right, roi.bottom
    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE):
        shape = _Shape(None)
    elif roi.composite:
        shape = _polygons(_path_rings(roi.multi_coordinates), size)
    elif roi.roitype == ROI_TYPE.RECT:
        shape = _polygons([[(x1, y1), (x2, y1), (x2, y2), (x1, y2)]], size)
    elif roi.roitype == ROI_TYPE.OVAL:
        shape = _ellipse((x1 + x2) / 2, (y1 + y2) / 2, ((x2 - x1) / 2, (y2 - y1) / 2), 0, size)
    elif roi.subtype in (ROI_SUBTYPE.ELLIPSE, ROI_SUBTYPE.ROTATED_RECT):
        shape = _turned_shape(roi, size)
    elif roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        shape = _polygons([roi.coordinates()], size)
    else:
        shape = _Shape(None)
    # Of a hyperstack, or else of a plain stack; both count from 1.
    place = max(roi.z_position, roi.t_position) or (0 if roi.c_position else roi.position)
    name = _CLASS_PROPERTY.search(roi.props)
    return replace(shape, name=name[1].strip() if name else '', frame=max(place - 1, 0))


def _turned_shape(roi: 'ImagejRoi', size: Size) -> _Shape:
    """A fitted ellipse or a rotated rectangle: a line through its middle, and its width."""
    # A float, in the bytes that other ROIs use for arrow heads and round corners: that of ImageJ's aspect ratio, or of
    # the rectangle's width.
    parts = roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size
    (value,) = struct.unpack('>f', struct.pack('>BBh', *parts))
    dx, dy = roi.x2 - roi.x1, roi.y2 - roi.y1
    length, angle = math.hypot(dx, dy), math.atan2(dy, dx)
    if roi.subtype.name == 'ELLIPSE':
        # ImageJ's own is a polygon of 72 corners.
        turns = np.arange(72) * (2 * math.pi / 72)
        along, across = np.cos(turns) * length / 2, np.sin(turns) * length * value / 2
        x = (roi.x1 + roi.x2) / 2 + along * math.cos(angle) - across * math.sin(angle)
        y = (roi.y1 + roi.y2) / 2 + along * math.sin(angle) + across * math.cos(angle)
        return _polygons([np.stack([x, y], axis=1).astype(np.float32)], size)
    across = np.array([-math.sin(angle), math.cos(angle)]) * value / 2
    start, end = np.array([roi.x1, roi.y1]), np.array([roi.x2, roi.y2])
    corners = [start - across, end - across, end + across, start + across]
    # In single precision, as ImageJ's own.
    return _polygons([np.array(corners, dtype=np.float32)], size)


def _path_rings(path: NDArray[np.float32]) -> list[list[NDArray[np.float64]]]:
    """The rings of a composite's path, curves as 16 straight pieces."""
    rings: list[list[NDArray[np.float64]]] = []
    values, at = path.astype(np.float64), 0
    while at < len(values):
        count = _PATH_POINTS[int(values[at])]
        points = values[at + 1 : at + 1 + 2 * count].reshape(count, 2)
        if values[at] == 0:
            rings.append([points[0]])
        elif count:
            control = [rings[-1][-1], *points]
            weights = [
                math.comb(count, k) * _CURVE_STEPS**k * (1 - _CURVE_STEPS) ** (count - k) for k in range(count + 1)
            ]
            curve = sum(weight * point for weight, point in zip(weights, control, strict=True))
            rings[-1] += list(points) if count == 1 else list(curve)
        at += 1 + 2 * count
    return rings


def _geojson_shape(feature: Mapping[str, Any], size: Size) -> _Shape:
    geometry, properties = feature['geometry'], feature.get('properties') or {}
    if geometry['type'] not in ('Polygon', 'MultiPolygon'):
        return _Shape(None)
    parts = geometry['coordinates'] if geometry['type'] == 'MultiPolygon' else [geometry['coordinates']]
    plane = geometry.get('plane') or {}
    classification = properties.get('classification') or {}
    # QuPath writes the parts of a derived class, such as "Tumor: Positive", since version 0.4.
    name = classification.get('name') or ': '.join(classification.get('names') or ())
    frame = max(int(plane.get('z', 0)), int(plane.get('t', 0)))
    return _polygons([ring for part in parts for ring in part], size, str(name), frame)


def _labelme_shape(members: Sequence[Mapping[str, Any]], size: Size) -> _Shape:
    """The shapes of one group as one cell."""
    shapes = [_labelme_part(member, size) for member in members]
    shapes = [shape for shape in shapes if shape.crop is not None]
    if not shapes:
        return _Shape(None)
    boxes = np.array([shape.box for shape in shapes])
    box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    return _Shape(_united([shape.crop for shape in shapes if shape.crop]), box, str(members[0]['label']))


def _labelme_part(shape: Mapping[str, Any], size: Size) -> _Shape:
    points, kind = shape['points'], shape.get('shape_type', 'polygon')
    if kind == 'polygon':
        return _polygons([points], size)
    if kind == 'rectangle':
        (x1, y1), (x2, y2) = points
        return _polygons([[(x1, y1), (x2, y1), (x2, y2), (x1, y2)]], size)
    if kind == 'circle':
        (x, y), (edge_x, edge_y) = points
        radius = math.hypot(edge_x - x, edge_y - y)
        return _ellipse(x, y, (radius, radius), 0, size)
    if kind in ('point', 'points', 'line', 'linestrip'):
        return _Shape(None)
    raise ValueError(f'its shape_type is {kind!r}; save it as a polygon')


def _united(crops: Sequence[MaskCrop]) -> MaskCrop:
    """All pixels of some cells."""
    windows = np.array([crop.window for crop in crops])
    x1, y1 = windows[:, :2].min(axis=0).tolist()
    x2, y2 = windows[:, 2:].max(axis=0).tolist()
    mask = np.zeros((y2 - y1, x2 - x1), dtype=bool)
    for crop in crops:
        left, top, right, bottom = crop.window
        mask[top - y1 : bottom - y1, left - x1 : right - x1] |= crop.mask
    return MaskCrop(mask, x1, y1).tight()
