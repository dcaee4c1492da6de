"""Standard output and error of a tool: whatever is printed, and whoever stops reading."""

import logging
import os
import select
import sys
from typing import TextIO

# Descriptors of streams that could not be written any more, which now lead to the null device.
_nowhere: set[int] = set()


def prepare_streams() -> None:
    """Lets any text be printed, and lets a closed pipe stop a tool that logs as it stops one that prints."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            # A file name may hold bytes that are no text, and a terminal may lack a letter.
            stream.reconfigure(errors='surrogateescape' if stream.encoding == 'utf-8' else 'backslashreplace')
    logging.Handler.handleError = _stop_or_handle


def flush_output() -> None:
    """Writes out what was printed.

    Raises:
        OSError: It cannot be written (a full disk, a closed pipe); the rest is dropped.
    """
    for stream in _streams():
        try:
            stream.flush()
        except OSError:
            _lead_to_nowhere(stream)
            raise


def drop_closed_output() -> bool:
    """Whether standard output or error is a pipe that nobody reads; what is still printed there is dropped."""
    closed = [stream for stream in _streams() if _has_no_reader(stream)]
    for stream in closed:
        _lead_to_nowhere(stream)
    return bool(closed)


def _streams() -> list[TextIO]:
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None and not stream.closed]


def _has_no_reader(stream: TextIO) -> bool:
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return number in _nowhere or any(event & select.POLLERR for _, event in poll.poll(0))


def _lead_to_nowhere(stream: TextIO) -> None:
    """Puts the null device in the place of a stream, so that the interpreter's own last flush does not fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
    _nowhere.add(stream.fileno())


_handle_error = logging.Handler.handleError


def _stop_or_handle(handler: logging.Handler, record: logging.LogRecord) -> None:
    """In place of logging's own: a traceback on standard error for every line."""
    if isinstance(sys.exc_info()[1], BrokenPipeError):
        raise sys.exc_info()[1]
    _handle_error(handler, record)
