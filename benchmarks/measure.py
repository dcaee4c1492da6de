"""Time and peak memory of the same work done in two ways, which run in turns.

A benchmark is a :class:`Benchmark`; a theme is a module beside this one with a function
``benchmarks(setting) -> list[Callable[[], Benchmark]]``, listed in ``run.py``. Each entry makes its input when it is
called, so that the inputs of one benchmark are not in memory while another is measured.
"""

import ctypes
import gc
import math
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMBA_NUM_THREADS')
MIN_ROUNDS = 3
MAX_ROUNDS = 30
MAX_RUNS = 10
"""Maximum number of runs per round of the faster side, whose single runs scatter more."""
SLOW = 3.0
"""Seconds above which a peer's first run is used, not discarded as warm-up."""
PEAK_RESET_SLACK = 16 << 20
"""Bytes by which the peak may exceed the present memory right after it was reset."""
STATUS = Path('/proc/self/status')
RESET_PEAK = Path('/proc/self/clear_refs')


def no_arguments() -> tuple[()]:
    """Arguments of benchmarks whose sides take none."""
    return ()


@dataclass(frozen=True)
class Setting:
    """Settings of a whole run.

    Attributes:
        folder: For files that benchmarks read; empty at first, removed after the run.
        data_root: Folder with train/ and train.csv of the competition, or None.
        quick: Whether to use tiny inputs, only to see that everything runs.
        cpu_time: Whether to measure the processor's time, in one thread, in place of the clock's: on a machine that
            does other work as well.
        notes: What is missing from the results, in a sentence each; benchmarks add to it.
    """

    folder: Path
    data_root: Path | None = None
    quick: bool = False
    cpu_time: bool = False
    notes: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, eq=False)
class Benchmark:
    """One piece of work, done by this project and by what a user would otherwise run.

    Attributes:
        name: ``theme/what``, unique.
        work: The work, in a sentence without a full stop.
        peer: Name of the other side.
        ours: This project's way; its result is compared, and freed outside the measured time.
        theirs: The peer's way; None where it is skipped.
        same: Takes both results and returns whether they are the same or how they differ, in a few words.
        goal: Ratio that this project aims at; empty for none.
        fresh: Makes the arguments of one run of a side, outside the measured time; for sides that change their input.
        skipped: Why ``theirs`` is None.
        point: Coordinates of the benchmark in a series, such as the number of cells.
        threads: Threads of torch, for both sides.
        settle: Run a side once more, without timing it, whenever its turn begins: its memory is then as it left it
            itself, and not as the other side, with other settings of the C library, did.
    """

    name: str
    work: str
    peer: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any] | None
    same: Callable[[Any, Any], str]
    goal: str = ''
    fresh: Callable[[], tuple] = no_arguments
    skipped: str = ''
    point: Mapping[str, float] = field(default_factory=dict)
    threads: int = 1
    settle: bool = False


@dataclass(frozen=True, eq=False)
class WatchedRun:
    """Result of a run, its duration, and its peak memory as in :class:`Side`."""

    result: Any
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Side:
    """Measurements of one side.

    Attributes:
        rounds: Seconds of each run, in the order of the rounds.
        peak_bytes: Maximum resident memory during a run minus that before it, to about 1 MB; None where the system
            does not report it.
    """

    rounds: tuple[tuple[float, ...], ...]
    peak_bytes: int | None

    @property
    def seconds(self) -> float:
        """Median over all runs."""
        return statistics.median(seconds for runs in self.rounds for seconds in runs)


@dataclass(frozen=True)
class Measurement:
    """Result of one benchmark; ``check`` is the answer of ``same``, other names as in :class:`Benchmark`."""

    name: str
    work: str
    peer: str
    goal: str
    ours: Side
    theirs: Side | None
    check: str
    skipped: str = ''
    point: Mapping[str, float] = field(default_factory=dict)
    threads: int = 1
    cpu_time: bool = False

    @property
    def time_ratio(self) -> float | None:
        """Median time of the peer over ours."""
        return None if self.theirs is None else self.theirs.seconds / self.ours.seconds

    @property
    def time_ratio_range(self) -> tuple[float, float] | None:
        """Lowest and highest ratio of the medians of one round."""
        if self.theirs is None:
            return None
        ratios = [
            statistics.median(theirs) / statistics.median(ours)
            for ours, theirs in zip(self.ours.rounds, self.theirs.rounds, strict=True)
        ]
        return min(ratios), max(ratios)

    @property
    def memory_ratio(self) -> float | None:
        """Peak memory of the peer over ours; peaks below 1 MB, the resolution, count as 1 MB."""
        if self.theirs is None or self.theirs.peak_bytes is None or self.ours.peak_bytes is None:
            return None
        return max(self.theirs.peak_bytes, 1 << 20) / max(self.ours.peak_bytes, 1 << 20)


def available_memory() -> float:
    """Bytes that can be used without swapping; infinite where the system does not report it."""
    try:
        return 1024.0 * _field(Path('/proc/meminfo'), 'MemAvailable')
    except OSError:
        return math.inf


def use_one_thread() -> None:
    """Limits numerical libraries to one thread, those already imported and those imported later."""
    for name in THREAD_VARIABLES:
        os.environ[name] = '1'
    if 'cv2' in sys.modules:
        sys.modules['cv2'].setNumThreads(0)
    set_torch_threads(1)


