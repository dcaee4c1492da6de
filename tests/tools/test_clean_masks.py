"""tools/data/clean_masks.py as a user runs it."""

import csv
import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sartorius.label_quality.defects import safe_defects

Run = Callable[..., str]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    folder = tmp_path_factory.mktemp('clean') / 'data'
    run(
        'tools/data/make_synthetic.py', '--out', str(folder), '--images', '4', '--test-images', '0',
        '--unlabelled-images', '0', '--size', '256x192', '--defects', 'hollow=0.2', 'speck=0.1', 'duplicated=0.1',
        'wrong-class=0.1', 'convex-filled=0.2',
    )  # fmt: skip
    return folder


@pytest.mark.slow
def test_without_out_it_only_looks(run: Run, data: Path) -> None:
    before = sorted(data.rglob('*'))
    printed = run('tools/data/clean_masks.py', str(data / 'train.csv'))
    assert '| hollow' in printed
    assert '- rows changed: 0' in printed
    assert sorted(data.rglob('*')) == before


@pytest.mark.slow
def test_cleaned_logged_prepared_and_undone(run: Run, data: Path, tmp_path: Path) -> None:
    source, clean, log = data / 'train.csv', tmp_path / 'train.csv', tmp_path / 'train_edits.csv'
    printed = run('tools/data/clean_masks.py', str(source), '--out', str(clean), '--fix', 'all')
    with open(log, newline='') as file:
        edits = Counter(row['defect'] for row in csv.DictReader(file))
    with open(data / 'defects.csv', newline='') as file:
        planted = Counter(row['defect'] for row in csv.DictReader(file))
    assert edits['wrong-class'] == planted['wrong-class'] > 0
    assert edits['speck'] == planted['speck'] > 0
    assert edits['double'] == planted['duplicated'] > 0
    assert f'{edits.total():,} edits to' in printed
    # The wrong classes kept the CSV from being prepared.
    run('tools/prepare_sartorius.py', '--data-root', str(data), '--folds', '2', '--out', str(tmp_path / 'a'), code=1)
    run(
        'tools/prepare_sartorius.py', '--data-root', str(data), '--csv', str(clean), '--folds', '2',
        '--out', str(tmp_path / 'b'),
    )  # fmt: skip
    back = tmp_path / 'back.csv'
    printed = run('tools/data/clean_masks.py', str(clean), '--undo', str(log), '--out', str(back))
    assert back.read_bytes() == source.read_bytes()
    assert f'{edits.total():,} edits undone' in printed


def test_the_default_fixes_lose_no_cell_and_change_no_class(run: Run, data: Path, tmp_path: Path) -> None:
    run(
        'tools/data/clean_masks.py',
        str(data / 'train.csv'),
        '--out',
        str(tmp_path / 'c.csv'),
        '--log',
        str(tmp_path / 'log.csv'),
    )
    with open(tmp_path / 'log.csv', newline='') as file:
        assert {row['defect'] for row in csv.DictReader(file)} <= set(safe_defects())


@pytest.mark.slow
def test_some_edits_are_undone(run: Run, data: Path, tmp_path: Path) -> None:
    both, one, log = tmp_path / 'both.csv', tmp_path / 'one.csv', tmp_path / 'both_edits.csv'
    run('tools/data/clean_masks.py', str(data / 'train.csv'), '--out', str(both), '--fix', 'hollow', 'double')
    run('tools/data/clean_masks.py', str(data / 'train.csv'), '--out', str(one), '--fix', 'hollow')
    part = tmp_path / 'part.csv'
    run('tools/data/clean_masks.py', str(both), '--undo', str(log), '--only', 'double', '--out', str(part))
    assert part.read_bytes() == one.read_bytes()
    assert (tmp_path / 'part_edits.csv').read_text().count(',hollow,') == log.read_text().count(',hollow,')


def test_the_report_shows_before_and_after(run: Run, data: Path, tmp_path: Path) -> None:
    run(
        'tools/data/clean_masks.py', str(data / 'train.csv'), '--out', str(tmp_path / 'c.csv'),
        '--report', str(tmp_path / 'page'),
    )  # fmt: skip
    page = (tmp_path / 'page' / 'index.html').read_text()
    assert 'hollow' in page
    assert (tmp_path / 'page' / 'issues.csv').read_text().startswith('id,row,cell_type,defect,fixed,')


@pytest.mark.parametrize(
    ('words', 'code', 'message'),
    [
        (['--out', 'SOURCE'], 2, 'is the input file'),
        (['--fix', 'hollow'], 2, '--fix: it needs --out'),
        (['--out', 'OUT', '--fix', 'holow'], 1, "did you mean 'hollow'"),
        (['--only', 'hollow'], 2, '--only: it needs --undo'),
        (['--undo', 'SOURCE'], 2, '--undo needs --out'),
        (['--undo', 'SOURCE', '--out', 'OUT'], 1, 'not a log of edits'),
        (['--undo', 'SOURCE', '--out', 'OUT', '--fix', 'all'], 2, '--fix: it has no meaning with --undo'),
        (['--areas', 'astro=40'], 2, 'write CLASS=MIN:MAX'),
        (['--areas', 'astra=40:50'], 2, "did you mean 'astro'"),
        (['--images', 'OUT', '--report', 'OUT'], 2, 'is not a folder'),
        (['--images', 'OUT'], 2, '--images: it needs --report'),
    ],
)
def test_mistakes_are_named(
    in_process, repo_root: Path, data: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    clean_masks = in_process(runpy.run_path(str(repo_root / 'tools' / 'data/clean_masks.py'))['main'])
    names = {'SOURCE': str(data / 'train.csv'), 'OUT': str(tmp_path / 'out.csv')}
    found, _, problems = clean_masks(str(data / 'train.csv'), *(names.get(word, word) for word in words))
    assert (found, message in problems) == (code, True)
    assert not (tmp_path / 'out.csv').exists()


@pytest.mark.slow
def test_real_rows_come_back_to_the_byte(run: Run, real_data: Path, tmp_path: Path) -> None:
    for name in ('train.csv', 'masks_without_images.csv', 'train_all_columns_sample.csv'):
        if not (real_data / name).is_file():
            continue
        clean, back = tmp_path / 'clean.csv', tmp_path / 'back.csv'
        run('tools/data/clean_masks.py', str(real_data / name), '--out', str(clean), '--fix', 'all')
        assert clean.read_bytes() != (real_data / name).read_bytes()
        run('tools/data/clean_masks.py', str(clean), '--undo', str(tmp_path / 'clean_edits.csv'), '--out', str(back))
        assert back.read_bytes() == (real_data / name).read_bytes()
