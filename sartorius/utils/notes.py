"""What a command dropped, ignored or noticed: said when it is met, and again in its last lines and its summary.

Whoever drops something logs one sentence with its number as a warning, and need not know more: every warning of the
package's loggers is collected here while a tool runs.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

PACKAGE = 'sartorius'


class _Collector(logging.Handler):
    """Gives each warning to all who collect, and prints it where nobody else does."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lists: list[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        for notes in self.lists:
            if text not in notes:
                notes.append(text)
        # Python's own last resort is left out where a logger has any handler, such as this one.
        if not logging.root.handlers and logging.lastResort:
            logging.lastResort.handle(record)


_COLLECTOR = _Collector()


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Collects what the package's loggers warn of meanwhile, each sentence once, in the list that it gives."""
    notes: list[str] = []
    logger = logging.getLogger(PACKAGE)
    if not _COLLECTOR.lists:
        logger.addHandler(_COLLECTOR)
    _COLLECTOR.lists.append(notes)
    try:
        yield notes
    finally:
        # By identity: equal lists are several.
        _COLLECTOR.lists[:] = [other for other in _COLLECTOR.lists if other is not notes]
        if not _COLLECTOR.lists:
            logger.removeHandler(_COLLECTOR)


def note_lines(notes: list[str]) -> str:
    """The notes as a list under a title, in Markdown; empty without any."""
    return '\n'.join(['Dropped, ignored or noticed:', '', *(f'- {text}' for text in notes)]) if notes else ''
