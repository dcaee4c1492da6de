"""--help of every command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / 'tools'
# The set-up runs before anything is installed, and has its own tests.
TOOLS = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob('*.py') if path.name != 'setup_env.py')
# Each takes longer to import than --help may take in all.
SLOW_TO_IMPORT = {'torch', 'mmdet', 'mmengine', 'mmcv', 'numba', 'pandas', 'scipy', 'matplotlib', 'cv2'}


@pytest.mark.parametrize('tool', TOOLS)
def test_help_has_an_example_and_loads_nothing_slow(repo_root, tool):
    command = [sys.executable, '-X', 'importtime', str(repo_root / 'tools' / tool), '--help']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'example:' in done.stdout
    loaded = set(re.findall(r'\| +([\w.]+)$', done.stderr, re.MULTILINE))
    assert 'argparse' in loaded
    assert not loaded & SLOW_TO_IMPORT
