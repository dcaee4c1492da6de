"""Compiled kernels: what is kept on the disk is a help and never a hindrance."""

import os
import runpy
from pathlib import Path
from typing import Any

import numba
import pytest

KERNEL = """
from sartorius.utils.compiled import compiled

@compiled
def add_one(number):
    return number + 1
"""


def test_a_damaged_cache_is_made_again_and_one_that_cannot_be_written_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, 'CACHE_DIR', str(tmp_path / 'cache'))
    (tmp_path / 'kernel.py').write_text(KERNEL)

    def load() -> Any:
        return runpy.run_path(str(tmp_path / 'kernel.py'))['add_one']

    def loaded_from_cache() -> int:
        kernel = load()
        assert kernel(1) == 2
        return sum(kernel.stats.cache_hits.values())

    assert loaded_from_cache() == 0
    for suffix, length in (('nbi', 0), ('nbc', 60)):
        (damaged,) = (tmp_path / 'cache').rglob(f'*.{suffix}')
        os.truncate(damaged, length)
        assert loaded_from_cache() == 0
        assert loaded_from_cache() == 1
    kernel, calls = load(), []

    def full(*_: object) -> None:
        calls.append(1)
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(kernel._cache._cache_file, 'save', full)
    assert kernel(1.5) == 2.5 and calls
