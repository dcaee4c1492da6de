"""Sound images, annotations and label files, small enough to know what is in them."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (40, 60)
CLASSES = ('shsy5y', 'astro', 'cort')
Write = Callable[[Path], None]


# The sound content


@cache
def crops() -> tuple:
    """Three cells: a rectangle, a disc, and one with a hole that touches the border."""
    from sartorius.masks.crop import MaskCrop

    rows, columns = np.ogrid[-6:7, -6:7]
    ring = np.ones((9, 8), dtype=bool)
    ring[3:5, 3:5] = False
    return MaskCrop(np.ones((8, 10), bool), 5, 5), MaskCrop(rows**2 + columns**2 <= 36, 30, 10), MaskCrop(ring, 52, 31)


def grey_image() -> np.ndarray:
    """An image of ``SIZE`` with some structure."""
    return np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)


def labels() -> np.ndarray:
    """Label image of :func:`crops`."""
    image = np.zeros(SIZE, np.uint16)
    for number, crop in enumerate(crops(), 1):
        x1, y1, x2, y2 = crop.window
        image[y1:y2, x1:x2][crop.mask] = number
    return image


def coco_content() -> dict[str, Any]:
    """Two images; masks as polygon, compressed and uncompressed run lengths, one crowd region."""
    from sartorius.masks.coco_rle import encode

    first, second, third = (encode(crop, SIZE) for crop in crops())
    shared = {'category_id': 1, 'iscrowd': 0}
    return {
        'info': {'origin': 'own images', 'split': 'train', 'fold': 0, 'folds': 5, 'seed': 0, 'classes': list(CLASSES)},
        'images': [
            {
                'id': 1,
                'file_name': 'train/a.png',
                'height': SIZE[0],
                'width': SIZE[1],
                'cell_type': 'shsy5y',
                'group': 'g',
            },
            {
                'id': 2,
                'file_name': 'train/b.png',
                'height': SIZE[0],
                'width': SIZE[1],
                'cell_type': 'cort',
                'group': 'h',
            },
        ],
        'categories': [{'id': number, 'name': name} for number, name in enumerate(CLASSES, 1)],
        'annotations': [
            {'id': 1, 'image_id': 1, **shared, 'bbox': [5, 5, 10, 8], 'area': 80, 'segmentation': first},
            {'id': 2, 'image_id': 1, **shared, 'bbox': [30, 10, 13, 13], 'area': 113, 'segmentation': second},
            {
                'id': 3,
                'image_id': 2,
                'category_id': 3,
                'iscrowd': 0,
                'bbox': [5, 5, 10, 8],
                'area': 80,
                'segmentation': [[5, 5, 15, 5, 15, 13, 5, 13]],
            },
            {
                'id': 4,
                'image_id': 2,
                'category_id': 3,
                'iscrowd': 0,
                'bbox': [0, 0, 2, 1],
                'area': 2,
                'segmentation': {'size': list(SIZE), 'counts': [0, 1, 39, 1, 2359]},
            },
            {
                'id': 5,
                'image_id': 2,
                'category_id': 3,
                'iscrowd': 1,
                'bbox': [52, 31, 8, 9],
                'area': 68,
                'segmentation': third,
            },
        ],
    }


def livecell_content() -> dict[str, Any]:
    """Two images as LIVECell names them; annotations in a dict, as in its files of single lines."""
    names = ['A172_Phase_A7_1_00d00h00m_1.tif', 'BT474_Phase_A3_2_00d04h00m_1.tif']
    polygons = [[[5, 5, 15, 5, 15, 13, 5, 13]], [[30, 10, 45, 10, 45, 25]], [[20, 20, 28, 20, 28, 31, 20, 31]]]
    entries = [
        {'id': number, 'image_id': image, 'category_id': 1, 'segmentation': polygon, 'iscrowd': 0, 'area': 80}
        for number, (image, polygon) in enumerate(zip((0, 0, 1), polygons, strict=True))
    ]
    images = [{'id': number, 'file_name': name, 'height': 520, 'width': 704} for number, name in enumerate(names)]
    return {
        'categories': [{'id': 1, 'name': 'cell'}],
        'images': images,
        'annotations': {str(one['id']): one for one in entries},
    }


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV."""
    return ''.join(f'{",".join(map(str, row))}\n' for row in (columns, *rows))


