import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import run as bench

SCRIPT = 'benchmarks/run.py'


def results(folder: Path) -> list[dict]:
    return json.loads((folder / 'results.json').read_text(encoding='utf-8'))['results']


def test_help_names_every_theme(run: Callable[..., str], repo_root: Path) -> None:
    shown = run(SCRIPT, '--help')
    for theme in bench.THEMES:
        assert theme in shown
        assert (repo_root / 'benchmarks' / f'{theme}.py').is_file()


def test_unknown_name(run: Callable[..., str]) -> None:
    assert "unknown benchmark 'nothing'" in run(SCRIPT, 'nothing', code=2)


@pytest.mark.slow
def test_one_theme(run: Callable[..., str], tmp_path: Path) -> None:
    shown = run(SCRIPT, 'suppression', '--quick', '--out', str(tmp_path / 'out'), '--data-root', str(tmp_path))
    assert 'no real images' in shown and 'same cells' in shown
    (result,) = results(tmp_path / 'out')
    assert result['outputs'] == 'same cells'
    assert result['ours']['seconds'] > 0 and result['theirs']['seconds'] > 0
    assert result['time_ratio'] == result['theirs']['seconds'] / result['ours']['seconds']
    assert '## suppression' in (tmp_path / 'out' / 'results.md').read_text(encoding='utf-8')


@pytest.mark.slow
def test_all_themes(run: Callable[..., str], repo_root: Path, tmp_path: Path) -> None:
    """The outputs of both sides are the same wherever that is promised; no time is asserted."""
    page = tmp_path / 'performance.md'
    page.write_bytes((repo_root / 'docs' / 'performance.md').read_bytes())
    run(SCRIPT, '--quick', '--out', str(tmp_path / 'out'), '--data-root', str(tmp_path), '--markdown', str(page))
    found = results(tmp_path / 'out')
    assert {result['name'].split('/')[0] for result in found} == set(bench.THEMES)
    for result in found:
        compared = result['theirs'] is not None
        assert bool(result['outputs']) == compared and bool(result['skipped']) != compared
        assert 'other' not in result['outputs'] or result['name'].startswith('copy_paste/'), result
    assert all(result['work'] in page.read_text(encoding='utf-8') for result in found)
    for picture in (tmp_path / 'out' / 'growth.png', tmp_path / 'images' / 'growth.png'):
        assert picture.read_bytes().startswith(b'\x89PNG')


@pytest.mark.slow
def test_real_images(run: Callable[..., str], real_data: Path, tmp_path: Path) -> None:
    shown = run(SCRIPT, 'loading', '--quick', '--out', str(tmp_path), '--data-root', str(real_data))
    assert 'no real images' not in shown
    (result,) = [result for result in results(tmp_path) if result['name'] == 'loading/real']
    assert result['outputs'] == 'same image, same boxes, same masks'


def test_page_has_a_place_for_every_theme(repo_root: Path) -> None:
    page = (repo_root / 'docs' / 'performance.md').read_text(encoding='utf-8')
    begun, ended = re.findall(r'<!-- bench:(\w+) -->', page), re.findall(r'<!-- /bench:(\w+) -->', page)
    assert begun == ended and sorted(begun) == sorted(bench.THEMES)
    assert all((repo_root / 'benchmarks' / f'{theme}.py').is_file() for theme in begun)


def test_page_names_options_that_there_are(run: Callable[..., str], repo_root: Path) -> None:
    page = (repo_root / 'docs' / 'performance.md').read_text(encoding='utf-8')
    shown = run(SCRIPT, '--help')
    lines = re.findall(r'python benchmarks/run\.py([^`\n]*)', page)
    assert lines
    for option in re.findall(r'--[\w-]+', ' '.join(lines)):
        assert option in shown
