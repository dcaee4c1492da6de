"""Exit codes, parser, error messages and progress bars of all command lines."""

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.notes import collect_notes, note_lines
from sartorius.utils.paths import CHECKOUT, find_config
from sartorius.utils.start import prepare_process
from sartorius.utils.streams import drop_closed_output, flush_output, prepare_streams

T = TypeVar('T')

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# Of a program that SIGPIPE ends.
EXIT_CLOSED_PIPE = 141

COMMAND = 'sartorius'
# Packages that an installation without the extra `mmdet` does not have.
MMDET_LAYER = ('torch', 'mmcv', 'mmdet', 'mmengine')
_TOOL = re.compile(r'(?<![\w/.-])(?:python )?tools/(?:\w+/)?(\w+)\.(?:py|sh)\b')


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults other than None, False and [], and keeps the line breaks of the example."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        plain = action.default is True or action.default in (None, False, [])
        return action.help if plain else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Names tools in its help as they are started."""

    def format_help(self) -> str:
        return name_tools(super().format_help())


def name_tools(text: str) -> str:
    """Text of the project with its tools named as they are started in this process.

    Sources write ``python tools/test.py`` and ``tools/test.py``, which holds in a checkout. Where the package is
    installed, or where this process is itself ``sartorius NAME``, both become ``sartorius test``.
    """
    by_name = CHECKOUT is None or sys.argv[0].split(' ')[0] == COMMAND
    return _TOOL.sub(rf'{COMMAND} \1', text) if by_name else text


def make_parser(description: str, example: str) -> argparse.ArgumentParser:
    """Parser whose ``--help`` shows the defaults and ends with an example command.

    Args:
        description: One sentence on what the tool does.
        example: A command line that works.
    """
    return _Parser(
        description=description,
        epilog=f'example:\n  {example}',
        formatter_class=_HelpFormatter,
    )


def add_config_options(parser: argparse.ArgumentParser, what: str = 'config file') -> None:
    """Adds ``config``, ``--small`` and ``--cfg-options``: the fields of ``engine.run_config.RecipeOptions``."""
    parser.add_argument(
        'config', type=config_path, help=f'{what}, or its name: configs/sartorius/mrcnn_r50.py, mrcnn_r50'
    )
    parser.add_argument(
        '--small',
        action='store_true',
        help='the small variant of the config, which learns from scratch in minutes on two CPU cores',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='K=V', help='change keys of the config: train_cfg.max_iters=100'
    )


def add_data_options(
    parser: argparse.ArgumentParser, fold_help: str = "fold to hold out for validation; the config's (0) if not given"
) -> None:
    """Adds ``--data-root``, ``--annotations`` and ``--fold``: the fields of ``engine.run_config.DataOptions``."""
    parser.add_argument(
        '--data-root', type=absolute_path, help='folder with train/ and test/; $SARTORIUS_DATA or data/sartorius'
    )
    parser.add_argument('--annotations', type=absolute_path, help='folder that tools/prepare_sartorius.py wrote')
    parser.add_argument(
        '--fold',
        type=fold_number,
        metavar='K',
        help=f'{fold_help}; "all": every annotated image trains, none validates',
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a training that change its config: fields of ``engine.run_config.TrainOptions``."""
    parser.add_argument('--load-from', metavar='FILE', help='start from the weights of this checkpoint or URL')
    parser.add_argument(
        '--from-scratch',
        action='store_true',
        help='start without pre-trained weights, all layers learning; a config that starts from another run '
        '(init_from) still starts from that run, which can be made from scratch too',
    )
    parser.add_argument(
        '--from-shipped',
        action='store_true',
        help='start from the model that comes with the package; fits mrcnn_r18.py and --small of the Mask R-CNNs',
    )
    parser.add_argument(
        '--seed', type=int, help="seed of weights, order and augmentation; the config's (0) if not given"
    )
    parser.add_argument(
        '--iterations', type=int, help="length of the run, schedule included; the config's if not given"
    )
    parser.add_argument(
        '--no-validation',
        dest='validation',
        action='store_false',
        help='only train: no scores on the way, the last checkpoint is the result',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU that has it'
    )


EXPORT_FORMATS = {
    'masks': 'label TIFF',
    'rois': 'ImageJ ROI zip',
    'table': 'cells as CSV',
    'geojson': 'QuPath',
    'overlay': 'PNG',
    'coco': 'COCO JSON',
    'seg': 'Cellpose',
}
"""What ``--help`` says of the formats of :mod:`sartorius.export.formats`, whose import would make it wait."""


