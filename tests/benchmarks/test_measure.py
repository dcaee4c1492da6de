import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pytest
from measure import MAX_RUNS, Benchmark, Measurement, Side, run_watched

# They start processes and wait for them.
pytestmark = pytest.mark.slow


def benchmark(ours: Callable[..., Any], theirs: Callable[..., Any] | None, **others: Any) -> Benchmark:
    return Benchmark('theme/what', 'work', 'peer', ours, theirs, same=lambda a, b: f'{a} and {b}', **others)


class Clock:
    """Stands for perf_counter: time passes only in the work that it makes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float, done: Callable[[], Any] = lambda: None) -> Callable[[], Any]:
        def run() -> Any:
            self.now += seconds
            return done()

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measure, 'perf_counter', clock)
    return clock


def measurement(ours: Side, theirs: Side | None) -> Measurement:
    return Measurement('theme/what', 'work', 'peer', '', ours, theirs, 'same')


def test_sides_run_in_turns(clock: Clock) -> None:
    calls = []

    def side(name: str) -> Callable[[], str]:
        return clock.work(1, lambda: calls.append(name) or name)

    found = measure.measure(benchmark(side('o'), side('t')), seconds=0, min_rounds=3)
    # Warm-up, three rounds, memory.
    assert ''.join(calls) == 'ot' * 5
    assert found.check == 'o and t'
    assert len(found.ours.rounds) == len(found.theirs.rounds) == 3


def test_a_side_settles_before_its_turn_is_timed(clock: Clock) -> None:
    """Each side is slow after the other has run, as one is that finds the memory in another state."""
    last = ['']

    def side(name: str) -> Callable[[], None]:
        def work() -> None:
            clock.work(3 if last[0] != name else 1)()
            last[0] = name

        return work

    found = measure.measure(benchmark(side('o'), side('t'), settle=True), seconds=0, min_rounds=3)
    assert (found.ours.seconds, found.theirs.seconds) == (1, 1)
    found = measure.measure(benchmark(side('o'), side('t')), seconds=0, min_rounds=3)
    assert (found.ours.seconds, found.theirs.seconds) == (3, 3)


def test_the_processors_time_does_not_pass_while_others_have_it() -> None:
    waiting = benchmark(lambda: time.sleep(0.02), None)
    assert measure.measure(waiting, seconds=0, min_rounds=1, cpu_time=True).ours.seconds < 0.01
    assert measure.measure(waiting, seconds=0, min_rounds=1).ours.seconds >= 0.02


def test_runs_until_the_time_is_used_up(clock: Clock) -> None:
    found = measure.measure(benchmark(clock.work(1), clock.work(1)), seconds=9, min_rounds=1)
    assert len(found.ours.rounds) == 5


def test_a_much_faster_side_runs_several_times_a_round(clock: Clock) -> None:
    found = measure.measure(benchmark(clock.work(0.01), clock.work(2)), seconds=0, min_rounds=2)
    assert [len(runs) for runs in found.ours.rounds] == [1, MAX_RUNS]
    assert [len(runs) for runs in found.theirs.rounds] == [1, 1]
    assert found.theirs.seconds == pytest.approx(2)


def test_first_run_of_a_slow_peer_counts(clock: Clock) -> None:
    calls = {'ours': 0, 'theirs': 0}

    def count(name: str) -> Callable[[], None]:
        def add() -> None:
            calls[name] += 1

        return add

    slow = measure.SLOW + 1
    found = measure.measure(
        benchmark(clock.work(slow, count('ours')), clock.work(slow, count('theirs'))), seconds=0, min_rounds=3
    )
    assert calls == {'ours': 5, 'theirs': 3}
    assert len(found.ours.rounds) == len(found.theirs.rounds) == 3


def test_each_run_gets_fresh_arguments() -> None:
    def take(values: list[int]) -> int:
        values.append(0)
        return len(values)

    found = measure.measure(benchmark(take, take, fresh=lambda: ([1, 2],)), seconds=0, min_rounds=2)
    assert found.check == '3 and 3'


def test_peer_may_be_skipped() -> None:
    found = measure.measure(benchmark(lambda: 1, None, skipped='too large'), seconds=0, min_rounds=1)
    assert found.theirs is None and found.skipped == 'too large' and found.check == ''
    assert found.time_ratio is None and found.time_ratio_range is None and found.memory_ratio is None


def test_medians_and_ratios() -> None:
    ours = Side(((1.0, 3.0), (2.0, 2.0, 9.0)), peak_bytes=4 << 20)  # median of 1, 2, 2, 3, 9
    theirs = Side(((8.0,), (20.0,)), peak_bytes=40 << 20)
    found = measurement(ours, theirs)
    assert (ours.seconds, theirs.seconds) == (2, 14)
    assert found.time_ratio == 7
    assert found.time_ratio_range == (4, 10)  # 8 / 2 and 20 / 2
    assert found.memory_ratio == 10


def test_memory_below_the_resolution_counts_as_1_mb() -> None:
    ours, theirs = Side(((1.0,),), peak_bytes=0), Side(((1.0,),), peak_bytes=8 << 20)
    assert measurement(ours, theirs).memory_ratio == 8


@pytest.fixture
def memory_is_told() -> None:
    if run_watched(lambda: None).peak_bytes is None:
        pytest.skip('needs a Linux that tells a process its own peak memory')


@pytest.mark.usefixtures('memory_is_told')
@pytest.mark.parametrize('megabytes', [0, 1, 20, 100])
def test_peak_memory(megabytes: int) -> None:
    # Twice: memory that is freed by the first run must be seen again in the second.
    for _ in range(2):
        found = run_watched(lambda: np.ones(megabytes * 1_000_000, dtype=np.uint8))
        assert found.peak_bytes == pytest.approx(megabytes * 1e6, abs=3e6)


@pytest.mark.usefixtures('memory_is_told')
def test_peak_memory_counts_what_is_freed_within_the_run() -> None:
    def work() -> float:
        return float(np.ones(50_000_000, dtype=np.uint8).sum())

    assert run_watched(work).peak_bytes == pytest.approx(50e6, abs=3e6)


def test_memory_is_not_measured_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measure, 'RESET_PEAK', tmp_path / 'missing' / 'clear_refs')
    found = run_watched(lambda: 5)
    assert found.result == 5 and found.peak_bytes is None


def test_memory_is_not_measured_where_the_peak_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status = tmp_path / 'status'
    status.write_text('Name:\tpython\nVmHWM:\t  900000 kB\nVmRSS:\t  100000 kB\n')
    monkeypatch.setattr(measure, 'RESET_PEAK', tmp_path / 'clear_refs')
    monkeypatch.setattr(measure, 'STATUS', status)
    assert run_watched(lambda: None).peak_bytes is None
