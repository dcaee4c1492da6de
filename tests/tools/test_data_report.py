"""tools/analysis/data_report.py as a user types it."""

import csv
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

Tool = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope='module')
def data(repo_root: Path, tmp_path_factory) -> Path:
    """Six synthetic images of 256x192 pixels with hollow and doubled cells, and their folds."""
    folder = tmp_path_factory.mktemp('data_report')
    for tool, *words in (
        ('data/make_synthetic.py', '--out', f'{folder}/data', '--images', '6', '--test-images', '0',
         '--unlabelled-images', '0', '--size', '256x192', '--seed', '3', '--defects', 'hollow=0.15', 'duplicated=0.1'),
        ('prepare_sartorius.py', '--data-root', f'{folder}/data', '--out', f'{folder}/prepared', '--folds', '3'),
    ):  # fmt: skip
        runpy.run_path(str(repo_root / 'tools' / tool))['main'](words)
    return folder


@pytest.fixture
def report(repo_root: Path, tmp_path, monkeypatch, in_process) -> Tool:
    """Runs the command in an empty folder."""
    main = runpy.run_path(str(repo_root / 'tools/analysis/data_report.py'))['main']
    monkeypatch.chdir(tmp_path)

    return in_process(main)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def test_planted_defects_are_on_the_page(report: Tool, data: Path, tmp_path) -> None:
    code, said, _ = report(f'{data}/data/train.csv', '--out', 'new/page', '--max-examples', '2')
    assert code == 0
    assert 'wrote new/page/index.html and new/page/issues.csv\n' in said
    issues = rows_of(tmp_path / 'new/page/issues.csv')
    planted = rows_of(data / 'data/defects.csv')
    for name, defect in (('hollow', 'hollow'), ('duplicated', 'double')):
        rows = {row['row'] for row in planted if row['defect'] == name}
        assert rows
        assert rows <= {row['row'] for row in issues if row['defect'] == defect}
    assert {row['fixed'] for row in issues} == {'False'}
    assert f'{len(issues)} issues in 6 images' in said
    page = (tmp_path / 'new/page/index.html').read_text()
    # The images lie beside the CSV.
    assert '6 of them available' in page
    assert page.count('aria-label="hollow, row ') == 2 * 2
    assert '>double <small>' in page
    assert '5 folds, seed 0' not in page


def test_folds_and_images_that_are_named(report: Tool, data: Path, tmp_path) -> None:
    (tmp_path / 'few').mkdir()
    first = min((data / 'data/train').iterdir())
    (tmp_path / 'few' / first.name).write_bytes(first.read_bytes())
    folds = ('--folds', f'{data}/prepared/folds.csv')
    assert report(f'{data}/data/train.csv', '--out', 'page', '--images', 'few', *folds)[0] == 0
    page = (tmp_path / 'page/index.html').read_text()
    assert '/folds.csv.' in page and 'Read from ' in page
    assert '1 of them available' in page


@pytest.mark.parametrize(
    ('words', 'code', 'message'),
    [
        (['none.csv'], 1, 'none.csv: no such file'),
        (['DATA', '--images', 'none'], 2, 'none is not a folder; name the one that holds the images'),
        (['DATA', '--max-examples', '-1'], 2, '--max-examples is -1; it must be 0 or more'),
        (['DATA', '--folds', 'none.csv'], 1, 'none.csv: no such file'),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    report: Tool, data: Path, tmp_path, words: list[str], code: int, message: str
) -> None:
    words = [f'{data}/data/train.csv' if word == 'DATA' else word for word in words]
    returned, said, problem = report(*words, '--out', 'page')
    assert returned == code
    assert said == ''
    assert problem == f'error: {message}\n'
    assert not (tmp_path / 'page').exists()