def train_csv() -> str:
    """Training CSV of two images of the cells of :func:`crops`."""
    from sartorius.masks.kaggle_rle import encode

    codes = [encode(crop, SIZE) for crop in crops()]
    rows = [
        ('a', codes[0], SIZE[1], SIZE[0], 'shsy5y', 'w1'),
        ('a', codes[1], SIZE[1], SIZE[0], 'shsy5y', 'w1'),
        ('b', codes[2], SIZE[1], SIZE[0], 'cort', 'w2'),
    ]
    return csv_text(('id', 'annotation', 'width', 'height', 'cell_type', 'sample_id'), rows)


def edits_csv() -> str:
    rows = train_csv().splitlines(keepends=True)[1:]
    before, after = (json.dumps(row)[1:-1] for row in (rows[0].replace('shsy5y', 'astro'), rows[0]))
    columns = ('id', 'row', 'defect', 'area_before', 'area_after', 'iou', 'note', 'text_before', 'text_after')
    return csv_text(columns, [('a', 0, 'wrong-class', 80, 80, '1.0', 'a note', f'"{before}"', f'"{after}"')])


def geojson_content() -> dict[str, Any]:
    square, hole = [[5, 5], [15, 5], [15, 13], [5, 13], [5, 5]], [[8, 8], [10, 8], [10, 10], [8, 8]]
    properties = {'objectType': 'cell', 'classification': {'name': 'astro', 'color': [1, 2, 3]}}
    polygons = [
        {'type': 'Polygon', 'coordinates': [square, hole]},
        {'type': 'MultiPolygon', 'coordinates': [[[[x + 20, y] for x, y in square]]]},
    ]
    return {
        'type': 'FeatureCollection',
        'features': [{'type': 'Feature', 'id': 'x', 'geometry': one, 'properties': properties} for one in polygons],
    }


def labelme_content() -> dict[str, Any]:
    shapes = [
        {
            'label': 'astro',
            'points': [[5, 5], [15, 5], [15, 13]],
            'group_id': None,
            'shape_type': 'polygon',
            'flags': {},
        },
        {'label': 'astro', 'points': [[25, 5], [35, 15]], 'group_id': 1, 'shape_type': 'rectangle', 'flags': {}},
        {'label': 'astro', 'points': [[45, 20], [50, 20]], 'group_id': 1, 'shape_type': 'circle', 'flags': {}},
    ]
    return {'version': '5.0', 'imagePath': 'a.png', 'imageHeight': SIZE[0], 'imageWidth': SIZE[1], 'shapes': shapes}


def deep() -> np.ndarray:
    """Grey levels of 16 bits."""
    return movie()[0]


def bits() -> np.ndarray:
    """Black and white."""
    return grey_image() > 127


def with_alpha() -> np.ndarray:
    """Colour and how opaque it is."""
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 4), np.uint8)


def movie() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, (3, *SIZE), np.uint16)


def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


# Writers of the sound files


def text(make: Callable[[], str]) -> Write:
    """Writes text."""
    return lambda path: path.write_text(make(), encoding='utf-8')


def plain_json(make: Callable[[], Any]) -> Write:
    """Writes JSON."""
    return text(lambda: json.dumps(make()))


def write_download(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('train.csv', train_csv())
        archive.writestr('test/readme.txt', 'hello')


def write_seg(path: Path) -> None:
    content = {
        'outlines': labels(),
        'masks': labels(),
        'filename': '/data/a.tif',
        'flows': [None, []],
        'diameter': np.float64(30.5),
    }
    np.save(path, content, allow_pickle=True)


def write_image(image: Callable[[], np.ndarray], **options: Any) -> Write:
    def write(path: Path) -> None:
        if path.suffix in ('.tif', '.lsm'):
            import tifffile

            tifffile.imwrite(path, image(), **options)
        else:
            from PIL import Image

            path.parent.mkdir(parents=True, exist_ok=True)

            Image.fromarray(image()).save(path, **options)

    return write


def write_deep_colour(path: Path) -> None:
    """Colour of 16 bits, compressed in a way for which OpenCV alone has a decoder."""
    import cv2

    encoded = cv2.imencode('.tif', colour().astype(np.uint16) * 200, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1]
    path.write_bytes(encoded.tobytes())
