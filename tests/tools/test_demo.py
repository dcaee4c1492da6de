"""`make demo`, short: every stage runs, the page is there, and a failing stage says which."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from sartorius.utils.errors import InputError


@pytest.mark.slow
def test_demo_ends_with_a_table_and_a_page(repo_root: Path, tmp_path: Path) -> None:
    out = tmp_path / 'demo'
    words = ['--out', str(out), '--images', '15', '--test-images', '3', '--iterations', '5']
    done = subprocess.run(
        [sys.executable, repo_root / 'tools/demo.py', *words], cwd=tmp_path, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    table = done.stdout.split('Competition mAP on the test images')[1]
    assert [line.split()[0][:2] for line in table.splitlines()[1:8]] == ['0.'] * 7
    assert (out / 'index.html').stat().st_size > 10_000
    assert (out / 'submission.csv').is_file()


def test_failing_stage_is_named(repo_root: Path, tmp_path: Path) -> None:
    demo = runpy.run_path(str(repo_root / 'tools/demo.py'))
    with pytest.raises(InputError, match=r'tools/check_submission\.py ended with code 1.*\n.*nothing\.csv'):
        demo['_run']('checking', ['check_submission.py', 'nothing.csv'], tmp_path / 'log.txt')


def test_only_an_earlier_demo_is_replaced(repo_root: Path, tmp_path: Path) -> None:
    clear = runpy.run_path(str(repo_root / 'tools/demo.py'))['_clear']
    (tmp_path / 'thesis.txt').write_text('years of work')
    with pytest.raises(InputError, match='no earlier demo; choose another --out'):
        clear(tmp_path)
    assert (tmp_path / 'thesis.txt').read_text() == 'years of work'
    (tmp_path / 'sartorius-demo.log').write_text('')
    clear(tmp_path)
    assert not tmp_path.exists()
