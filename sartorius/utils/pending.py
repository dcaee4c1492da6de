"""What lies under hidden names while it is written: temporary files, sets that are to be moved, and their journal.

A temporary file or folder is called ``.partial-`` and twelve hexadecimal digits, and is locked (``flock``) by the
process that writes it; one that nobody locks was left by a killed run, and the next writer in its folder removes it.

Files that belong together are written to a temporary folder beside their targets, which is here called their stage.
When all of them are on the disk, a journal is renamed into place: from then on they count as written. Then they are
moved, files that they replace under another name are removed, and the journal is removed. Whoever finds a journal in a
folder does first what it says (:func:`finish_pending`). So a reader sees either all old or all new files, wherever the
writer was killed.

A set in several folders has a stage and a journal in each. That of the first folder, the main one, decides: it is
written last, names the others, and is removed last; the others count for nothing without it.

Each journal speaks only of files directly in its folder: one that comes with a stranger's data can do nothing
elsewhere.
"""

import ctypes
import errno
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sartorius.utils.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, which opens no folders and renames no open files: nothing is locked or waited for there
    fcntl = None

JOURNAL = '.pending-files.json'
"""Name of a journal."""

_PARTIAL = re.compile(r'\.partial-[0-9a-f]{12}(\..*)?')
# Of a folder, and beside one that is replaced as a whole (sartorius.utils.locks).
_LOCK = re.compile(r'\.sartorius(-.*)?\.lock')
# Far above that of any journal.
_MAX_JOURNAL = 16 << 20
_SYNCS_AT_ONCE = 8
# From <linux/fcntl.h>, <linux/fs.h> and <sys/stdio.h> of macOS.
_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2
# Of file systems that cannot do something, and not of failure.
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.EBADF)

_tidied: set[str] = set()
"""Folders whose litter this process has removed."""


@dataclass(frozen=True)
class Journal:
    """What is to be done in one folder.

    Attributes:
        set: Random id of the set, the same in all its folders.
        stage: Name of the temporary folder whose files belong into this one; empty without one.
        remove: Names of the files that are removed.
        folder: A temporary folder, and the name of the folder that it replaces; empty for a set of files.
        main: Relative path of the folder whose journal decides; empty if it is this one.
        others: In the main folder: relative paths of the other folders of the set.
    """

    set: str
    stage: str = ''
    remove: tuple[str, ...] = ()
    folder: tuple[str, ...] = ()
    main: str = ''
    others: tuple[str, ...] = ()


def is_partial(name: str) -> bool:
    """Whether a file name is that of a temporary file or folder of this module, or of a lock."""
    return (_PARTIAL.fullmatch(name) or _LOCK.fullmatch(name)) is not None


@contextmanager
def partial(folder: Path, suffix: str = '', is_folder: bool = False) -> Iterator[Path]:
    """Yields a new temporary file or folder, locked, which is removed at the end if it is still there."""
    path, handle = _make_partial(folder, suffix, is_folder)
    try:
        yield path
    finally:
        # A journal may speak of it, if what it says could not be done.
        if not os.path.lexists(folder / JOURNAL):
            remove(path)
        if handle is not None:
            os.close(handle)


def _make_partial(folder: Path, suffix: str, is_folder: bool) -> tuple[Path, int | None]:
    while True:
        path = folder / f'.partial-{os.urandom(6).hex()}{suffix}'
        try:
            if fcntl is None:
                path.mkdir() if is_folder else path.touch(exist_ok=False)
                return path, None
            if is_folder:
                path.mkdir()
                handle = os.open(path, os.O_RDONLY)
            else:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            _lock(handle)
            # Between its making and its locking another process may have taken it for litter.
            if os.path.samestat(os.stat(path), os.fstat(handle)):
                return path, handle
            os.close(handle)
        except FileNotFoundError:
            if not folder.is_dir():
                raise


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Makes a folder and those that it is in, so that they survive a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync([folder.parent])


def sync(paths: Iterable[str | Path]) -> None:
    """Waits until files, and the names in folders, are on the disk: at once, which disks do faster than in turn."""
    paths = list(paths)
    if len(paths) < 4:
        for path in paths:
            _sync(path)
        return
    # Its import, and the threads, take longer than a few files do.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        list(pool.map(_sync, paths))


