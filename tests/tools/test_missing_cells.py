"""tools/analysis/missing_cells.py as a user types it."""

import csv
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.annotations.train_csv import read_train_csv
from sartorius.label_quality.missing import Limits
from sartorius.predictions.provenance import ModelSource, RunRecord
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.visualization import MAX_PICTURES

SIZE = (60, 100)
LABELS = {'one': [(5, 5), (70, 30)], 'two': [(5, 5), (40, 0)]}
"""Corners of square labels of 20 pixels; image three is empty, image four in no predictions file."""


def square(x: int, y: int) -> str:
    return ' '.join(f'{row * SIZE[1] + x + 1} 20' for row in range(y, y + 20))


def predict(path: str, cells: dict[str, dict[tuple[int, int], float]], **source) -> None:
    """A predictions file with cells of 20 pixels, by image the corner and score of each."""
    images = []
    for image_id, pred in cells.items():
        corners = np.array(list(pred), dtype=np.float32).reshape(-1, 2)
        images.append(
            ImagePredictions(
                image_id=image_id,
                size=SIZE,
                boxes=np.concatenate([corners, corners + 20], axis=1),
                scores=np.array(list(pred.values()), dtype=np.float32),
                labels=np.full(len(pred), 2),
                soft_masks=np.ones((len(pred), 20, 20), dtype=np.float32),
            )
        )
    save_predictions(path, PredictionSet(tuple(images), source=ModelSource(**source)))


def held_out(fold: int) -> dict:
    return {'split': 'val', 'annotations': f'fold{fold}_val.json', 'fold': fold, 'run': RunRecord(fold=fold)}


@pytest.fixture
def missing(repo_root, tmp_path, monkeypatch, in_process):
    """Runs the command on images, train.csv and the predictions of two models, a.npz and b.npz."""
    main = runpy.run_path(str(repo_root / 'tools/analysis/missing_cells.py'))['main']
    monkeypatch.chdir(tmp_path)
    lines = ['id,annotation,width,height,cell_type', 'three,,100,60,astro']
    for corner in range(2):  # rows of the images in turn, so that a row is not a place in an image
        lines += [f'{image_id},{square(*corners[corner])},100,60,cort' for image_id, corners in LABELS.items()]
        lines.append('')  # counts as no row
    lines.append(f'four,{square(0, 0)},100,60,shsy5y')
    Path('train.csv').write_text('\n'.join(lines) + '\n')
    Path('images').mkdir()
    for image_id in ('one', 'two', 'three', 'four'):
        noise = np.random.default_rng(0).integers(0, 255, SIZE).astype(np.uint8)
        cv2.imwrite(f'images/{image_id}.png', noise)
    # Both labels of image one are predicted, the second by a candidate that post-processing drops; (40, 35) is new.
    first = {(5, 5): 0.9, (70, 30): 0.06, (40, 35): 0.95}
    predict('a.npz', {'one': first, 'two': {(5, 5): 0.9}, 'three': {}}, **held_out(0))
    predict('b.npz', {'one': {(41, 35): 0.91}, 'three': {(10, 10): 0.99}}, **held_out(1))

    call = in_process(main)

    def run(*words: str, annotations: str = 'train.csv', images: str = 'images') -> tuple[int, str, str]:
        return call(*words, '--annotations', annotations, '--images', images, '--out', 'out')

    return run


def rows(path: str) -> list[dict[str, str]]:
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def test_lists_of_two_models(missing) -> None:
    code, output, problems = missing('a.npz', 'b.npz')
    assert (code, problems) == (0, '')
    assert output.splitlines() == [
        'class     images   labels  never predicted    pred  unlabelled  min score',
        'astro          1        0                0       1           1      0.000',
        'cort           2        4                1       4           1      0.900',
        '1 annotated images are in none of the predictions files and were not compared',
        'wrote out/index.html',
        'wrote out/unlabelled.csv',
        'wrote out/never_predicted.csv',
    ]
    assert sorted(path.name for path in Path('out').iterdir()) == [
        'index.html',
        'never_predicted.csv',
        'unlabelled.csv',
    ]

    pred = [{key: row[key] for key in row if key != 'annotation'} for row in rows('out/unlabelled.csv')]
    common = {'best_iou': '0', 'files': '2', 'area': '400', 'width': '100', 'height': '60'}
    assert pred == [
        {**common, 'id': 'three', 'cell_type': 'astro', 'score': '0.495', 'support': '1', 'x': '19.5', 'y': '19.5'},
        {**common, 'id': 'one', 'cell_type': 'cort', 'score': '0.93', 'support': '2', 'x': '49.5', 'y': '44.5'},
    ]
    # The rows: three, one, two, one, two, four.
    assert rows('out/never_predicted.csv') == [
        {
            'id': 'two',
            'row': '4',
            'number': '2',
            'cell_type': 'cort',
            'files': '1',
            'x': '49.5',
            'y': '9.5',
            'area': '400',
            'best_iou': '0',
            'border': 'True',
        }
    ]


def test_accepted_rows_fit_a_training_csv(missing) -> None:
    """The list of new cells is one itself, and its codes are the predicted masks."""
    assert missing('a.npz')[0] == 0
    cells = read_train_csv('out/unlabelled.csv').images['one'].cells
    assert cells.size == SIZE
    full = cells.crops[0].to_full(SIZE)
    assert (full.sum(), full[35:55, 40:60].sum()) == (400, 400)


