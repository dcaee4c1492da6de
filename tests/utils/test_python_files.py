"""Python files of settings that raise, end the program, run on, or define what is no plain value."""

import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from sartorius.utils.errors import InputError
from sartorius.utils.python_files import naming_line, plain, run_python


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('x = 1\nraise ValueError("two\\nlines")', 'a.py: line 2: ValueError: two lines'),
        # In a call, the line of the file that raised, not that of a library.
        ('def f(path):\n    return open(path)\nf("nowhere")', 'a.py: line 2: FileNotFoundError: .*'),
        ('import sys\nsys.exit(0)', r'a.py: line 2: ends the program \(sys.exit\).*'),
        ('class Mine(BaseException): pass\nraise Mine', 'a.py: line 2: Mine'),
        (
            'while True:\n    try:\n        x = 1\n    except Exception:\n        x = 2',
            'a.py: line .: still runs .*',
        ),
        ('x = (', 'a.py: line 1 is not valid Python: .*'),
        ('\0', 'a.py: is not valid Python: .*'),
        ('import b', 'b.py: line 1: ZeroDivisionError: division by zero'),
    ],
)
def test_what_goes_wrong_names_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path('a.py').write_text(text)
    Path('b.py').write_text('1 / 0')
    with pytest.raises(InputError, match=f'^{message}$'), naming_line('a.py', seconds=0.2):
        exec(compile(Path('a.py').read_text(), 'a.py', 'exec'), {'__name__': 'a'})


@pytest.mark.parametrize(('asleep', 'stopped'), [(0.1, False), (5, True)])
def test_a_busy_machine_may_take_longer_than_a_file_computes(asleep: float, stopped: bool) -> None:
    with pytest.raises(InputError, match='still runs') if stopped else nullcontext(), naming_line('a.py', seconds=0.02):
        time.sleep(asleep)


def test_a_file_that_is_interrupted_stays_so(tmp_path: Path) -> None:
    path = tmp_path / 'a.py'
    path.write_text('raise KeyboardInterrupt')
    with pytest.raises(KeyboardInterrupt):
        run_python(path)


class _Odd(float):
    """A number that does its own work when it is read."""

    def __float__(self) -> float:
        raise RuntimeError('odd')


class _OwnDict(dict):
    """A mapping of a class of its own, as MMEngine's configs are."""


def test_plain_values_lose_their_own_classes() -> None:
    value = plain(_OwnDict(a=[np.float32(0.5), np.int64(3)], b=(True, None, 'x', Path('y'))), 'it')
    assert value == {'a': [0.5, 3], 'b': (True, None, 'x', Path('y'))}
    assert [type(value), *map(type, value['a'])] == [dict, float, int]


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ([{'a': lambda: 1}], 'it holds a function; write .*'),
        ((one for one in 'ab'), 'it holds a generator; .*'),
        (1j, 'it holds a complex; .*'),
        (_Odd(1), r'it cannot be read \(RuntimeError: odd\); .*'),
    ],
)
def test_other_values_are_refused(value: object, message: str) -> None:
    with pytest.raises(InputError, match=f'^{message}$'):
        plain(value, 'it')
    endless: list[object] = [1]
    endless.append(endless)
    with pytest.raises(InputError, match='it holds lists within lists without end'):
        plain(endless, 'it')
