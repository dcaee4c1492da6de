"""What tests of the set-up share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def checkout(repo_root: Path, tmp_path: Path) -> Path:
    """A checkout without .venv: the files that the set-up reads."""
    folder = tmp_path / 'checkout'
    shutil.copytree(repo_root / 'sartorius/utils', folder / 'sartorius/utils')
    shutil.copytree(repo_root / 'requirements', folder / 'requirements')
    for name in (
        'tools/setup/setup_env.sh',
        'tools/setup/setup_env.py',
        'tools/setup/wheelhouse.sh',
        'setup.py',
        'README.md',
        'Makefile',
        '.ci/run',
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repo_root / name, folder / name)
    for name in ('sartorius/__init__.py', 'sartorius/check_env.py'):
        shutil.copy(repo_root / name, folder / name)
    return folder
