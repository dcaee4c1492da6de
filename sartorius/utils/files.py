"""The one place for writing files: each whole or not at all, and those of a set together; and their hashes.

A writer uses :func:`atomic_path`, :func:`write_text`, :func:`staged_folder` or :func:`replaced_folder`. What it wrote
is on the disk (``fsync``) before it gets its name, and the name is on the disk before the writer goes on, so that
neither a kill nor a power cut leaves a torn or an empty file. Within :func:`file_set` all of them join one set, whose
files appear together or not at all.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

from sartorius.utils.input_files import open_input
from sartorius.utils.locks import lock_folder
from sartorius.utils.pending import (
    JOURNAL,
    Journal,
    commit,
    finish_pending,
    is_partial,
    make_folder,
    partial,
    replace_folder,
    sync,
    sync_tree,
    tidy,
)
from sartorius.utils.tables import inert_markdown

# Errors of writing that do not name the file.
_NO_NAME = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_NOTHING: Mapping[Path, Path] = MappingProxyType({})


class FileSet:
    """Files that appear together; made by :func:`file_set`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._stages: dict[Path, Path] = {}
        self._removed: dict[Path, set[str]] = {}

    def stage(self, folder: str | Path) -> Path:
        """Temporary folder whose files belong into ``folder``, which is made if it is missing."""
        folder = Path(os.path.realpath(folder))
        if folder not in self._stages:
            make_folder(folder)
            tidy(folder)
            with errors_name(folder):
                self._stages[folder] = self._stack.enter_context(partial(folder, is_folder=True))
        return self._stages[folder]

    def staged(self, path: str | Path) -> Path:
        """Where a file of the set lies until its block ends."""
        path = Path(path)
        if path.parent in self._stages.values():
            return path
        return self.stage(path.parent) / path.name

    def remove(self, path: str | Path) -> None:
        """Removes a file together with the writing of the others, unless the set writes it."""
        path = Path(path)
        self._removed.setdefault(Path(os.path.realpath(path.parent)), set()).add(path.name)

    def commit(self) -> None:
        """Moves the files into place and removes the others."""
        parts = []
        for folder in dict.fromkeys((*self._stages, *self._removed)):
            stage = self._stages.get(folder)
            written = os.listdir(stage) if stage else []
            removed = sorted(self._removed.get(folder, set()).difference(written))
            if written or removed:
                parts.append((folder, Journal('', stage.name if written else '', tuple(removed)), written))
        with ExitStack() as stack:
            for folder, stage in self._stages.items():
                stack.enter_context(errors_name(folder, {stage: folder}))
            self._write(parts)

    def _write(self, parts: Sequence[tuple[Path, Journal, Sequence[str]]]) -> None:
        if len(parts) == 1 and len(parts[0][2]) + len(parts[0][1].remove) == 1 and parts[0][2]:
            # One file needs no journal.
            folder, journal, (name,) = parts[0]
            sync([folder / journal.stage / name])
            os.replace(folder / journal.stage / name, folder / name)
            sync([folder])
        elif parts:
            # The files, and their names.
            sync(
                folder / journal.stage / name
                for folder, journal, written in parts
                if written
                for name in ('', *written)
            )
            number = os.urandom(6).hex()
            commit([(folder, Journal(number, journal.stage, journal.remove)) for folder, journal, _ in parts])


_current: ContextVar[FileSet | None] = ContextVar('file_set', default=None)


