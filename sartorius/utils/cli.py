"""Exit codes, parser, error messages and progress bars of all command lines."""

import argparse
import errno
import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from sartorius.utils.errors import InputError, UsageError

T = TypeVar('T')

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults other than None, False and [], and keeps the line breaks of the example."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


def make_parser(description: str, example: str) -> argparse.ArgumentParser:
    """Parser whose ``--help`` shows the defaults and ends with an example command.

    Args:
        description: One sentence on what the tool does.
        example: A command line that works.
    """
    return argparse.ArgumentParser(
        description=description,
        epilog=f'example:\n  {example}',
        formatter_class=_HelpFormatter,
    )


def run_tool(main: Callable[[], None], interrupted: str = 'nothing was half-written') -> None:
    """Runs a tool's ``main`` and exits the process: 0 on success, 1 on failure, 2 on bad usage, 130 on Ctrl-C.

    A user's mistake (:class:`InputError`, a missing file, a full disk) is printed as one sentence. Any other exception
    is a defect of the project and keeps its traceback.

    Args:
        main: The tool's main function.
        interrupted: State after Ctrl-C, or how to continue; printed behind "interrupted; ".
    """
    try:
        main()
    except UsageError as error:
        sys.exit(_report(error, EXIT_USAGE))
    except InputError as error:
        sys.exit(_report(error, EXIT_FAILURE))
    except BrokenPipeError:
        sys.exit(EXIT_FAILURE)
    except OSError as error:
        sys.exit(_report(_describe_os_error(error), EXIT_FAILURE))
    except KeyboardInterrupt:
        sys.exit(_report(f'interrupted; {interrupted}', EXIT_INTERRUPTED))


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """Iterates with a progress bar and ETA when standard error is a terminal, silently otherwise.

    Args:
        items: What to iterate over.
        description: Text before the bar.
        total: Number of items, where ``items`` has no length.
    """
    from tqdm import tqdm

    return tqdm(items, desc=description, total=total, disable=not sys.stderr.isatty(), dynamic_ncols=True)


def _report(problem: object, code: int) -> int:
    print(f'error: {problem}', file=sys.stderr)
    return code


def _describe_os_error(error: OSError) -> str:
    place = f'{error.filename}: ' if error.filename else ''
    if error.errno == errno.ENOSPC:
        return f'{place}no space left on the disk; free some or choose another --out'
    return f'{place}{error.strerror or error}'