def set_torch_threads(count: int) -> None:
    """Sets the number of threads of torch, where it has been imported."""
    if 'torch' in sys.modules:
        sys.modules['torch'].set_num_threads(count)


def measure(
    benchmark: Benchmark, seconds: float = 5.0, min_rounds: int = MIN_ROUNDS, cpu_time: bool = False
) -> Measurement:
    """Measures both sides.

    The first run of each warms up and gives the results that are compared. Then they run in turns (ours, theirs, ours,
    theirs), until the time is used up but at least ``min_rounds`` times; a side that is many times faster runs
    several times per round. Memory is measured last, in runs of its own. Of a peer whose first run takes more than
    :data:`SLOW` seconds, the first run counts: as its part of the first round, and for its memory. Ours never does: it
    may have compiled.

    Args:
        benchmark: What to measure.
        seconds: Time for the timed runs of both sides together.
        min_rounds: Rounds that are run however long they take.
        cpu_time: As in :class:`Setting`.
    """
    # Threads that wait for each other take the processor's time too.
    threads = 1 if cpu_time else benchmark.threads
    set_torch_threads(threads)
    clock = process_time if cpu_time else perf_counter
    sides = {'ours': benchmark.ours}
    if benchmark.theirs is not None:
        sides['theirs'] = benchmark.theirs
    firsts = {side: run_watched(work, benchmark.fresh(), clock) for side, work in sides.items()}
    check = benchmark.same(firsts['ours'].result, firsts['theirs'].result) if 'theirs' in sides else ''
    kept = {side: first for side, first in firsts.items() if side == 'theirs' and first.seconds > SLOW}
    rounds = {side: [(kept[side].seconds,)] if side in kept else [] for side in sides}
    peaks = {side: first.peak_bytes for side, first in kept.items()}
    # Free the results: they may be large.
    firsts.clear()
    kept.clear()
    _run_in_turns(sides, benchmark, seconds, min_rounds, rounds, clock)
    for side, work in sides.items():
        if side not in peaks:
            peaks[side] = run_watched(work, benchmark.fresh()).peak_bytes
    measured = {side: Side(tuple(rounds[side]), peaks[side]) for side in sides}
    return Measurement(
        name=benchmark.name,
        work=benchmark.work,
        peer=benchmark.peer,
        goal=benchmark.goal,
        ours=measured['ours'],
        theirs=measured.get('theirs'),
        check=check,
        skipped=benchmark.skipped,
        point=benchmark.point,
        threads=threads,
        cpu_time=cpu_time,
    )


def run_watched(
    work: Callable[..., Any], arguments: tuple = (), clock: Callable[[], float] = perf_counter
) -> WatchedRun:
    """Runs once and measures time and peak memory.

    Linux resets the peak (VmHWM in /proc/self/status) of a process that writes 5 to its own clear_refs. Freed memory
    that the C library keeps is returned to the system first, as the run could otherwise use it unnoticed.
    """
    gc.collect()
    before = _reset_peak()
    started = clock()
    result = work(*arguments)
    seconds = clock() - started
    peak = None if before is None else max(0, _status_bytes('VmHWM') - before)
    return WatchedRun(result, seconds, peak)


def _reset_peak() -> int | None:
    """Resets the peak; returns bytes of resident memory now, or None where the system cannot reset it."""
    try:
        ctypes.CDLL('libc.so.6').malloc_trim(0)
        RESET_PEAK.write_text('5', encoding='ascii')
        resident, peak = _status_bytes('VmRSS'), _status_bytes('VmHWM')
    except (OSError, AttributeError, StopIteration):
        return None
    return resident if peak - resident < PEAK_RESET_SLACK else None


def _status_bytes(name: str) -> int:
    return 1024 * _field(STATUS, name)


def _field(path: Path, name: str) -> int:
    """A field of a file of the proc file system, in its own unit (1024 bytes)."""
    lines = path.read_text(encoding='ascii').splitlines()
    return int(next(line for line in lines if line.startswith(f'{name}:')).split()[1])


def _run_in_turns(
    sides: Mapping[str, Callable[..., Any]],
    benchmark: Benchmark,
    seconds: float,
    min_rounds: int,
    rounds: dict[str, list[tuple[float, ...]]],
    clock: Callable[[], float],
) -> None:
    """Adds the seconds of each run to ``rounds``, one tuple per round, until all sides have the same number of them."""
    runs = dict.fromkeys(sides, 1)
    started = perf_counter()
    done = 0
    while done < min_rounds or (done < MAX_ROUNDS and perf_counter() - started < seconds):
        for side, work in sides.items():
            if len(rounds[side]) == done:
                gc.collect()
                if benchmark.settle:
                    work(*benchmark.fresh())
                rounds[side].append(tuple(_seconds_of(work, benchmark.fresh(), clock) for _ in range(runs[side])))
        done += 1
        slowest = max(min(times[-1]) for times in rounds.values())
        # As many runs as take a tenth of the slowest side's.
        runs = {side: min(MAX_RUNS, max(1, int(0.1 * slowest / min(times[-1])))) for side, times in rounds.items()}


def _seconds_of(work: Callable[..., Any], arguments: tuple, clock: Callable[[], float]) -> float:
    started = clock()
    result = work(*arguments)
    ended = clock()
    del result
    return ended - started