def sync_tree(folder: Path) -> None:
    """Waits until all files of a folder and of the folders below it are on the disk."""
    sync(Path(root, name) for root, _, names in os.walk(folder) for name in ('', *names))


def _sync(path: str | Path) -> None:
    if fcntl is None:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Locks an open file or folder; without effect on file systems that have no locks."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)


@contextmanager
def locked_folders(folders: Iterable[str | Path]) -> Iterator[None]:
    """Keeps other processes from committing or finishing sets in some folders."""
    with ExitStack() as stack:
        # In one order, so that no two processes wait for each other.
        for folder in sorted({os.path.realpath(folder) for folder in folders} if fcntl else ()):
            try:
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                continue
            stack.callback(os.close, handle)
            _lock(handle)
        yield


def tidy(folder: Path) -> None:
    """Does what a writer does first in a folder: finishes what a killed run began, and once removes its litter."""
    finish_pending(folder)
    real = os.path.realpath(folder)
    if real in _tidied:
        return
    _tidied.add(real)
    if litter := [name for name in os.listdir(real) if is_partial(name)]:
        with locked_folders([real]):
            # A journal that was written since may speak of it.
            if not os.path.lexists(os.path.join(real, JOURNAL)):
                for name in litter:
                    _remove_unlocked(Path(real, name))


