"""The measure of the detectors of label defects: every table, with what a few images must give."""

import label_defects
import pytest


@pytest.mark.slow
def test_planted_defects_are_found_and_fixed(capsys: pytest.CaptureFixture) -> None:
    label_defects.main(['--images', '6'])
    tables = {}
    for line in capsys.readouterr().out.splitlines():
        if '|' in line:
            row = [cell.strip() for cell in line.split('|')[1:-1]]
            if row[0] in ('detector', 'planted', 'IoU of the filled cell'):
                rows = tables.setdefault(row[0], [])
            rows.append(row)
    found = {row[0]: row for row in tables['detector'][2:]}
    for name in ('wrong-class', 'speck', 'pieces', 'sliver'):
        assert int(found[name][1]) > 0
    recalls = {name: row[4] for name, row in found.items()}
    assert {recalls[name] for name in ('wrong-class', 'hollow', 'speck', 'pieces', 'sliver', 'double')} == {'1.000'}
    gains = {row[0]: (float(row[2]), float(row[3])) for row in tables['planted'][2:]}
    assert list(gains) == ['hollow', 'convex-filled', 'speck', 'pieces', 'overlapping']
    assert all(after > before for before, after in gains.values())