@contextmanager
def file_set() -> Iterator[FileSet]:
    """All files that are written within the block, by any function of this module, appear together or not at all.

    Until the block ends each lies in a temporary folder (:meth:`FileSet.staged`). A block within another belongs to it.
    Threads and processes that are started within do not.
    """
    if (outer := _current.get()) is not None:
        yield outer
        return
    with ExitStack() as stack:
        files = FileSet(stack)
        token = _current.set(files)
        try:
            yield files
            files.commit()
        finally:
            _current.reset(token)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and renames it to ``path`` on success.

    The folder is created if it is missing. When the block raises (an error, a full disk, Ctrl-C) the temporary file is
    removed and an earlier file at ``path`` is untouched.
    """
    path = Path(path)
    if (files := _current.get()) is not None:
        staged = files.staged(path)
        with errors_name(path, {staged: path}):
            try:
                yield staged
            except BaseException:
                staged.unlink(missing_ok=True)
                raise
        return
    make_folder(path.parent)
    tidy(path.parent)
    temporaries: dict[Path, Path] = {}
    # The suffix is kept because writers such as cv2.imwrite and numpy.savez choose the format by it.
    with errors_name(path, temporaries), partial(path.parent, path.suffix) as temporary:
        temporaries[temporary] = path
        yield temporary
        sync([temporary])
        os.replace(temporary, path)
        sync([path.parent])


@contextmanager
def staged_folder(folder: str | Path, stale: Callable[[str], object] | None = None) -> Iterator[Path]:
    """Yields an empty folder whose files become, on success, files of ``folder``: all of them together.

    When the block raises, none of them does. They may be written by any means. Another process is refused meanwhile.

    Args:
        folder: Where they belong; made if it is missing.
        stale: Tells by its name whether a file of ``folder`` is of an earlier call; it is removed together with the
            writing, unless it is written anew.
    """
    folder = Path(folder)
    with lock_folder(folder), file_set() as files:
        stage = files.stage(folder)
        with errors_name(folder, {stage: folder}):
            yield stage
        for name in filter(stale, os.listdir(folder)) if stale else ():
            files.remove(Path(folder, name))


@contextmanager
def replaced_folder(folder: str | Path) -> Iterator[Path]:
    """Yields an empty folder that takes the place of ``folder``, which may be there, when the block ends without error.

    At every moment ``folder`` is either the old or the new one.
    """
    folder = Path(os.path.realpath(folder))
    make_folder(folder.parent)
    tidy(folder.parent)
    temporaries: dict[Path, Path] = {}
    with (
        lock_folder(folder, beside=True),
        errors_name(folder, temporaries),
        partial(folder.parent, is_folder=True) as new,
    ):
        temporaries[new] = folder
        yield new
        sync_tree(new)
        replace_folder(new, folder)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 ``text`` to ``path`` atomically; of a Markdown page without HTML and links from elsewhere.

    Whatever names of classes, images or files a page shows, it shows them as text
    (:func:`sartorius.utils.tables.inert_markdown`).
    """
    text = inert_markdown(text) if Path(path).suffix == '.md' else text
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 digest of a file's bytes."""
    digest = hashlib.sha256()
    with open_input(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def files_below(root: str | Path) -> list[Path]:
    """All files of a folder and of the folders below it, sorted; links to folders are followed, each folder once.

    What another process is still writing is passed over; what a killed one was about to move into place is moved first.
    """
    # Path.rglob follows them only from Python 3.13 on.
    paths: list[Path] = []
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        if JOURNAL in names:
            finish_pending(folder)
            names = [name for name in os.listdir(folder) if Path(folder, name).is_file()]
        # In order, since of two links to one folder the first counts.
        subfolders[:] = sorted(name for name in subfolders if not is_partial(name))
        paths += [Path(folder, name) for name in names if not is_partial(name)]
    return sorted(paths)


@contextmanager
def errors_name(target: str | Path, temporaries: Mapping[Path, Path] = _NOTHING) -> Iterator[None]:
    """Has errors of the disk name the file or folder that is meant, in place of a temporary one or of none.

    Args:
        target: What is written.
        temporaries: What is meant by each temporary path.
    """
    target = Path(target)
    try:
        yield
    except OSError as error:
        if error.filename is None:
            # An error of a connection has no number, and would lose its text with a name.
            if error.errno in _NO_NAME:
                error.filename = str(target)
        elif isinstance(error.filename, str | os.PathLike):
            error.filename = _meant(Path(error.filename), target, temporaries)
            # Of a renaming, the new name.
            error.filename2 = None
        raise


def _meant(path: Path, target: Path, temporaries: Mapping[Path, Path]) -> str:
    for place in (path, *path.parents):
        if place in temporaries:
            return str(temporaries[place] / path.relative_to(place))
        if is_partial(place.name) or place.name == JOURNAL:
            return str(target)
    return str(path)
