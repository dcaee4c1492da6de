"""tools/score_submission.py as a user types it."""

import csv
import runpy
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from sartorius.annotations.coco import CocoImage, cells_from_crops, write_coco
from sartorius.annotations.reading import load_annotations
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.cli import run_tool

FIVE = 'id,annotation,width,height,cell_type\n'
NINE = 'id,annotation,width,height,cell_type,plate_time,sample_date,sample_id,elapsed_timedelta\n'
DETAILS = ',11h30m00s,2019-06-16,cort[oka-low]_2019-06-16,0 days 11:30:00'

# Image a: two cells of 10 pixels; image b: one.
TRAIN = ('a,1 10,20,3,cort', 'a,41 10,20,3,cort', 'b,6 10,20,3,shsy5y')
SUBMISSION = 'id,predicted\na,1 10\na,31 2\nb,6 8\n'


@dataclass
class Result:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def score(repo_root, tmp_path, monkeypatch, capsys):
    """Writes a submission and runs the command in its folder."""
    tool = runpy.run_path(str(repo_root / 'tools' / 'score_submission.py'))

    def run(submission: str, *options: str) -> Result:
        (tmp_path / 'submission.csv').write_text(submission)
        monkeypatch.chdir(tmp_path)
        code = 0
        try:
            run_tool(lambda: tool['main'](['submission.csv', *options]))
        except SystemExit as end:
            code = end.code
        return Result(code, *capsys.readouterr())

    return run


@pytest.mark.parametrize('form', ['five columns', 'nine columns', 'coco'])
def test_every_form_of_annotations_gives_the_same_table(score, tmp_path, form):
    if form == 'coco':
        name = 'gt.json'
        bars = {'a': [(0, 0), (0, 2)], 'b': [(5, 0)]}
        images = [
            CocoImage(
                f'train/{image_id}.png',
                (3, 20),
                cells_from_crops(
                    [MaskCrop(np.ones((1, 10), dtype=bool), x, y) for x, y in bars[image_id]], label, (3, 20)
                ),
            )
            for image_id, label in (('a', 2), ('b', 0))
        ]
        write_coco(tmp_path / name, images, CELL_TYPES, {})
    else:
        name = 'train.csv'
        nine = form == 'nine columns'
        rows = ''.join(row + DETAILS * nine + '\n' for row in TRAIN)
        (tmp_path / name).write_text((NINE if nine else FIVE) + rows)
    result = score(SUBMISSION, name)
    # The COCO file has them in a folder.
    assert ('2 of 2 images are known by the end of their path' in result.stderr) == (form == 'coco')
    assert result.returncode == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    # a: TP 1, FN 1, FP 1: 1/3. b: IoU 0.8, above six of the ten thresholds.
    assert lines[1][:5] == ['all', '2', '3', '3', '0.4667']
    assert lines[2][:5] == ['shsy5y', '1', '1', '1', '0.6000']
    assert lines[3][:5] == ['cort', '1', '2', '2', '0.3333']
    assert lines[6] == ['0.50', '2', '1', '1', '0.6667']
    assert lines[-1] == ['0.95', '1', '2', '2', '0.1667']


def test_a_part_of_the_images(score, tmp_path):
    (tmp_path / 'train.csv').write_text(FIVE + '\n'.join(TRAIN))
    part = score('id,predicted\nb,6 8\n', 'train.csv').stdout.splitlines()
    assert part[0] == '1 of the 2 annotated images are in the submission and count'
    assert part[3].split()[:5] == ['all', '1', '1', '1', '0.6000']
    full = score('id,predicted\nb,6 8\n', 'train.csv', '--all-images').stdout.splitlines()
    assert full[1].split()[:5] == ['all', '2', '3', '1', '0.3000']


def test_scores_of_the_images_are_written(score, tmp_path):
    (tmp_path / 'train.csv').write_text(FIVE + '\n'.join(TRAIN))
    assert score(SUBMISSION, 'train.csv', '--per-image', 'out/images.csv').returncode == 0
    with open(tmp_path / 'out' / 'images.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['image_id'], row['cell_type'], row['tp_50'], row['score']) for row in rows] == [
        ('a', 'cort', '1', '0.333333'),
        ('b', 'shsy5y', '1', '0.600000'),
    ]


@pytest.mark.parametrize(
    ('submission', 'annotations', 'message'),
    [
        ('id,predicted\na,1 5\na,5 1\n', 'train.csv', 'row 3, image a, pixel x=4 y=0: shared with the cell of row 2'),
        ('id,predicted\nx,1 5\n', 'train.csv', "names image 'x'"),
        ('a,1 5\n', 'train.csv', 'the header is'),
        (SUBMISSION, 'absent.csv', 'absent.csv'),
        (SUBMISSION, 'submission.csv', 'submission.csv'),  # a submission is no annotation
    ],
)
def test_bad_input_gets_one_sentence_and_no_file(score, tmp_path, submission, annotations, message):
    (tmp_path / 'train.csv').write_text(FIVE + '\n'.join(TRAIN))
    result = score(submission, annotations, '--per-image', 'images.csv')
    assert result.returncode == 1
    assert result.stdout == ''
    [line] = result.stderr.splitlines()
    assert line.startswith('error: ')
    assert message in line
    assert not (tmp_path / 'images.csv').exists()


def test_real_annotations_of_all_columns(score, real_data):
    gt = load_annotations(real_data / 'train_all_columns_sample.csv')
    [image_id] = gt
    result = score(f'id,predicted\n{image_id},\n', str(real_data / 'train_all_columns_sample.csv'))
    assert result.stdout.splitlines()[1].split()[:5] == ['all', '1', str(len(gt[image_id])), '0', '0.0000']


@pytest.mark.slow
def test_the_command_itself(repo_root, tmp_path):
    (tmp_path / 'train.csv').write_text(FIVE + '\n'.join(TRAIN))
    (tmp_path / 'submission.csv').write_text(SUBMISSION)
    command = [sys.executable, repo_root / 'tools' / 'score_submission.py', 'submission.csv', 'train.csv']
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.splitlines()[1].split()[:5] == ['all', '2', '3', '3', '0.4667']
