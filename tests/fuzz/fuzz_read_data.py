"""Functions that read images, annotations and label files, called as tools call them.

Where it can be told from the file how many cells it lists, or what another library reads in it, the answer is held
against that. Functions of the package are imported when they are called, so that the list of kinds costs nothing.
"""

import csv
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fuzz_sound_data as sound_data
import numpy as np
from fuzz_judge import Cells, Wrong


def coco(path: Path) -> Any:
    from sartorius.annotations.reading import load_annotations

    return load_annotations(path)


def coco_for_training(path: Path) -> Any:
    from sartorius.annotations.coco import CocoReader

    reader = CocoReader(path, sound_data.CLASSES)
    images = [(image, masks.crops) for image, masks in reader]
    listed = json.loads(path.read_bytes())['annotations']
    accounted(len(listed), sum(len(image.cells) for image, _ in images), reader.notes())
    own = [crop.to_full(image.size) for image, crops in images for crop in crops]
    foreign = [_by_pycocotools(one, [image.size for image, _ in images]) for one in listed]
    theirs = {mask.tobytes() for mask in foreign if mask is not None}
    if all(mask is not None for mask in foreign) and not {mask.tobytes() for mask in own} <= theirs:
        raise Wrong('a mask that pycocotools does not find in the file')
    return images, reader.notes()


def accounted(listed: int, read: int, said: object) -> None:
    """Raises where cells of a file are lost in silence, or are more than it lists."""
    if read > listed or (read < listed and not said):
        raise Wrong(f'{read} of {listed} cells, and nothing is said of the others')


def _by_pycocotools(annotation: dict[str, Any], sizes: Sequence[tuple[int, int]]) -> np.ndarray | None:
    """A mask as pycocotools decodes it; None for forms that it does not know."""
    from pycocotools import mask as coco_mask

    mask = annotation.get('segmentation')
    if not isinstance(mask, dict) or len(set(sizes)) != 1:
        return None
    with warnings.catch_warnings(action='ignore'):
        code = coco_mask.frPyObjects(mask, *sizes[0]) if isinstance(mask['counts'], list) else mask
        return np.ascontiguousarray(coco_mask.decode(code)).astype(bool)


def coco_facts(path: Path) -> Any:
    from sartorius.annotations.coco import read_cell_types, read_image_details
    from sartorius.annotations.reading import load_groups

    return read_image_details(path), read_cell_types(path), load_groups(path)


def coco_labels(path: Path) -> Any:
    from sartorius.label_quality.missing_files import read_labels

    return read_labels(path)


def info(path: Path) -> Any:
    from sartorius.annotations.info import read_info

    return read_info(path)


def merged_coco(path: Path) -> Any:
    from sartorius.export.coco_file import merge_coco

    merge_coco(path.parent / 'out.merged', [path, path.with_name('sound_coco.json')])


def unpacked(path: Path) -> Any:
    from sartorius.annotations.download import _unpack

    _unpack(path.parent, path.parent / 'unpacked')
    return sorted((one.name, one.read_bytes()) for one in (path.parent / 'unpacked').rglob('*') if one.is_file())


def own_images(path: Path) -> Any:
    from sartorius.annotations.image_preparation import ImagePreparationOptions, prepare_images
    from sartorius.annotations.label_files import LabelOptions
    from sartorius.annotations.reading import load_annotations

    for name in ('a.png', 'b.png'):
        sound_data.write_image(sound_data.grey_image)(path.parent / 'images' / 'train' / name)
    options = ImagePreparationOptions(LabelOptions(root=path.parent / 'images', labels=path), folds=2)
    prepare_images(options, path.parent / 'prepared')
    return load_annotations(path.parent / 'prepared' / 'all.json')


def prepared(path: Path) -> Any:
    """The competition's folds of a training CSV and its images."""
    from sartorius.annotations.preparation import prepare_sartorius
    from sartorius.annotations.reading import load_annotations
    from sartorius.annotations.source_tables import PreparationOptions

    for name in ('train/a.png', 'train/b.png', 'test/c.png'):
        sound_data.write_image(sound_data.grey_image)(path.parent / name)
    out = path.parent / 'prepared'
    prepare_sartorius(PreparationOptions(data_root=path.parent, csv_paths=(path,), folds=2), out)
    return load_annotations(out / 'all.json')


