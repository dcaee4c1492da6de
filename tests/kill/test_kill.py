"""The harness that kills every tool that writes: each has a case, it sees all faults, and a few kills are survived."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kill_cases import tools_without_case
from kill_trees import Ends, tree_of
from power_cut import cut_power, states_of

COMMAND = Path(__file__).with_name('run_kill.py')


def test_every_tool_that_writes_has_a_case() -> None:
    assert tools_without_case() == []


def test_files_of_two_runs_lost_and_torn_files_and_litter_are_seen(tmp_path: Path) -> None:
    old, new = {'a': '1', 'b': '1', '.lock': '0'}, {'a': '2', 'b': '2', '.lock': '0'}
    ends = Ends(old, new)
    assert ends.faults(old) == ends.faults({**new, '.partial-1': '3'}) == {}
    assert ends.faults({'a': '1', 'b': '2'}) == {'mixed': ['1 old (a), 1 new (b)']}
    assert Ends(old, new, apart=('*',)).faults({'a': '1', 'b': '2'}) == {}
    assert ends.faults({'a': '1'}) == {'lost': ['b']}
    assert ends.faults({'a': '1', 'b': '3'}) == {'torn': ['b']}
    assert Ends(old, new, loose=['b']).faults({'a': '2', 'b': '3'}) == {}
    passing = Ends(old, new, passing=['b', 'c'])
    assert passing.faults({'a': '1', 'b': '3', 'c': '3'}) == {}
    assert passing.faults({'a': '1'}) == {'lost': ['b']}
    assert passing.faults_after({**new, 'b': '3', 'c': '3'}) == {'litter': ['c'], 'differs': ['b']}
    assert ends.faults_after({**new, '.partial-1': '3'}) == {'litter': ['.partial-1']}
    assert ends.faults_after({'a': '1', '.lock': '0'}) == {'missing': ['b'], 'differs': ['a']}


def test_a_power_cut_empties_and_takes_back_what_was_not_synced(tmp_path: Path) -> None:
    root, log, kept = tmp_path / 'root', tmp_path / 'log', tmp_path / '1'
    root.mkdir()
    for name in ('before', 'synced', 'unsynced'):
        (root / name).write_text(name)
    kept.write_text('replaced')
    state = (root / 'synced').stat()
    disk = states_of(root) - states_of_one(root / 'unsynced')
    entries = [
        {'event': 'os.rename', 'paths': [f'{root}/x', f'{root}/before'], 'kept': str(kept)},
        {'event': 'sync', 'paths': [f'{root}/synced'], 'state': [state.st_ino, state.st_size, state.st_mtime_ns]},
    ]
    log.write_text('\n'.join(map(json.dumps, entries)))
    cut_power(root, log, disk | states_of_one(kept), None)
    assert {name: (root / name).read_text() for name in tree_of(root)} == {
        'before': 'replaced',
        'synced': 'synced',
        'unsynced': '',
        'x': 'before',
    }


def states_of_one(path: Path) -> frozenset[tuple[int, int, int]]:
    state = path.stat()
    return frozenset({(state.st_ino, state.st_size, state.st_mtime_ns)})


@pytest.mark.slow
def test_a_few_power_cuts_leave_all_old_or_all_new(tmp_path: Path) -> None:
    words = ['power', '--only', 'prepare_sartorius', 'clean_masks', '--points', '6', '--folder', str(tmp_path)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([sys.executable, COMMAND, *words], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
