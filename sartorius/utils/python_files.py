"""Python files of settings: configs and post-processing. They are code that is trusted, and may still go wrong.

Whatever goes wrong in one is told in one sentence that names the file and its line; what it defines is taken as plain
values only.
"""

import numbers
import runpy
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path

MAX_SECONDS = 10
"""How long a file of settings may compute; it takes less than one second."""
WAITS = 30
"""How many times as long it may take by the clock, on a machine that is busy with other work."""


class _TooLongError(BaseException):
    """Raised in the midst of a file that runs on; no ``except Exception`` of the file catches it."""


def run_python(path: str | Path) -> dict[str, Any]:
    """The names that a Python file defines.

    Raises:
        InputError: As :func:`naming_line`.
    """
    with naming_line(path):
        return runpy.run_path(str(path))


@contextmanager
def naming_line(path: str | Path, seconds: float = MAX_SECONDS) -> Iterator[None]:
    """Tells in one sentence, with file and line, what goes wrong while a Python file runs.

    Args:
        path: The file. Where another one that it takes in goes wrong, that one is named.
        seconds: How long it may compute. Held in the main thread alone, and not where there are no signals.

    Raises:
        InputError: The file is not Python, raises, ends the program, or runs on. Ctrl-C still interrupts.
    """
    try:
        with _time_limit(seconds):
            yield
    except (InputError, KeyboardInterrupt):
        raise
    except _TooLongError as error:
        raise InputError(f'{_place(error, path)}: still runs after {seconds:g} s; settings need no long work') from None
    except SystemExit as error:
        raise InputError(f'{_place(error, path)}: ends the program (sys.exit); settings must not do that') from None
    except SyntaxError as error:
        line = f'line {error.lineno} ' if error.lineno else ''
        name = display_path(_file_at_hand(error) or path)
        raise InputError(f'{name}: {line}is not valid Python: {error.msg}') from None
    # A file of settings may raise anything, by classes of its own too.
    except BaseException as error:
        text = ' '.join(str(error).split())
        raise InputError(f'{_place(error, path)}: {type(error).__name__}{f": {text}" if text else ""}') from None


def plain(value: Any, name: str) -> Any:
    """A value of a Python file as JSON might hold it: numbers, texts, paths, lists, tuples and mappings of them.

    Numbers and containers of other classes become Python's own, so that nothing of the file runs afterwards.

    Args:
        value: The value.
        name: What the message calls it.

    Raises:
        InputError: It is or holds something else, or holds itself.
    """
    try:
        return _plain(value)
    except InputError as error:
        raise InputError(f'{name} {error}') from None
    except RecursionError:
        raise InputError(f'{name} holds lists within lists without end') from None
    # Classes of the file may raise anything.
    except Exception as error:
        raise InputError(f'{name} cannot be read ({type(error).__name__}: {error}); write plain values') from None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | PurePath):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return type(value)(_plain(part) for part in value) if type(value) in (list, tuple) else [*map(_plain, value)]
    raise InputError(f'holds a {type(value).__name__}; write numbers, texts, lists and dicts')


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, 'setitimer'):
        yield
        return

    def stop(*_: object) -> None:
        raise _TooLongError

    timers = {signal.ITIMER_PROF: (signal.SIGPROF, seconds), signal.ITIMER_REAL: (signal.SIGALRM, WAITS * seconds)}
    before = {number: signal.signal(number, stop) for number, _ in timers.values()}
    for timer, (_, limit) in timers.items():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _file_at_hand(error: BaseException) -> str | None:
    """The config that MMEngine was reading: the one asked for, or one that it inherits from."""
    names = [frame.f_locals.get('filename') for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((name for name in reversed(names) if isinstance(name, str) and Path(name).is_file()), None)


def _place(error: BaseException, path: str | Path) -> str:
    """The innermost file that was being run, and the line that it had come to."""
    frames = traceback.extract_tb(error.__traceback__)
    files = [frame.filename for frame in frames if frame.name == '<module>' and Path(frame.filename).is_file()]
    # Without one, the error came before the file ran.
    own = [frame for frame in frames if files and frame.filename == files[-1]]
    return f'{display_path(own[-1].filename)}: line {own[-1].lineno}' if own else display_path(path)
