"""Cells as QuPath's detections: ``NAME.geojson``, which its viewer opens when it is dropped on the image."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sartorius.export.structures import ExportedImage
from sartorius.label_quality.statistics import length_over_width, solidity
from sartorius.masks.crop import MaskCrop
from sartorius.visualization.outlines import shells_and_holes
from sartorius.visualization.overlay import class_color

if TYPE_CHECKING:
    from shapely import Geometry

ID_NAMESPACE = uuid.UUID('1d0ff05b-5a53-5b07-8f0d-8ba4f6e4a7a4')
"""Of the ids of cells: the same image, frame and label have the same id in every export."""

CHUNK = 1000
"""Cells whose polygons are in memory at a time."""


def write_geojson(path: Path, image: ExportedImage) -> None:
    """Writes a FeatureCollection, a line per cell, in pixels from the image's top left corner.

    The polygons run along the edges of pixels and are valid: a cell with pieces, or one whose parts touch at a corner
    alone, is a MultiPolygon. (QuPath refuses polygons that touch themselves: hover_next_inference, issue 26.)
    """
    separator = ''
    with open(path, 'w', encoding='utf-8') as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for frame in range(len(image.frames)):
            cells = image.cells(frame)
            for start in range(0, len(cells), CHUNK):
                chunk = cells[start : start + CHUNK]
                for (label, crop), geometry in zip(chunk, _geometries([crop for _, crop in chunk]), strict=True):
                    feature = _feature(image, frame, label, crop, geometry)
                    file.write(f'{separator}\n{json.dumps(feature, ensure_ascii=False)}')
                    separator = ','
        file.write('\n]}\n')


def _geometries(crops: Sequence[MaskCrop]) -> NDArray[np.object_]:
    import shapely

    cells = [[shapely.Polygon(shell, holes) for shell, *holes in shells_and_holes(crop)] for crop in crops]
    geometries = np.array(
        [pieces[0] if len(pieces) == 1 else shapely.MultiPolygon(pieces) for pieces in cells], dtype=object
    )
    invalid = ~shapely.is_valid(geometries)
    geometries[invalid] = shapely.make_valid(geometries[invalid], method='structure', keep_collapsed=False)
    return geometries


def _feature(image: ExportedImage, frame: int, label: int, crop: MaskCrop, geometry: 'Geometry') -> dict[str, Any]:
    predictions = image.frames[frame]
    number = int(predictions.labels[label - 1])
    area = crop.area
    measurements = {
        'Score': round(float(predictions.scores[label - 1]), 6),
        'Area px^2': area,
        'Length / width': round(length_over_width(crop.mask), 6),
        'Solidity': round(solidity(crop.mask), 6),
    }
    if image.pixel_size_um:
        measurements['Area µm^2'] = round(area * image.pixel_size_um**2, 6)
    coordinates = _coordinates(geometry)
    if image.is_movie:
        coordinates['plane'] = {'c': -1, 'z': 0, 't': frame}
    return {
        'type': 'Feature',
        'id': str(uuid.uuid5(ID_NAMESPACE, f'{image.image_sha256 or image.image_id}/{frame}/{label}')),
        'geometry': coordinates,
        'properties': {
            'objectType': 'detection',
            'name': str(label),
            'classification': {'name': image.classes[number], 'color': list(class_color(number))},
            'measurements': measurements,
        },
    }


def _coordinates(geometry: 'Geometry') -> dict[str, Any]:
    import shapely

    pieces = [_rings(polygon) for polygon in shapely.get_parts(geometry)]
    if geometry.geom_type == 'Polygon':
        return {'type': 'Polygon', 'coordinates': pieces[0]}
    return {'type': 'MultiPolygon', 'coordinates': pieces}


def _rings(polygon: 'Geometry') -> list[list[list[int]]]:
    import shapely

    return [shapely.get_coordinates(ring).astype(np.int64).tolist() for ring in shapely.get_rings(polygon)]
