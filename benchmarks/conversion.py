"""The competition's CSV to COCO JSON and back."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from competition import all_images
from measure import Benchmark, Setting
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sartorius.annotations.coco import CocoImage, cells_from_crops, read_coco, write_coco
from sartorius.annotations.train_csv import TrainImage, read_train_csv, write_train_csv
from sartorius.utils.classes import CELL_TYPES

SOME_IMAGES = 60
"""Number of images for both ways; the project's way alone is also measured on all."""


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Some images both ways, and all of them the project's way."""
    return [partial(against_loop, setting), partial(alone, setting)]


def against_loop(setting: Setting) -> Benchmark:
    """Against a loop over rows with full-size masks."""
    images = all_images(setting)
    every = max(1, len(images) // SOME_IMAGES)
    table = make_table(setting, images[::every], 'some')
    return Benchmark(
        name='conversion/some',
        work=f'{count_rows(table):,} rows of the CSV to COCO JSON and back',
        peer='numpy and pycocotools, row by row',
        ours=partial(convert_ours, table, setting.folder / 'ours'),
        theirs=partial(convert_usual, table, setting.folder / 'usual'),
        same=compare,
        goal='10x in time',
    )


def alone(setting: Setting) -> Benchmark:
    """All rows, the project's way."""
    table = make_table(setting, all_images(setting), 'all')
    return Benchmark(
        name='conversion/all',
        work=f'{count_rows(table):,} rows of the CSV to COCO JSON and back',
        peer='none',
        ours=partial(convert_ours, table, setting.folder / 'ours'),
        theirs=None,
        same=compare,
        skipped='it would take minutes a run',
    )


def make_table(setting: Setting, images: tuple, name: str) -> Path:
    """Competition CSV of some images."""
    path = setting.folder / f'{name}.csv'
    write_train_csv(path, [TrainImage(cells, CELL_TYPES[int(cells.labels[0])]) for cells in images])
    return path


def count_rows(table: Path) -> int:
    """Number of rows below the header."""
    with open(table, encoding='utf-8') as file:
        return sum(1 for _ in file) - 1


def convert_ours(table: Path, out: Path) -> tuple[Path, Path]:
    """CSV to JSON to CSV with the project's readers and writers."""
    out.mkdir(exist_ok=True)
    json_path, csv_path = out / 'cells.json', out / 'cells.csv'
    images = read_train_csv(table).images
    coco = [
        CocoImage(
            f'{image_id}.png',
            image.cells.size,
            cells_from_crops(image.cells.crops, image.cells.labels, image.cells.size),
        )
        for image_id, image in images.items()
    ]
    write_coco(json_path, coco, CELL_TYPES, {})
    read = read_coco(json_path)
    write_train_csv(csv_path, [TrainImage(cells, CELL_TYPES[int(cells.labels[0])]) for cells in read.values()])
    return json_path, csv_path


def convert_usual(table: Path, out: Path) -> tuple[Path, Path]:
    """The same as converters for this competition do it: a full-size mask per row."""
    out.mkdir(exist_ok=True)
    json_path, csv_path = out / 'cells.json', out / 'cells.csv'
    images: dict[str, dict] = {}
    annotations = []
    with open(table, encoding='utf-8', newline='') as file:
        for row in csv.DictReader(file):
            height, width = int(row['height']), int(row['width'])
            entry = {'id': len(images) + 1, 'file_name': f'{row["id"]}.png', 'height': height, 'width': width}
            image = images.setdefault(row['id'], entry)
            rle = coco_mask.encode(np.asfortranarray(decode_row_major(row['annotation'], height, width)))
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image['id'],
                    'category_id': CELL_TYPES.index(row['cell_type']) + 1,
                    'bbox': [int(value) for value in coco_mask.toBbox(rle)],
                    'area': int(coco_mask.area(rle)),
                    'iscrowd': 0,
                    'segmentation': {'size': rle['size'], 'counts': rle['counts'].decode()},
                }
            )
    categories = [{'id': number, 'name': name} for number, name in enumerate(CELL_TYPES, 1)]
    content = {'images': list(images.values()), 'categories': categories, 'annotations': annotations}
    json_path.write_text(json.dumps(content), encoding='utf-8')

    content = json.loads(json_path.read_text(encoding='utf-8'))
    by_id = {image['id']: image for image in content['images']}
    with open(csv_path, 'w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['id', 'annotation', 'width', 'height', 'cell_type'])
        for annotation in content['annotations']:
            image = by_id[annotation['image_id']]
            code = encode_row_major(coco_mask.decode(annotation['segmentation']))
            cell_type = CELL_TYPES[annotation['category_id'] - 1]
            writer.writerow([Path(image['file_name']).stem, code, image['width'], image['height'], cell_type])
    return json_path, csv_path


def decode_row_major(code: str, height: int, width: int) -> NDArray[np.uint8]:
    """Full-size mask of a competition code, as in the competition's own notebooks."""
    values = np.array(code.split(), dtype=int)
    starts, lengths = values[0::2] - 1, values[1::2]
    mask = np.zeros(height * width, dtype=np.uint8)
    for start, end in zip(starts, starts + lengths, strict=True):
        mask[start:end] = 1
    return mask.reshape(height, width)


def encode_row_major(mask: NDArray[np.uint8]) -> str:
    """Competition code of a full-size mask, as in the competition's own notebooks."""
    pixels = np.concatenate([[0], mask.flatten(), [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[0::2]
    return ' '.join(map(str, runs))


def compare(ours: tuple[Path, Path], theirs: tuple[Path, Path]) -> str:
    """Whether masks, boxes, areas and classes of the JSONs and the CSVs are the same."""
    keys = ('image_id', 'category_id', 'bbox', 'area', 'segmentation')
    contents = [
        [[entry[key] for key in keys] for entry in json.loads(path.read_text(encoding='utf-8'))['annotations']]
        for path in (ours[0], theirs[0])
    ]
    same_json = contents[0] == contents[1]
    same_csv = ours[1].read_bytes() == theirs[1].read_bytes()
    return f'{"same" if same_json else "other"} annotations, {"same" if same_csv else "other"} CSV'
