"""A training on a CPU keeps freed memory for the next step, and gives it back now and then."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sartorius.engine import FreedMemoryHook, hooks
from sartorius.models.cpu_ops import give_back_freed_memory, keep_freed_memory

MIB = 1 << 20


def test_the_hook_gives_it_back_after_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    runner = SimpleNamespace(iter=0)
    monkeypatch.setattr(hooks, 'give_back_freed_memory', lambda: given.append(runner.iter))
    hook = FreedMemoryHook(interval=3)
    for runner.iter in range(10):
        hook.after_train_iter(runner, 0)
    assert given == [2, 5, 8]


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc alone keeps freed memory')
def test_memory_between_blocks_in_use_is_given_back() -> None:
    keep_freed_memory()
    blocks = [np.ones(MIB, dtype=np.uint8) for _ in range(300)]
    del blocks[::2]
    kept = resident()
    give_back_freed_memory()
    assert resident() < kept - 100 * MIB


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096
