"""tools/check_submission.py as a user types it."""

import runpy
import subprocess
import sys
from dataclasses import dataclass

import pytest

from sartorius.utils.cli import run_tool


@dataclass
class Result:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def check(repo_root, tmp_path, monkeypatch, capsys):
    """Writes a submission (and a sample) and runs the command in its folder."""
    tool = runpy.run_path(str(repo_root / 'tools' / 'check_submission.py'))

    def run(submission: str, *options: str, sample: str | None = None) -> Result:
        (tmp_path / 'submission.csv').write_text(submission)
        if sample is not None:
            (tmp_path / 'sample.csv').write_text(sample)
            options = ('--sample', 'sample.csv', *options)
        monkeypatch.chdir(tmp_path)
        code = 0
        try:
            run_tool(lambda: tool['main'](['submission.csv', *options]))
        except SystemExit as end:
            code = end.code
        return Result(code, *capsys.readouterr())

    return run


def test_a_legal_submission(check):
    result = check('id,predicted\na,1 5\na,7 1\nb,\n', sample='id,predicted\na,\nb,\n')
    assert (result.returncode, result.stdout) == (0, 'OK: 2 images, 2 cells, 1 images without cells\n')


def test_broken_rules_are_listed(check):
    # 705 is the first pixel of the second row of an image of the competition, which is 704 pixels wide.
    result = check('id,predicted\na,704 2\na,705 1\nx,\n', sample='id,predicted\na,\nb,\n')
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        'row 3, image a, pixel x=0 y=1: shared with the cell of row 2',
        'row 4, image x: unknown image',
        'image b: no row; an image without cells needs one with an empty field',
    ]
    assert result.stderr == 'error: submission.csv is not legal (problems in all: 3)\n'


def test_only_the_first_problems_are_listed(check):
    result = check('id,predicted\n' + ''.join(f'{index},7\n' for index in range(25)))
    lines = result.stdout.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith('row 2, image 0: RLE has an odd number of values')
    assert lines[-1] == '... and 5 more'


def test_size_is_width_times_height(check):
    submission = 'id,predicted\na,12 1\n'
    assert check(submission, '--size', '4x3').returncode == 0
    assert 'row 2, image a: RLE pair 1 "12 1" runs past the image: 3x3' in check(submission, '--size', '3x3').stdout


@pytest.mark.parametrize(
    ('options', 'code', 'message'),
    [
        (['--size', '704'], 2, "'704' is not WIDTHxHEIGHT"),
        (['--sample', 'absent.csv'], 1, 'error: absent.csv: No such file or directory'),
    ],
)
def test_bad_usage_gets_one_sentence(check, options, code, message):
    result = check('id,predicted\na,1 5\n', *options)
    assert result.returncode == code
    assert message in result.stderr.splitlines()[-1]
    assert result.stdout == ''


def test_another_csv_as_the_sample(check):
    result = check('id,predicted\na,1 5\n', sample='image,score\na,1\n')
    assert result.returncode == 1
    assert 'sample.csv: row 1: the header is "image,score"' in result.stderr


@pytest.mark.slow
def test_the_command_itself(repo_root, tmp_path):
    (tmp_path / 'good.csv').write_text('id,predicted\na,1 5\n')
    (tmp_path / 'bad.csv').write_text('id,predicted\na,1\n')
    command = [sys.executable, repo_root / 'tools' / 'check_submission.py']
    for name, code in (('good.csv', 0), ('bad.csv', 1)):
        assert subprocess.run([*command, name], cwd=tmp_path, capture_output=True).returncode == code


def test_the_sample_of_the_competition(check, real_data):
    sample = real_data / 'sample_submission.csv'
    result = check(sample.read_text(), '--sample', str(sample))
    assert result.stdout == 'OK: 3 images, 0 cells, 3 images without cells\n'