def _remove_unlocked(path: Path) -> None:
    """Removes a temporary file or folder, unless a living process has locked it or nobody can tell."""
    if fcntl is None:
        return
    try:
        writable = os.O_RDONLY if path.is_dir() else os.O_RDWR
        handle = os.open(path, writable | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(path)
    except OSError:
        return
    finally:
        os.close(handle)


def commit(parts: Sequence[tuple[Path, Journal]]) -> None:
    """Moves a set's files into place: all of them, now or by whoever opens one of the folders next.

    Args:
        parts: Folders, without links in their paths, and what is to be done in each; the first becomes the main one.
            Their stages are on the disk.
    """
    (main, first), *rest = parts
    # Relative, for someone may move the folders before the next run finds them.
    first = replace(first, others=tuple(os.path.relpath(folder, main) for folder, _ in rest))
    with locked_folders(folder for folder, _ in parts):
        for folder, _ in parts:
            _finish(folder)
        try:
            write_journals([(folder, replace(journal, main=os.path.relpath(main, folder))) for folder, journal in rest])
            write_journals([(main, first)])
        except BaseException:
            if _read_journal(main) != first:
                for folder, _ in rest:
                    Path(folder, JOURNAL).unlink(missing_ok=True)
            raise
        try:
            _finish(main)
        except KeyboardInterrupt:
            _finish(main)
            raise


def write_journals(journals: Sequence[tuple[Path, Journal]]) -> None:
    """Writes journals into their folders, which a power cut does not lose."""
    with ExitStack() as stack:
        temporaries = [stack.enter_context(partial(folder, '.json')) for folder, _ in journals]
        for temporary, (_, journal) in zip(temporaries, journals, strict=True):
            temporary.write_text(json.dumps(asdict(journal)), encoding='utf-8')
        sync(temporaries)
        for temporary in temporaries:
            os.replace(temporary, temporary.parent / JOURNAL)
        sync(folder for folder, _ in journals)


def finish_pending(folder: str | Path) -> None:
    """Finishes what a killed run began in a folder; to be called before a file there is opened.

    It costs a look at one name where nothing is to be done.

    Raises:
        InputError: There is something to be done, and the folder cannot be written, or the journal is no such file.
    """
    folder = os.fspath(folder) or '.'
    while not os.path.lexists(os.path.join(folder, JOURNAL)):
        # A folder that is not there may be about to be replaced.
        if os.path.isdir(folder) or (parent := os.path.dirname(os.path.abspath(folder))) == folder:
            return
        folder = parent
    _finish_with_locks(Path(folder))


def _finish_with_locks(folder: Path) -> None:
    try:
        journal = _read_journal(folder)
        if journal is not None:
            main = folder / journal.main
            decides = _read_journal(main)
            others = () if decides is None else (main / other for other in decides.others)
            with locked_folders([folder, main, *others]):
                _finish(folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise InputError(
            f'{folder}: a run was killed while it replaced files here, and they cannot be moved into place now '
            f'({error.strerror}); open the folder once where it can be written'
        ) from None


def _finish(folder: Path) -> None:
    """Does what the journal of a folder says, if it has one; the folders of the set are locked."""
    journal = _read_journal(folder)
    if journal is None:
        return
    if journal.main:
        decides = _read_journal(folder / journal.main)
        if decides is not None and decides.set == journal.set and not decides.main:
            _finish(folder / journal.main)
        # Done with the others, or else the set was never complete, which may be read where nothing can be written.
        with suppress(OSError):
            os.unlink(folder / JOURNAL)
        return
    found = [(place, _read_journal(place)) for place in (*(folder / other for other in journal.others), folder)]
    parts = [(place, part) for place, part in found if part is not None and part.set == journal.set]
    for place, part in parts:
        _move(place, part)
    sync(place for place, _ in parts)
    # Only now: a journal in any of the folders leads to all of them. That of this folder, which decides, is the last.
    for place, _ in parts:
        Path(place, JOURNAL).unlink(missing_ok=True)


def _move(folder: Path, journal: Journal) -> None:
    if journal.stage and (stage := folder / journal.stage).is_dir():
        for name in sorted(os.listdir(stage)):
            os.replace(stage / name, folder / name)
        os.rmdir(stage)
    for name in journal.remove:
        with suppress(FileNotFoundError):
            os.unlink(folder / name)
    if journal.folder and (new := folder / journal.folder[0]).is_dir():
        old = folder / journal.folder[1]
        if old.exists():
            # From here on it is litter.
            os.rename(old, folder / f'.partial-{os.urandom(6).hex()}')
        os.rename(new, old)


def replace_folder(new: Path, target: Path) -> None:
    """Puts a temporary folder, which is on the disk, in the place of one that may exist; the old one is removed.

    Both are exchanged in one step where the system can do that, and by way of a journal elsewhere.
    """
    if not target.exists():
        os.rename(new, target)
    elif not _exchange(new, target):
        with locked_folders([new.parent]):
            _finish(new.parent)
            write_journals([(new.parent, Journal(os.urandom(6).hex(), folder=(new.name, target.name)))])
            _finish(new.parent)
        _tidied.discard(str(new.parent))
        tidy(new.parent)
    sync([new.parent])


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; False where that is not possible."""
    if fcntl is None:
        return False
    library, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    try:
        if sys.platform == 'darwin':
            code = library.renamex_np(*names, _RENAME_SWAP)
        else:
            code = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    except AttributeError:
        return False
    if code and ctypes.get_errno() not in _UNSUPPORTED:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    return not code


def _read_journal(folder: Path) -> Journal | None:
    """The journal of a folder; None without one.

    Raises:
        InputError: It is none that this module wrote.
    """
    path = folder / JOURNAL
    try:
        handle = os.open(path, os.O_RDONLY | (os.O_NOFOLLOW | os.O_NONBLOCK if fcntl else 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(handle, 'rb') as file:
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode) or os.fstat(handle).st_size > _MAX_JOURNAL:
                raise ValueError
            content = json.loads(file.read())
            journal = Journal(
                *(str(content[name]) for name in ('set', 'stage')),
                *(tuple(map(str, content[name])) for name in ('remove', 'folder')),
                main=str(content['main']),
                others=tuple(map(str, content['others'])),
            )
            _check(folder, journal)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f'{path}: no list of files to move into place, as a killed run leaves it; remove it'
            ) from None
    return journal


def _check(folder: Path, journal: Journal) -> None:
    """Raises ValueError unless all names are of files directly in the folder, and the temporary ones of our making."""
    ours = [name for name in (journal.stage, *journal.folder[:1]) if name]
    names = [*ours, *journal.remove, *journal.folder]
    if (
        len(journal.folder) not in (0, 2)
        or not all(map(_PARTIAL.fullmatch, ours))
        or any((folder / name).is_symlink() for name in ours)
        or any(name in ('', '.', '..') or '/' in name or '\0' in name for name in names)
    ):
        raise ValueError
