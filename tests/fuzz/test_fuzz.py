"""The fuzz command: a short form of it, what it sees, and that no reader of the package is left out."""

import json
import mmap
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_judge
import numpy as np
import pytest
from fuzz_coverage import all_openers
from fuzz_judge import Cells, Verdict, Wrong, judge_all, judge_answer, unsound
from fuzz_kinds import COMPANIONS, KINDS
from run_fuzz import READ_BY, FileCases

from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

NO_READERS = {
    '__main__.py:_describe': 'a tool of the project',
    '__main__.py:_start': 'a tool of the project',
    'check_env.py:locked_versions': 'requirements/lock.txt',
    'datasets/transforms/copy_paste.py:CellCopyPaste._draw_cells': 'no file: a sample of the data set',
    'engine/config.py:load_config': 'configs are code',
    'engine/config_check/names.py:_chain': 'configs are code',
    'engine/config_check/names.py:read_bases': 'configs are code',
    'engine/run_record.py:device_name': 'what Linux says of the processor',
    'engine/small.py:_shorten': 'configs are code',
    'inference/predictor.py:Predictor.from_files': 'configs are code',
    'models/checkpoints.py:weights_address': "MMEngine's own lists",
    'annotations/raw_rows.py:parse_row': 'no file: a row that was read',
    'models/downloads.py:_is_sound': 'the hash that the project itself noted',
    'utils/input_text.py:read_text': 'the one room for it',
    'utils/locks.py:_lock_anew': 'a lock that the project itself writes',
    'utils/locks.py:_read_holder': 'a lock that the project itself writes',
    'utils/pending.py:_remove_unlocked': 'files are locked and removed, not read',
    'utils/streams.py:_lead_to_nowhere': 'no file: the null device',
    'visualization/page.py:render_page': 'templates of the package',
    'workflow/runner.py:_tail': "the end of a stage's own log, as text",
}
"""Functions that open a file which is the project's own or code by design."""


@pytest.mark.slow
def test_short_form_reads_with_every_function_that_opens_a_file(run: Callable[..., str], tmp_path: Path) -> None:
    """A few cases of every kind; the full form is run before a release."""
    run('tests/fuzz/run_fuzz.py', '--files', '180', '--arrays', '90', '--seed', '1', '--out', str(tmp_path))
    known = {*json.loads((tmp_path / READ_BY).read_text()), *NO_READERS}
    assert sorted(all_openers() - known) == [], 'add a kind to fuzz_kinds.py, or say here what they open'


def answers() -> dict[str, Callable[[], Any]]:
    """An answer of each sort."""

    def refuse(text: str) -> None:
        raise InputError(text)

    def warn() -> None:
        warnings.warn('overflow', RuntimeWarning, stacklevel=1)

    def contradict() -> None:
        raise Wrong('3 cells of 4')

    return {
        'read': lambda: 3,
        'refused': lambda: refuse('a.png is empty'),
        'traceback': lambda: {}['key'],
        'hang': lambda: time.sleep(60),
        # Not of what this process has left from before.
        'memory': lambda: mmap.mmap(-1, 100 << 20).write(bytes(100 << 20)),
        'crash': lambda: os._exit(3),
        'wrong': contradict,
        'unclear': lambda: refuse('it is empty'),
        'noise': warn,
    }


def test_each_sort_of_answer_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_judge, 'WAIT_SECONDS', 3)
    monkeypatch.setattr(fuzz_judge, 'MAX_MEMORY', 64 << 20)
    # What it imports must not take the time of the first case.
    unsound(())
    cases = list(answers().values())

    def judge(answer: Callable[[], Any]) -> Verdict:
        return judge_answer(answer, ['a.png'], unsound, tmp_path / 'printed')

    outcomes = [verdict.outcome for verdict in judge_all(len(cases), cases.__getitem__, judge)]
    assert outcomes == list(answers())


@pytest.mark.parametrize(
    'value',
    [
        {'a': [1.0, float('nan')]},
        np.array([np.inf]),
        Cells((5, 5), [MaskCrop(np.ones((3, 3), bool), 3, 0)]),
    ],
)
def test_values_that_cannot_be(value: Any) -> None:
    assert unsound(value)


@pytest.mark.parametrize('kind', ['coco', 'train_csv', 'rules'])
def test_a_number_names_a_case(tmp_path: Path, kind: str) -> None:
    first, second = (FileCases(kind, seed=1, folder=tmp_path / name) for name in 'ab')
    (name,) = KINDS[kind].write
    changed = 0
    for number in range(30):
        for cases in (first, second):
            KINDS[kind].write[name](cases.sound / name)
            cases.make(number)
        assert first.case(number) == second.case(number)
        places = [cases.work / name for cases in (first, second)]
        if all(path.is_file() and not path.is_symlink() for path in places):
            made = [path.read_bytes() for path in places if path.stat().st_size < 1 << 20]
            assert len(set(made)) <= 1
            changed += made[:1] != [(first.sound / name).read_bytes()]
    assert changed > 20 and not set(COMPANIONS) & set(KINDS[kind].write)
