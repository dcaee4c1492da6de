"""Runs the numeric core on hostile arrays, each answer held against a slow and obvious version where there is one."""

import tempfile
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Imported for the functions that they register.
import fuzz_array_masks  # noqa: F401
import fuzz_array_results  # noqa: F401
import numpy as np
from fuzz_array_registry import FUNCTIONS
from fuzz_judge import Verdict, judge_all, judge_answer


@dataclass(frozen=True)
class ArrayCase:
    """A case, told by its function, its number and the seed."""

    kind: str
    number: int
    mutation: str = 'arrays'


def run_arrays(name: str, count: int, seed: int, first: int = 0) -> list[tuple[ArrayCase, Verdict]]:
    """Cases of one function."""

    def make(number: int) -> Callable[[], Any]:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), first + number])
        return partial(FUNCTIONS[name], rng)

    # Compiled loops are loaded once, before processes are forked.
    for number in range(5):
        _quietly(make(-number - 1 if first > 5 else 10_000_000 + number))
    with tempfile.TemporaryDirectory(prefix='fuzz-') as folder:
        # No file is named: any sentence will do.
        judge = partial(judge_answer, names=[''], check=lambda _: '', output=Path(folder) / 'printed')
        verdicts = judge_all(count, make, judge)
        return [(ArrayCase(name, first + number), verdict) for number, verdict in enumerate(verdicts)]


def _quietly(answer: Callable[[], Any]) -> None:
    import contextlib

    with contextlib.suppress(Exception), warnings.catch_warnings(action='ignore'):
        answer()
