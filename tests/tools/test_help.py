"""--help of every command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / 'tools'
# The set-up runs before anything is installed, and has its own tests.
TOOLS = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob('*.py') if path.name != 'setup_env.py')
# Each takes longer to import than --help may take in all.
SLOW_TO_IMPORT = {'torch', 'mmdet', 'mmengine', 'mmcv', 'numba', 'pandas', 'scipy', 'matplotlib', 'cv2'}

# Runs each tool in a forked copy of one new interpreter, which saves the starts of the others, and prints a JSON line
# with its exit code, output and imported top-level modules.
RUN_EACH = """
import contextlib, io, json, os, runpy, sys, traceback
for tool in sys.argv[1:]:
    if os.fork() == 0:
        sys.argv, sys.path[0], output, code = [tool, '--help'], os.path.dirname(tool), io.StringIO(), None
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                runpy.run_path(tool, run_name='__main__')
            except SystemExit as stop:
                code = stop.code
            except BaseException:
                traceback.print_exc()
        modules = sorted({name.split('.')[0] for name in sys.modules})
        print(json.dumps([tool, code, output.getvalue(), modules]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope='module')
def answers() -> dict[str, tuple[int | None, str, set[str]]]:
    """Exit code (None after a traceback), output and imported modules of each tool, by its path."""
    command = [sys.executable, '-c', RUN_EACH, *(str(ROOT / tool) for tool in TOOLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = map(json.loads, done.stdout.splitlines())
    return {str(Path(tool).relative_to(ROOT)): (code, output, set(modules)) for tool, code, output, modules in lines}


@pytest.mark.parametrize('tool', TOOLS)
def test_help_has_an_example_and_loads_nothing_slow(
    answers: dict[str, tuple[int | None, str, set[str]]], tool: str
) -> None:
    code, output, modules = answers[tool]
    assert code == 0, output
    assert 'example:' in output
    assert 'argparse' in modules
    assert not modules & SLOW_TO_IMPORT