def test_page(missing) -> None:
    assert missing('a.npz', 'b.npz')[0] == 0
    page = Path('out/index.html').read_text()
    assert page.count('<figure>') == 3
    for words in ('score 0.93</b> 2 of 2 files', 'IoU 0.00</b> at the border', 'row 4 of train.csv', 'b.npz'):
        assert words in page
    for corner in (
        'M40 35',
        'M5 5',
        'M40 0',
    ):  # the candidate as in the file with the higher score, a neighbour, the label
        assert corner in page
    assert not {'src="http', 'href="http'} & set(page.split())


def test_pictures_are_limited_and_lists_are_not(missing) -> None:
    assert missing('a.npz', 'b.npz', '--max-pictures', '0')[0] == 0
    page = Path('out/index.html').read_text()
    assert '<figure>' not in page
    assert page.count('1 more is not shown') == 3
    assert len(rows('out/unlabelled.csv')) == 2


def test_post_processing_and_min_score_are_those_given(missing) -> None:
    Path('chain.py').write_text("postprocess = [dict(type='ScoreThreshold', threshold=.93)]\n")
    assert missing('a.npz', 'b.npz', '--postprocess', 'chain.py')[0] == 0
    assert [row['score'] for row in rows('out/unlabelled.csv')] == ['0.495', '0.475']
    assert missing('a.npz', 'b.npz', '--min-score', '.6')[0] == 0
    assert [row['score'] for row in rows('out/unlabelled.csv')] == ['0.93']


def test_coco_annotations(missing) -> None:
    images = [
        CocoImage(
            file_name=f'{image_id}.png',
            size=SIZE,
            cells=cells_from_crops(image.cells.crops, 2, SIZE),
            details={'cell_type': image.cell_type},
        )
        for image_id, image in read_train_csv('train.csv').images.items()
    ]
    write_coco('train.json', images, CELL_TYPES, {})
    assert missing('a.npz', 'b.npz', annotations='train.json')[0] == 0
    assert [row['cell_type'] for row in rows('out/unlabelled.csv')] == ['astro', 'cort']
    assert [(row['id'], row['row'], row['number']) for row in rows('out/never_predicted.csv')] == [('two', '', '2')]
    assert 'row 4' not in Path('out/index.html').read_text()


def test_unknown_training_is_a_warning(missing) -> None:
    predict('bare.npz', {'one': {}})
    code, _, problems = missing('bare.npz')
    assert code == 0
    assert problems == (
        'warning: bare.npz: no record of its training; it may have learnt from the very images that it predicted\n'
    )


def test_models_that_learnt_from_the_images_are_refused(missing) -> None:
    predict('leak.npz', {'one': {}}, **{**held_out(0), 'annotations': 'fold1_val.json', 'fold': 1})
    code, output, problem = missing('a.npz', 'leak.npz')
    assert (code, output) == (1, '')
    assert problem.startswith('error: leak.npz: was held out from fold 0 and predicted images of fold 1')
    assert '--split val --fold K' in problem
    assert not Path('out').exists()


@pytest.mark.parametrize(
    ('words', 'files', 'code', 'message'),
    [
        (('a.npz', 'a.npz'), {}, 2, 'a.npz is named twice'),
        (('a.npz', '--iou', '1.5'), {}, 2, '--iou is 1.5'),
        (('a.npz', '--covered', 'nan'), {}, 2, '--covered is nan'),
        (('a.npz', '--min-score', '-1'), {}, 2, '--min-score is -1'),
        (('a.npz', '--max-pictures', '-1'), {}, 2, '--max-pictures is -1'),
        (('a.npz',), {'images': 'nowhere'}, 2, 'nowhere is not a folder'),
        (('a.npz',), {'images': '.'}, 1, 'image one is not in .'),
        (('a.npz',), {'annotations': 'no.csv'}, 1, 'no.csv: no such file'),
        (('a.npz',), {'annotations': 'a.npz'}, 1, 'annotations are a COCO .json or a training .csv'),
        (('train.csv',), {}, 1, 'train.csv: truncated, damaged or no predictions file'),
        (('none.npz',), {}, 1, 'none.npz: No such file'),
        (('other.npz',), {}, 1, 'other.npz: image five is not in train.csv (1 such images)'),
        (('empty.npz',), {}, 1, 'empty.npz: holds no image'),
        (('a.npz',), {'annotations': 'sizes.csv'}, 1, 'a.npz: image one is 100x60 px, in sizes.csv 200x60'),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(missing, words, files, code, message) -> None:
    predict('other.npz', {'one': {}, 'five': {}}, **held_out(0))
    predict('empty.npz', {}, **held_out(0))
    Path('sizes.csv').write_text(Path('train.csv').read_text().replace(',100,', ',200,'))
    exit_code, output, problem = missing(*words, **files)
    assert (exit_code, output) == (code, '')
    assert problem.startswith('error: ')
    assert message in problem
    assert problem.count('\n') == 1
    assert not Path('out').exists()


def test_limits_are_those_of_the_analysis_unless_given(missing) -> None:
    assert missing('a.npz')[0] == 0
    page = Path('out/index.html').read_text()
    assert f'IoU with every label is below {Limits().iou:g}' in page
    assert f'labels cover less than {Limits().covered:.0%}' in page
    assert missing('a.npz', '--iou', '.3', '--covered', '.4')[0] == 0
    page = Path('out/index.html').read_text()
    assert 'IoU with every label is below 0.3' in page
    assert 'labels cover less than 40%' in page
    assert f'(default: {MAX_PICTURES})' in ' '.join(missing('--help')[1].split())


def test_origin_is_on_the_page(missing) -> None:
    assert missing('a.npz')[0] == 0
    page = Path('out/index.html').read_text()
    assert 'fold0_val.json' in page
    assert 'ScoreThreshold' in page
