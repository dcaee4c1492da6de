"""Atomic writing of files, and their hashes."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and renames it to ``path`` on success.

    The folder is created if it is missing. When the block raises (an error, a full disk, Ctrl-C) the temporary file is
    removed and an earlier file at ``path`` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because writers such as cv2.imwrite and numpy.savez choose the format by it.
    handle, name = tempfile.mkstemp(prefix=f'.{path.stem}-', suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp creates files that only their owner can read; the result gets the permissions of any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def staged_folder(folder: str | Path) -> Iterator[Path]:
    """Yields an empty folder within ``folder`` and moves the files written there into ``folder`` on success.

    When the block raises, none of them is moved: several files that belong together are replaced together.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.new-', dir=folder) as name:
        yield Path(name)
        for path in Path(name).iterdir():
            path.replace(folder / path.name)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 ``text`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def files_below(root: str | Path) -> list[Path]:
    """All files of a folder and of the folders below it, sorted; links to folders are followed, each folder once."""
    # Path.rglob follows them only from Python 3.13 on.
    paths: list[Path] = []
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        paths += [Path(folder, name) for name in names]
    return sorted(paths)
