"""Every kind of file that comes from outside: a sound example, how it is spoilt, and the functions that read it.

A new reader needs an entry here: ``test_fuzz.py`` finds the functions of the package that open files and fails where
no kind runs one of them.
"""

import csv
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_containers import (
    NPZ,
    PNG,
    TIFF,
    big_png,
    hostile_pickle,
    inside_zip,
    same_zip,
    spoil_bmp,
    spoil_checkpoint,
    spoil_jpeg,
    spoil_npy,
    spoil_pickle,
    spoil_zip,
    zip_bomb,
    zip_directory,
)
from fuzz_judge import Cells, Wrong
from fuzz_mutations import BYTES, CSV, JSON, YAML, Mutation, same_csv, same_json

SIZE = (40, 60)
CLASSES = ('shsy5y', 'astro', 'cort')
Write = Callable[[Path], None]
Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        write: Writes a sound file by its name; the others of a name's folder may be written with it.
        reads: Functions that read it.
        spoil: Mutations that keep its structure; those of bytes and of places come on top.
        same: Mutations that do not change what it says.
        rare: Mutations that take seconds or much memory to make.
        needs_torch: Whether its readers do.
        checked: Whether the format has checksums, so that no damage of bytes may go unnoticed.
    """

    write: dict[str, Write]
    reads: Sequence[Read]
    spoil: Sequence[Mutation] = ()
    same: Sequence[Mutation] = ()
    rare: Sequence[Mutation] = ()
    needs_torch: bool = False
    checked: bool = False


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


def results_content() -> list[dict[str, Any]]:
    """Results of another detector for :func:`coco_content`."""
    from sartorius.masks.coco_rle import encode

    return [
        {
            'image_id': number,
            'category_id': label,
            'bbox': [float(value) for value in box],
            'score': score,
            'segmentation': encode(crop, SIZE),
        }
        for number, label, box, score, crop in zip(
            (1, 1, 2),
            (1, 2, 3),
            ([5, 5, 10, 8], [30, 10, 13, 13], [52, 31, 8, 9]),
            (0.9, 0.5, 0.25),
            crops(),
            strict=True,
        )
    ]


@cache
def predictions() -> Any:
    """Predictions of two images, the second without cells."""
    from sartorius.predictions.provenance import DataRecord, ModelSource, RunData, RunRecord
    from sartorius.predictions.structures import ImagePredictions, PredictionSet

    rng = np.random.default_rng(0)
    image = ImagePredictions(
        image_id='a',
        size=SIZE,
        boxes=np.array([crop.window for crop in crops()], np.float32),
        scores=np.array([0.9, 0.5, 0.25], np.float32),
        labels=np.array([0, 1, 2]),
        soft_masks=rng.random((3, 7, 7), np.float32),
    )
    run = RunRecord(
        recipe='r',
        fold=0,
        config_sha256='c',
        seed=1,
        iterations=9,
        iterations_done=9,
        device='cpu',
        data=RunData(train=DataRecord(file='fold0_train.json', images=2, fold=0)),
    )
    source = ModelSource(split='val', annotations='fold0_val.json', fold=0, run=run)
    return PredictionSet((image, ImagePredictions.empty('b', SIZE, 7)), CLASSES, source)


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


def submission_csv() -> str:
    """Submission of two images, the second without cells."""
    from sartorius.masks.kaggle_rle import encode

    return csv_text(('id', 'predicted'), [*(('a', encode(crop, SIZE)) for crop in crops()), ('b', '')])


def exported() -> Any:
    """The cells of :func:`predictions` as exports take them."""
    from dataclasses import replace

    from sartorius.export.structures import ExportedImage

    return ExportedImage('a', (replace(predictions().images[0], crops=crops()),), CLASSES, file_name='a.png')


def text(make: Callable[[], str]) -> Write:
    """Writes text."""
    return lambda path: path.write_text(make(), encoding='utf-8')


def plain_json(make: Callable[[], Any]) -> Write:
    """Writes JSON."""
    return text(lambda: json.dumps(make()))


# Readers are imported when they are called, so that the table costs nothing.


def _coco(path: Path) -> Any:
    from sartorius.annotations.reading import load_annotations

    return load_annotations(path)


def _coco_for_training(path: Path) -> Any:
    from sartorius.annotations.coco import CocoReader

    reader = CocoReader(path, CLASSES)
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


def _coco_facts(path: Path) -> Any:
    from sartorius.annotations.coco import read_cell_types, read_image_details
    from sartorius.annotations.reading import load_groups

    return read_image_details(path), read_cell_types(path), load_groups(path)


def _coco_labels(path: Path) -> Any:
    from sartorius.label_quality.missing_files import read_labels

    return read_labels(path)


def _info(path: Path) -> Any:
    from sartorius.annotations.info import read_info

    return read_info(path)


def _merged_coco(path: Path) -> Any:
    from sartorius.export.coco_file import merge_coco

    merge_coco(path.parent / 'out.merged', [path, path.with_name('sound_coco.json')])


def _results(path: Path) -> Any:
    from sartorius.masks.coco_rle import decode
    from sartorius.predictions.coco_results import read_coco_results

    found = read_coco_results(path, path.with_name('sound_coco.json'), CLASSES)
    results = json.loads(path.read_bytes())
    codes = [result['segmentation'] for result in results if isinstance(result.get('segmentation'), dict)]
    empty = [code for code in codes if isinstance(code['counts'], list) or not decode(code).mask.size]
    accounted(len(results), sum(map(len, found.images)), empty)
    return found


def _results_alone(path: Path) -> Any:
    from sartorius.predictions.coco_results import read_coco_results

    return read_coco_results(path, path.with_name('sound_coco.json'))


def _results_of_dataset(path: Path) -> Any:
    from sartorius.predictions.coco_results import read_coco_results

    return read_coco_results(path.with_name('sound_results.json'), path)


def _result_boxes(path: Path) -> Any:
    from sartorius.inference.box_prompts import read_box_prompts

    return read_box_prompts(path, path.with_name('sound_coco.json'), CLASSES)


def _predictions(path: Path) -> Any:
    from sartorius.predictions.store import load_predictions

    return load_predictions(path)


def _header(path: Path) -> Any:
    from sartorius.predictions.store import read_header

    return read_header(path)


def _found_predictions(path: Path) -> Any:
    from sartorius.predictions.search import plan_fusion

    return plan_fusion(path.parent)


def _leaderboard_rows(path: Path) -> Any:
    from sartorius.leaderboard.rows import find_files

    return find_files([path])


def _merged_tables(path: Path) -> Any:
    from sartorius.export.cell_table import merge_tables

    merge_tables(path.parent / 'out.merged', [path, path.with_name('sound_cells.csv')])
    return (path.parent / 'out.merged').read_bytes().replace(b'\r', b'')


def _unpacked(path: Path) -> Any:
    from sartorius.annotations.download import _unpack

    _unpack(path.parent, path.parent / 'unpacked')
    return sorted((one.name, one.read_bytes()) for one in (path.parent / 'unpacked').rglob('*') if one.is_file())


def _own_images(path: Path) -> Any:
    from sartorius.annotations.image_preparation import ImagePreparationOptions, prepare_images
    from sartorius.annotations.label_files import LabelOptions
    from sartorius.annotations.reading import load_annotations

    for name in ('a.png', 'b.png'):
        _write_image(grey_image)(path.parent / 'images' / 'train' / name)
    options = ImagePreparationOptions(LabelOptions(root=path.parent / 'images', labels=path), folds=2)
    prepare_images(options, path.parent / 'prepared')
    return load_annotations(path.parent / 'prepared' / 'all.json')


def _train_csv(path: Path) -> Any:
    from sartorius.annotations.train_csv import read_train_csv

    table = read_train_csv(path)
    images = [*table.images.values(), *table.fold_images]
    with path.open(encoding='utf-8-sig', newline='') as file:
        header, *rows = [row for row in csv.reader(file) if row]
    cells = sum(len(image.cells) for image in images)
    column = header.index('annotation')
    accounted(sum(bool(row[column].strip()) for row in rows), cells, ())
    return table.images


def _train_csv_facts(path: Path) -> Any:
    from sartorius.annotations.reading import load_cell_types, load_groups

    return load_cell_types(path), load_groups(path)


def _train_csv_rows(path: Path) -> Any:
    from sartorius.annotations.pseudo_rows import replace_pseudo_rows
    from sartorius.annotations.train_csv import read_train_csv

    table = read_train_csv(path)
    replace_pseudo_rows(path, path.parent / 'out.csv', [])
    return table.images


def _label_table(path: Path) -> Any:
    from sartorius.label_quality.table import read_label_table

    return read_label_table(path).images


def _submission(path: Path) -> Any:
    from sartorius.submission.csv_format import read_cells

    found = read_cells(path, {'a': SIZE, 'b': SIZE})
    with path.open(encoding='utf-8-sig', newline='') as file:
        codes = sum(bool(row and row[1].strip()) for row in csv.reader(file)) - 1
    accounted(codes, sum(map(len, found.values())), ())
    return {name: Cells(SIZE, cells) for name, cells in found.items()}


def _check_submission(path: Path) -> Any:
    from sartorius.submission.csv_format import find_problems

    find_problems(path, {'a': SIZE, 'b': SIZE}, ('a', 'b'))


def _score_submission(path: Path) -> Any:
    from sartorius.submission.score import score_submission

    score_submission(path, _coco(path.with_name('sound_coco.json')))


def _edits(path: Path) -> Any:
    from sartorius.label_quality.edits import read_log, undo_edits

    edits = read_log(path)
    undo_edits(path.with_name('sound_train.csv'), edits, lambda edit: True)
    return edits


def _folds(path: Path) -> Any:
    from sartorius.label_quality.fold_balance import _read

    return _read(path)


def _image_list(path: Path) -> Any:
    from sartorius.engine.image_prediction.parts import read_image_list

    return read_image_list(path)


def _image(path: Path) -> Any:
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
            pixels = np.asarray(picture)
    # It refuses some damage that OpenCV does not mind.
    except Exception:
        return
    if picture.mode in ('L', 'RGB') and 'transparency' not in picture.info and picture.getexif().get(274, 1) == 1:
        ours = frame if frame.ndim == 2 else frame[..., ::-1]
        # A grey picture may be read in colour, and the other way round.
        if ours.ndim == pixels.ndim and not np.array_equal(ours, pixels):
            raise Wrong('other pixels than Pillow reads')


def _model_image(path: Path) -> Any:
    from sartorius.images.reading import read_cell_image

    return read_cell_image(path)


def _shown_image(path: Path) -> Any:
    from sartorius.images.reading import image_size, read_for_display

    return image_size(path), read_for_display(path, 0)


def _cells(found: Any) -> Cells:
    return Cells(SIZE, found.crops, found.classes, dict(found.counts))


def _label_image(path: Path) -> Any:
    from sartorius.annotations.label_images import read_label_image

    return _cells(read_label_image(path, SIZE))


def _label_pieces(path: Path) -> Any:
    from sartorius.annotations.label_images import read_label_image

    return _cells(read_label_image(path, SIZE, 'split'))


def _rois(path: Path) -> Any:
    from sartorius.annotations.label_outlines import read_rois

    return _cells(read_rois(path, SIZE))


def _geojson(path: Path) -> Any:
    from sartorius.annotations.label_outlines import read_geojson

    found = _cells(read_geojson(path, SIZE))
    content = json.loads(path.read_text(encoding='utf-8-sig'))
    features = content.get('features', [content]) if isinstance(content, dict) else content
    accounted(len(features), len(found.crops), found.said)
    return found


def _labelme(path: Path) -> Any:
    from sartorius.annotations.label_outlines import read_labelme

    return _cells(read_labelme(path, SIZE))


def _found_labels(path: Path) -> Any:
    from sartorius.annotations.label_files import LabelOptions, find_labels

    return find_labels(LabelOptions(root=path.parent))


def _chain(path: Path) -> Any:
    from sartorius.postprocess.chain import load_chain_for

    return load_chain_for(CLASSES, path)[0].to_config()


def _recipe(path: Path) -> Any:
    from sartorius.fusion.recipe import load_recipe

    return load_recipe(path).model_dump()


def _rules(path: Path) -> Any:
    from sartorius.pseudo_labels.rules import load_rules

    return load_rules(path)


def _workflow(path: Path) -> Any:
    from sartorius.workflow.settings import read_workflow

    return read_workflow(path).model_dump()


def _plan(path: Path) -> Any:
    from sartorius.workflow.stages import load_plan

    return load_plan(path)


def _stage_record(path: Path) -> Any:
    from sartorius.workflow.records import done_stages, read_record

    plan = _sound_plan(path.parent)
    stage = plan.stages['prepare/all']
    target = plan.record(stage)
    target.parent.mkdir(parents=True, exist_ok=True)
    _put(path, target)
    return read_record(plan, stage), done_stages(plan)


def _run_record(path: Path) -> Any:
    from sartorius.predictions.provenance import read_run

    return read_run(path.parent)


def _image_record(path: Path) -> Any:
    from sartorius.engine.image_prediction.records import RunFolder

    folder = RunFolder(path.parent)
    target = folder.record_path('a')
    target.parent.mkdir(parents=True, exist_ok=True)
    _put(path, target)
    return folder.read('a'), folder.has_outputs('a', ['masks'])


def _last_checkpoint(path: Path) -> Any:
    from sartorius.engine.first_weights import last_checkpoint

    return last_checkpoint(path.parent)


def _checkpoint(path: Path) -> Any:
    from sartorius.models.checkpoints import read_checkpoint

    return read_checkpoint(path)


def _checkpoint_damage(path: Path) -> Any:
    from sartorius.utils.checkpoint_files import describe_damage

    return describe_damage(path)


def _timing(path: Path) -> Any:
    from sartorius.predictions.timing import read_seconds_per_image

    return read_seconds_per_image(path.with_name('predictions.npz'))


def _write_timing(path: Path) -> None:
    from sartorius.predictions.timing import write_timing
    from sartorius.utils.files import sha256_of

    predictions_file = path.with_name('predictions.npz')
    _write_npz(predictions_file)
    write_timing(predictions_file, sha256_of(predictions_file), 0.5)


def _config_comment(path: Path) -> Any:
    from sartorius.leaderboard.leaderboard_page import _first_words

    return _first_words(str(path))


def _checkpoint_weights(path: Path) -> Any:
    from sartorius.models.checkpoints import check_finite, load_from_file

    content = load_from_file(str(path))
    check_finite(content.get('state_dict', content), path.name)
    return content.get('state_dict', content)


def _model_file(path: Path) -> Any:
    from sartorius.models.model_file import load_model_file

    return load_model_file(path)


def _put(path: Path, target: Path) -> None:
    """The spoilt file at another name, whatever stands under its own."""
    target.unlink(missing_ok=True)
    target.symlink_to(path)


def _sound_plan(folder: Path) -> Any:
    from sartorius.workflow.stages import Stage, WorkflowPlan

    first = Stage(
        'prepare', 'all', ('tools/prepare_sartorius.py', '--out', str(folder)), (), (str(folder / 'all.json'),)
    )
    second = Stage(
        'train',
        'fold0/r',
        ('tools/train.py', 'r'),
        (str(folder / 'all.json'),),
        (str(folder / 'r.pth'),),
        work_dir=str(folder),
    )
    return WorkflowPlan(folder, folder, {stage.key: stage for stage in (first, second)})


# Writers of the sound files


def _write_npz(path: Path) -> None:
    from sartorius.predictions.store import save_predictions

    save_predictions(path, predictions())


def _write_run(path: Path) -> None:
    from sartorius.predictions.provenance import write_run

    write_run(path.parent, predictions().source.run)


def _write_plan(path: Path) -> None:
    from sartorius.workflow.stages import save_plan

    save_plan(_sound_plan(path.parent))


def _stage_record_content() -> dict[str, Any]:
    state = {'size': 3, 'changed': 1, 'sha256': 'ab'}
    return {
        'state': 'done',
        'fingerprint': 'f',
        'started': 1.0,
        'seconds': 2.0,
        'outputs': {'all.json': state},
        'code': None,
    }


def _image_record_content() -> dict[str, Any]:
    state = {'size': 3, 'changed': 1, 'sha256': 'ab'}
    frame = {'frame': 0, 'cells': 3, 'by_class': {'astro': 3}, 'covered': 0.5, 'median_area_px': 80.0}
    return {
        'image': 'a',
        'file': 'a.png',
        'status': 'done',
        'source': state,
        'outputs': {'masks': state},
        'height': 40,
        'width': 60,
        'frames': [frame],
        'version': 1,
    }


def _edits_csv() -> str:
    rows = train_csv().splitlines(keepends=True)[1:]
    before, after = (json.dumps(row)[1:-1] for row in (rows[0].replace('shsy5y', 'astro'), rows[0]))
    columns = ('id', 'row', 'defect', 'area_before', 'area_after', 'iou', 'note', 'text_before', 'text_after')
    return csv_text(columns, [('a', 0, 'wrong-class', 80, 80, '1.0', 'a note', f'"{before}"', f'"{after}"')])


def _geojson_content() -> dict[str, Any]:
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


def _labelme_content() -> dict[str, Any]:
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


def _chain_content() -> dict[str, Any]:
    from sartorius.postprocess.chain import load_chain

    return {'postprocess': load_chain().to_config(), 'evidence': {}}


def _rules_content() -> dict[str, Any]:
    from dataclasses import asdict

    from sartorius.pseudo_labels.rules import load_rules

    return {'pseudo_labels': asdict(load_rules())}


def _write_table(path: Path) -> None:
    from sartorius.export.cell_table import write_table

    write_table(path, exported())


def _write_download(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('train.csv', train_csv())
        archive.writestr('test/readme.txt', 'hello')


def _write_rois(path: Path) -> None:
    from sartorius.export.imagej_rois import write_roi_zip

    write_roi_zip(path, exported())


def _write_roi(path: Path) -> None:
    from sartorius.export.imagej_rois import _region

    path.write_bytes(_region(crops()[1]).tobytes())


def _write_seg(path: Path) -> None:
    content = {
        'outlines': labels(),
        'masks': labels(),
        'filename': '/data/a.tif',
        'flows': [None, []],
        'diameter': np.float64(30.5),
    }
    np.save(path, content, allow_pickle=True)


def _write_image(image: Callable[[], np.ndarray], **options: Any) -> Write:
    def write(path: Path) -> None:
        if path.suffix in ('.tif', '.lsm'):
            import tifffile

            tifffile.imwrite(path, image(), **options)
        else:
            from PIL import Image

            path.parent.mkdir(parents=True, exist_ok=True)

            Image.fromarray(image()).save(path, **options)

    return write


def _write_deep_colour(path: Path) -> None:
    """Colour of 16 bits, compressed in a way for which OpenCV alone has a decoder."""
    import cv2

    encoded = cv2.imencode('.tif', _colour().astype(np.uint16) * 200, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1]
    path.write_bytes(encoded.tobytes())


def _movie() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, (3, *SIZE), np.uint16)


def _colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def _sound_checkpoint(path: Path) -> None:
    import torch

    content = {
        'meta': {
            'cfg': 'a = 1',
            'iter': 3,
            'seed': 7,
            'dataset_meta': {'classes': CLASSES, 'palette': [[1, 2, 3]] * 3},
        },
        'state_dict': {
            'a.weight': torch.arange(12.0).reshape(3, 4),
            'a.bias': torch.ones(3),
            'a.num_batches_tracked': torch.tensor(3),
        },
        'optimizer': {
            'state': {0: {'momentum_buffer': torch.zeros(3, 4)}},
            'param_groups': [{'lr': 0.1, 'params': [0]}],
        },
        'param_schedulers': [{'last_step': 3}],
    }
    torch.save(content, path)


def _sound_model(path: Path) -> None:
    import torch

    from sartorius.models.model_file import find_model

    content = torch.load(find_model(), weights_only=True)
    content['state_dict'] = dict(list(content['state_dict'].items())[:6])
    torch.save(content, path)


COMPANIONS: dict[str, Write] = {
    'sound_coco.json': plain_json(coco_content),
    'sound_results.json': plain_json(results_content),
    'sound_train.csv': text(train_csv),
    'sound_cells.csv': lambda path: _write_table(path),
    'image.png': lambda path: _write_image(grey_image)(path),
}
"""Sound files beside the spoilt one, for readers of two files."""

KINDS: dict[str, Kind] = {
    'coco': Kind(
        {'annotations.json': plain_json(coco_content)},
        [
            _coco,
            _coco,
            _coco_for_training,
            _coco_facts,
            _coco_labels,
            _info,
            _merged_coco,
            _results_of_dataset,
            _own_images,
        ],
        JSON,
        [same_json],
    ),
    'coco_results': Kind(
        {'results.json': plain_json(results_content)},
        [_results, _results, _results_alone, _result_boxes],
        JSON,
        [same_json],
    ),
    'predictions': Kind(
        {'predictions_val.npz': _write_npz},
        [_predictions, _predictions, _header, _found_predictions, _leaderboard_rows],
        NPZ,
        [same_zip],
        [zip_bomb],
        checked=True,
    ),
    'train_csv': Kind(
        {'train.csv': text(train_csv)},
        [_train_csv, _train_csv, _train_csv_facts, _train_csv_rows, _label_table, _coco_labels],
        CSV,
        [same_csv],
    ),
    'submission': Kind(
        {'submission.csv': text(submission_csv)},
        [_submission, _submission, _check_submission, _score_submission],
        CSV,
        [same_csv],
    ),
    'edits': Kind({'edits.csv': text(_edits_csv)}, [_edits], CSV, [same_csv]),
    'folds': Kind(
        {'folds.csv': text(lambda: csv_text(('id', 'group', 'fold'), [('a', 'g', 0), ('b', 'h', 1)]))},
        [_folds],
        CSV,
        [same_csv],
    ),
    'image_list': Kind(
        {'images.csv': text(lambda: csv_text(('image', 'path'), [('a', '/a.png'), ('b', '/b.png')]))},
        [_image_list],
        CSV,
        [same_csv],
    ),
    'cell_table': Kind({'a_cells.csv': _write_table}, [_merged_tables], CSV),
    'download': Kind(
        {'sartorius-cell-instance-segmentation.zip': _write_download},
        [_unpacked],
        [spoil_zip, zip_directory],
        [same_zip],
        checked=True,
    ),
    'png': Kind(
        {'a.png': _write_image(grey_image), 'colour.png': _write_image(_colour)},
        [_image, _model_image, _shown_image],
        PNG,
        rare=[big_png],
        checked=True,
    ),
    'jpeg': Kind({'a.jpg': _write_image(_colour)}, [_image, _model_image, _shown_image], [spoil_jpeg]),
    'bmp': Kind({'a.bmp': _write_image(_colour)}, [_image, _model_image, _shown_image], [spoil_bmp]),
    'tiff': Kind(
        {
            'a.tif': _write_image(grey_image),
            'deflated.tif': _write_image(_colour, compression='zlib', photometric='rgb'),
            'movie.tif': _write_image(_movie, imagej=True, metadata={'axes': 'TYX', 'fps': 1.0}, resolution=(1.5, 1.5)),
            'ome.ome.tif': _write_image(_movie, ome=True, metadata={'axes': 'TYX', 'PhysicalSizeX': 0.5}),
            'tiles.tif': _write_image(
                lambda: np.tile(_movie()[0], (2, 2)), tile=(16, 16), compression='zlib', predictor=True
            ),
            'lzw.tiff': _write_image(_colour, compression='tiff_lzw'),
            'deep.tiff': _write_deep_colour,
        },
        [_image, _model_image, _shown_image],
        TIFF,
    ),
    'label_image': Kind(
        {'a_masks.tif': _write_image(labels, compression='zlib'), 'a_masks.png': _write_image(labels)},
        [_label_image, _label_image, _label_pieces],
        [*TIFF, *PNG],
        rare=[big_png],
    ),
    'seg_npy': Kind(
        {'a_seg.npy': _write_seg},
        [_label_image, _label_image, _label_pieces],
        [spoil_pickle, spoil_pickle, hostile_pickle, spoil_npy],
    ),
    'rois': Kind(
        {'a_rois.zip': _write_rois},
        [_rois],
        [inside_zip(*BYTES), inside_zip(*BYTES), spoil_zip, zip_directory],
        [same_zip],
        [zip_bomb],
        checked=True,
    ),
    'roi': Kind({'a.roi': _write_roi}, [_rois]),
    'geojson': Kind({'a.geojson': plain_json(_geojson_content)}, [_geojson], JSON, [same_json]),
    'labelme': Kind(
        {'image.json': plain_json(_labelme_content)}, [_labelme, _labelme, _found_labels], JSON, [same_json]
    ),
    'chain': Kind(
        {'postprocess.json': plain_json(_chain_content)},
        [_chain],
        JSON,
        [same_json],
    ),
    'recipe': Kind(
        {
            'fusion.json': plain_json(
                lambda: {
                    'fusion': {
                        'method': {'type': 'wbf', 'iou_threshold': 0.6},
                        'members': [{'predictions': 'a.npz', 'weight': 2}, {'predictions': 'b.npz'}],
                    }
                }
            )
        },
        [_recipe],
        JSON,
        [same_json],
    ),
    'rules': Kind(
        {'rules.json': plain_json(_rules_content)},
        [_rules],
        JSON,
        [same_json],
    ),
    'workflow': Kind(
        {
            'workflow.yaml': text(lambda: _configs('workflows/demo.yaml')),
            'boxes.yaml': text(lambda: _configs('workflows/boxes.yaml')),
            'predict.yaml': text(lambda: _configs('workflows/predict.yaml')),
        },
        [_workflow],
        YAML,
    ),
    'plan': Kind({'workflow.json': _write_plan}, [_plan], JSON),
    'stage_record': Kind({'record.json': plain_json(_stage_record_content)}, [_stage_record], JSON, [same_json]),
    'run_record': Kind({'run.json': _write_run}, [_run_record], JSON, [same_json]),
    'image_record': Kind({'record.json': plain_json(_image_record_content)}, [_image_record], JSON, [same_json]),
    'timing': Kind({'predictions.timing.json': _write_timing}, [_timing], JSON, [same_json]),
    'named_config': Kind({'config.py': text(lambda: '# A comment\n# of a config.\na = 1\n')}, [_config_comment]),
    'last_checkpoint': Kind({'last_checkpoint': text(lambda: '/somewhere/iter_3.pth')}, [_last_checkpoint]),
    'checkpoint': Kind(
        {'iter_3.pth': _sound_checkpoint},
        [_checkpoint, _checkpoint, _checkpoint_weights, _checkpoint_damage],
        [
            spoil_checkpoint,
            inside_zip(spoil_pickle),
            inside_zip(hostile_pickle),
            hostile_pickle,
            spoil_zip,
            zip_directory,
        ],
        [],
        [zip_bomb],
        needs_torch=True,
    ),
    'model_file': Kind(
        {'cells-e68f5f48.pth': _sound_model},
        [_model_file],
        [spoil_checkpoint, spoil_checkpoint, spoil_checkpoint, inside_zip(spoil_pickle), zip_directory],
        needs_torch=True,
    ),
}


def _configs(name: str) -> str:
    from sartorius.utils.paths import CONFIG_DIR

    return (CONFIG_DIR / name).read_text(encoding='utf-8')
