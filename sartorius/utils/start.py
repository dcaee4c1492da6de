"""Start of a tool's process: its own code, file names and text in UTF-8, folders for caches, idle threads."""

import logging
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from sartorius.utils.paths import CHECKOUT, checkout_of

# Environment variable and folder below the home that stands for it, of numba, matplotlib, torch and fontconfig.
_CACHES = {'XDG_CACHE_HOME': '.cache', 'XDG_CONFIG_HOME': '.config'}

# Of libgomp, which torch's wheels for Linux come with: how often its threads look for new work before they sleep. By
# default they do so 300,000 times, on cores that data loaders and the project's own threads need.
_SPIN_COUNT = '3000'


def prepare_process(main: Callable[..., object]) -> None:
    """Prepares the process in which a tool runs; may start it again, as the same process.

    Args:
        main: The tool's main function.
    """
    if main.__module__ == '__main__':
        changes = _own_checkout(Path(main.__code__.co_filename)) | _utf8()
        if changes:
            sys.stderr.flush()
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **changes})
    # A log that cannot be written (a full disk) is no reason for a traceback before the sentence of whoever fails.
    logging.raiseExceptions = False
    find_caches()
    os.environ.setdefault('GOMP_SPINCOUNT', _SPIN_COUNT)


def find_caches() -> None:
    """Has libraries keep their caches in a temporary folder where the home cannot be written, as in containers."""
    for variable, name in _CACHES.items():
        if not os.environ.get(variable) and not _can_be_made(Path(os.path.expanduser('~'), name)):
            os.environ[variable] = str(_private_folder() / name)


def warn_of_another_checkout(command: str) -> None:
    """Says so where ``sartorius NAME`` is started within another checkout than the one whose code it runs."""
    here = checkout_of(Path.cwd() / 'any')
    if here is not None and here != CHECKOUT:
        print(
            f'warning: {command} runs the code of {CHECKOUT or "the installed package"}, not that of {here}, where it '
            f'was started; python {here / "tools"}/... runs that',
            file=sys.stderr,
        )


def _own_checkout(tool: Path) -> dict[str, str]:
    """Environment in which a tool runs the code of its own checkout, where that of another is the one installed."""
    own = checkout_of(tool.resolve())
    if own in (None, CHECKOUT) or not tool.resolve().is_relative_to(own / 'tools'):
        return {}
    before = os.environ.get('PYTHONPATH', '')
    if before.split(os.pathsep)[0] == str(own):
        print(f'warning: {tool} runs the code of {CHECKOUT or "the installed package"}, not of {own}', file=sys.stderr)
        return {}
    return {'PYTHONPATH': os.pathsep.join(filter(None, [str(own), before]))}


def _utf8() -> dict[str, str]:
    """Environment in which file names and text are UTF-8, where the locale (``LC_ALL=C``) would have them in ASCII."""
    is_ascii = sys.getfilesystemencoding().lower() in ('ascii', 'us-ascii', 'ansi_x3.4-1968')
    return {'PYTHONUTF8': '1'} if is_ascii and not sys.flags.utf8_mode else {}


def _can_be_made(folder: Path) -> bool:
    """Whether a folder is there or can be made, and can be written."""
    if not folder.is_absolute():
        # This user has no home.
        return False
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _private_folder() -> Path:
    """A temporary folder that only this user can write, the same in every process if possible.

    Caches hold compiled code: another user must not be able to put any there.
    """
    # Here, because it takes time to import.
    import tempfile

    folder = Path(tempfile.gettempdir(), f'sartorius-{os.getuid()}')
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix='sartorius-'))
