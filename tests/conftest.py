"""Fixtures that every test can use."""

import os
from pathlib import Path

import pytest

REPO_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of the competition's data, from the environment variable SARTORIUS_DATA."""
    folder = os.environ.get('SARTORIUS_DATA')
    if not folder or not (Path(folder) / 'train.csv').is_file():
        pytest.skip('needs the competition data: set SARTORIUS_DATA to the folder that holds train.csv')
    return Path(folder)


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """Top folder of the checkout."""
    return REPO_ROOT