def add_format_option(parser: argparse.ArgumentParser, **more: str) -> None:
    """Adds ``--format`` as ``formats``: names of :data:`EXPORT_FORMATS` and of ``more``, which are checked later."""
    known = EXPORT_FORMATS | more
    parser.add_argument(
        '--format',
        dest='formats',
        nargs='+',
        default=['masks', 'rois', 'table'],
        metavar='NAME',
        help='; '.join(f'{name}: {what}' for name, what in known.items()),
    )


def add_reading_options(parser: argparse._ActionsContainer) -> None:
    """Adds how image files are read: ``--pixel-size`` as ``pixel_size_um``, ``--axes``, ``--channel`` and ``--z``."""
    parser.add_argument(
        '--pixel-size',
        dest='pixel_size_um',
        type=float,
        metavar='UM',
        help='side of a pixel in um; what the files say if not given',
    )
    parser.add_argument('--axes', help='axes of the files, such as TYX, in place of those that they name')
    parser.add_argument('--channel', metavar='N|NAME', help='channel of images with several, from 0')
    parser.add_argument('--z', metavar='N|max|mean', help='plane of images with several in z, from 0')


def absolute_path(text: str) -> Path:
    """A path typed on the command line, which is relative to the current folder."""
    return Path(os.path.realpath(Path(text).expanduser()))


def config_path(text: str) -> Path:
    """A config given by its path or its name (:func:`sartorius.utils.paths.find_config`).

    Raises:
        ArgumentTypeError: There is none, or there are several.
    """
    try:
        return find_config(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def fold_number(text: str) -> int | str:
    """Value of ``--fold``: a number, or ``all``.

    Raises:
        ArgumentTypeError: It is neither.
    """
    if text != 'all' and not text.isdigit():
        raise argparse.ArgumentTypeError(f'must be a number from 0 on or "all", not {text!r}')
    return text if text == 'all' else int(text)


def options_as(kind: type[T], arguments: argparse.Namespace) -> T:
    """A dataclass of options from a parsed command line; options that the tool does not have keep their default."""
    given = {field.name: getattr(arguments, field.name) for field in fields(kind) if hasattr(arguments, field.name)}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def run_tool(main: Callable[[], None], interrupted: str = 'nothing was half-written') -> None:
    """Runs a tool's ``main`` and exits the process: 0 on success, 1 on failure, 2 on bad usage, 130 on Ctrl-C.

    A user's mistake (:class:`InputError`, a missing file or package, a full disk) is printed as one sentence, and so is
    that nobody reads the output any more (``| head``; the exit code is then 141). Any other exception is a defect of
    the project and keeps its traceback. What was dropped on the way (:mod:`sartorius.utils.notes`) is printed last.

    Args:
        main: The tool's main function.
        interrupted: State after Ctrl-C, or how to continue; printed behind "interrupted; ".
    """
    prepare_process(main)
    prepare_streams()
    try:
        try:
            with collect_notes() as notes:
                main()
        finally:
            # Here, because an error of the interpreter's own last flush has a traceback.
            flush_output()
            _say_again(notes)
    except UsageError as error:
        sys.exit(_report(error, EXIT_USAGE))
    except InputError as error:
        sys.exit(_report(error, EXIT_FAILURE))
    except ModuleNotFoundError as error:
        if (error.name or '').split('.')[0] not in MMDET_LAYER:
            raise
        problem = f'this needs {error.name}, which is not installed; python -m sartorius.check_env says what to do'
        sys.exit(_report(problem, EXIT_FAILURE))
    except OSError as error:
        if isinstance(error, BrokenPipeError) and drop_closed_output():
            sys.exit(_report(f'the output was closed before the end, as by head; {interrupted}', EXIT_CLOSED_PIPE))
        sys.exit(_report(_describe_os_error(error), EXIT_FAILURE))
    except MemoryError:
        sys.exit(_report('not enough memory; close other programs, or take fewer or smaller files', EXIT_FAILURE))
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


def _say_again(notes: list[str]) -> None:
    """Prints as the last lines what was warned of: much may have been printed since."""
    if notes:
        with suppress(OSError):
            print('\n'.join(['', *note_lines(notes).splitlines()]), file=sys.stderr, flush=True)


def _report(problem: object, code: int) -> int:
    with suppress(OSError):
        print(name_tools(f'error: {problem}'), file=sys.stderr, flush=True)
    return code


def _describe_os_error(error: OSError) -> str:
    place = f'{error.filename}: ' if error.filename else ''
    if error.errno == errno.ENOSPC:
        return f'{place}no space left on the disk; free some or choose another --out'
    return f'{place}{error.strerror or error}'
