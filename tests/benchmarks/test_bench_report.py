import json
from pathlib import Path

import pytest
import report
from measure import Measurement, Side

from sartorius.utils.errors import InputError

MACHINE = {'processor': 'Abacus', 'date': '2026-01-31', 'versions': {'numpy': '2.2.6'}}


def item(name: str, ours: float = 0.02, theirs: float | None = 1.5, peak: int | None = 3_000_000) -> Measurement:
    peer = None if theirs is None else Side(((theirs,), (theirs,)), None if peak is None else 600 * peak)
    return Measurement(
        name,
        work=f'work of {name}',
        peer='stock',
        goal='50x',
        ours=Side(((ours, ours), (ours,)), peak),
        theirs=peer,
        check='' if peer is None else 'same masks',
        skipped='needs 9 GB' if peer is None else '',
        point={'cells': 5},
    )


def test_markdown() -> None:
    lines = report.to_markdown([item('a/one'), item('a/two', theirs=None), item('a/three', peak=None)], MACHINE)
    table, caption = lines.split('\n\n')
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]
    assert {len(row) for row in rows} == {8}
    assert rows[2] == [
        'work of a/one', 'stock', '20 ms, 1.5 s', '75x', '3 MB, 1.8 GB', '600x', '50x', 'same masks'
    ]  # fmt: skip
    assert rows[3][2:] == ['20 ms, -', '-', '3 MB, -', '-', '50x', 'peer skipped: needs 9 GB']
    assert rows[4][4:6] == ['not measured, not measured', '-']
    assert caption.strip() == '2026-01-31, Abacus, one thread; numpy 2.2.6.'


@pytest.mark.parametrize(
    ('ours', 'theirs', 'shown'),
    [
        (0.0000042, 0.00042, ['4.2', 'µs', '420', 'µs', '100x']),
        (0.01, 0.0075, ['10', 'ms', '7.5', 'ms', '0.75x']),
        (2.0, 9.96, ['2', 's', '9.96', 's', '5x']),
        (10.0, 123.4, ['10', 's', '123', 's', '12x']),
    ],
)
def test_text(ours: float, theirs: float, shown: list[str]) -> None:
    last = report.to_text([item('a/one', ours, theirs)]).splitlines()[-1]
    assert last.split() == ['a/one', *shown, '3', 'MB', '1.8', 'GB', '600x']


def test_text_of_small_memory() -> None:
    assert 'under 1 MB' in report.to_text([item('a/one', peak=200_000)])


def test_columns_stand_below_each_other() -> None:
    lines = report.to_text([item('a/one'), item('theme/long-name', 0.0031, None)]).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1


def test_json_holds_every_run() -> None:
    content = json.loads(report.to_json([item('a/one'), item('a/two', theirs=None)], MACHINE, ['no real images']))
    first, second = content['results']
    assert first['ours'] == {'seconds': 0.02, 'peak_bytes': 3_000_000, 'rounds': [[0.02, 0.02], [0.02]]}
    assert first['time_ratio'] == pytest.approx(75) and first['memory_ratio'] == 600
    assert second['theirs'] is None and second['skipped'] == 'needs 9 GB'
    assert content['machine'] == MACHINE and content['notes'] == ['no real images']


def test_describe_says_how_outputs_compare() -> None:
    assert 'same masks' in report.describe(item('a/one'))
    assert 'skipped: needs 9 GB' in report.describe(item('a/two', theirs=None))


PAGE = 'Before.\n<!-- bench:a -->\nold a\n<!-- /bench:a -->\nBetween.\n<!-- bench:b -->\nold b\n<!-- /bench:b -->\n'


def test_page_keeps_what_was_not_measured(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text(PAGE)
    report.update_page(page, [item('a/one')], MACHINE)
    first = page.read_text()
    assert 'old a' not in first and 'work of a/one' in first
    assert first.startswith('Before.\n<!-- bench:a -->\n|') and first.endswith(PAGE[PAGE.index('<!-- /bench:a') :])
    report.update_page(page, [item('a/one')], MACHINE)
    assert page.read_text() == first


def test_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text(PAGE)
    with pytest.raises(InputError, match='bench:c'):
        report.update_page(page, [item('a/one'), item('c/one')], MACHINE)
    assert page.read_text() == PAGE


def test_page_with_a_place_twice_is_refused(tmp_path: Path) -> None:
    page = tmp_path / 'page.md'
    page.write_text(2 * PAGE)
    with pytest.raises(InputError, match='bench:b .* must be there once, not 2 times'):
        report.update_page(page, [item('b/one')], MACHINE)
    assert page.read_text() == 2 * PAGE


def test_missing_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='page'):
        report.update_page(tmp_path / 'page.md', [item('a/one')], MACHINE)


def test_machine() -> None:
    machine = report.describe_machine()
    assert machine['processor'] and machine['cores'] >= 1 and 'numpy' in machine['versions']