def livecell(path: Path) -> Any:
    """LIVECell's own files, prepared for training."""
    from sartorius.annotations.livecell import LivecellOptions, prepare_livecell
    from sartorius.annotations.reading import load_annotations

    for entry in sound_data.livecell_content()['images']:
        image = path.parent / 'images' / entry['file_name']
        image.parent.mkdir(exist_ok=True)
        sound_data.write_image(lambda: np.zeros((520, 704), np.uint8))(image)
    out = path.parent / 'prepared'
    prepare_livecell(LivecellOptions(path.parent, keep_incomplete=True, min_area=0), out)
    return load_annotations(out / 'train.json')


def train_csv(path: Path) -> Any:
    from sartorius.annotations.train_csv import read_train_csv

    table = read_train_csv(path)
    images = [*table.images.values(), *table.fold_images]
    with path.open(encoding='utf-8-sig', newline='') as file:
        header, *rows = [row for row in csv.reader(file) if row]
    cells = sum(len(image.cells) for image in images)
    column = header.index('annotation')
    accounted(sum(bool(row[column].strip()) for row in rows), cells, ())
    return table.images


def train_csv_facts(path: Path) -> Any:
    from sartorius.annotations.reading import load_cell_types, load_groups

    return load_cell_types(path), load_groups(path)


def train_csv_rows(path: Path) -> Any:
    from sartorius.annotations.pseudo_rows import replace_pseudo_rows
    from sartorius.annotations.train_csv import read_train_csv

    table = read_train_csv(path)
    replace_pseudo_rows(path, path.parent / 'out.csv', [])
    return table.images


def label_table(path: Path) -> Any:
    from sartorius.label_quality.table import read_label_table

    return read_label_table(path).images


def edits(path: Path) -> Any:
    from sartorius.label_quality.edits import read_log, undo_edits

    edits = read_log(path)
    undo_edits(path.with_name('sound_train.csv'), edits, lambda edit: True)
    return edits


def folds(path: Path) -> Any:
    from sartorius.label_quality.fold_balance import _read

    return _read(path)


def image_list(path: Path) -> Any:
    from sartorius.engine.image_prediction.parts import read_image_list

    return read_image_list(path)


def image(path: Path) -> Any:
    from sartorius.images.reading import read_stack

    image = read_stack(path)
    if path.suffix in ('.png', '.bmp'):
        _compare_with_pillow(path, image.frames[0])
    return image


def _compare_with_pillow(path: Path, frame: np.ndarray) -> None:
    """Raises where Pillow finds other pixels in a picture of 8 bits without alpha."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels, turned = np.asarray(picture), picture.getexif().get(274, 1) != 1
    # It refuses some damage that OpenCV does not mind.
    except Exception:
        return
    if picture.mode in ('L', 'RGB') and 'transparency' not in picture.info and not turned:
        ours = frame if frame.ndim == 2 else frame[..., ::-1]
        # A grey picture may be read in colour, and the other way round.
        if ours.ndim == pixels.ndim and not np.array_equal(ours, pixels):
            raise Wrong('other pixels than Pillow reads')


def model_image(path: Path) -> Any:
    from sartorius.images.reading import read_cell_image

    return read_cell_image(path)


def shown_image(path: Path) -> Any:
    from sartorius.images.reading import image_size, read_for_display

    return image_size(path), read_for_display(path, 0)


def _cells(found: Any) -> Cells:
    return Cells(sound_data.SIZE, found.crops, found.classes, dict(found.counts))


def label_image(path: Path) -> Any:
    from sartorius.annotations.label_images import read_label_image

    return _cells(read_label_image(path, sound_data.SIZE))


def label_pieces(path: Path) -> Any:
    from sartorius.annotations.label_images import read_label_image

    return _cells(read_label_image(path, sound_data.SIZE, 'split'))


def rois(path: Path) -> Any:
    from sartorius.annotations.label_outlines import read_rois

    return _cells(read_rois(path, sound_data.SIZE))


def geojson(path: Path) -> Any:
    from sartorius.annotations.label_outlines import read_geojson

    found = _cells(read_geojson(path, sound_data.SIZE))
    content = json.loads(path.read_text(encoding='utf-8-sig'))
    features = content.get('features', [content]) if isinstance(content, dict) else content
    accounted(len(features), len(found.crops), found.said)
    return found


def labelme(path: Path) -> Any:
    from sartorius.annotations.label_outlines import read_labelme

    return _cells(read_labelme(path, sound_data.SIZE))


def found_labels(path: Path) -> Any:
    from sartorius.annotations.label_files import LabelOptions, find_labels

    return find_labels(LabelOptions(root=path.parent))
