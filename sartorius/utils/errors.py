"""Errors that a user can fix; tools print them as one sentence, without a traceback."""

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches

MAX_LINE = 1000
"""Characters of a line of a message: a value of a damaged file may have a million, and the fix stands behind it."""


class InputError(ValueError):
    """Bad input. The message names the file, row or key, the bad value, and the fix.

    A line of more than :data:`MAX_LINE` characters loses its middle.
    """

    def __init__(self, message: object = '') -> None:
        super().__init__('\n'.join(map(_without_middle, str(message).split('\n'))))


class UsageError(InputError):
    """Bad command line, or missing input; the tool exits with 2."""


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def shown(value: object) -> str:
    """A bad value in a message, cut where it is long: it may be a whole file."""
    return _SHORT.repr(value)


def _without_middle(line: str) -> str:
    half = MAX_LINE // 2
    return line if len(line) <= MAX_LINE else f'{line[:half]} ... {line[-half:]}'


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like an unknown one; None where none is near."""
    near = get_close_matches(word, sorted(set(known)), n=1)
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them."""
    known = sorted(known)
    near = closest(word, known)
    return f'; did you mean {near!r}?' if near else f'; known: {", ".join(known) or "none"}'
