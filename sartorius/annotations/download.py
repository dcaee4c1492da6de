"""The competition's data by way of the ``kaggle`` client: what tools/data/download_sartorius.py does."""

import errno
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import replaced_folder

COMPETITION = 'sartorius-cell-instance-segmentation'
PAGE = f'https://www.kaggle.com/competitions/{COMPETITION}'


def download_sartorius(out: Path) -> None:
    """Downloads and unpacks the competition's data into ``out``, which appears complete or not at all.

    The client finds its own token; its progress and its messages go to the terminal.

    Raises:
        UsageError: ``out`` is in use, or the client is not installed.
        InputError: The client failed, or what it brought is not the competition's archive.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f'{out}: exists already; remove it, or choose another folder with --out')
    client = _find_client()
    if client is None:
        raise UsageError(
            'the kaggle client is not installed: run "pip install kaggle", save an API token from '
            'https://www.kaggle.com/settings/api to ~/.kaggle/access_token (or run "kaggle auth login"), accept the '
            f'rules at {PAGE}/rules and start again; or download the archive by hand at {PAGE}/data and unpack it '
            f'into {out}'
        )
    with replaced_folder(out) as unpacked, tempfile.TemporaryDirectory(dir=unpacked) as name:
        _run_client(client, Path(name), out)
        _unpack(Path(name), unpacked)


def _find_client() -> str | None:
    """The client on the search path, or beside the Python that runs."""
    return shutil.which('kaggle') or shutil.which('kaggle', path=str(Path(sys.executable).parent))


def _run_client(client: str, folder: Path, out: Path) -> None:
    command = [client, 'competitions', 'download', '-c', COMPETITION, '-p', str(folder)]
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise InputError(
            f'the kaggle client could not download {COMPETITION} (exit code {code}, its message stands above): save an '
            'API token from https://www.kaggle.com/settings/api to ~/.kaggle/access_token, and accept the rules at '
            f'{PAGE}/rules; or download the archive by hand at {PAGE}/data and unpack it into {out}'
        )


def _unpack(folder: Path, unpacked: Path) -> None:
    archive = folder / f'{COMPETITION}.zip'
    if not archive.is_file():
        found = ', '.join(sorted(path.name for path in folder.iterdir())) or 'nothing'
        raise InputError(f'the kaggle client brought no {archive.name} but {found}; download it by hand at {PAGE}/data')
    try:
        with zipfile.ZipFile(archive) as content:
            for member in progress(content.infolist(), 'unpacking'):
                content.extract(member, unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, RuntimeError) as error:
        raise InputError(f'{archive.name} is damaged ({error}); start the download again') from None
    except OSError as error:
        # A damaged stream (no number), a place before the file's start, a folder of a file's name; a full disk is none.
        if error.errno not in (None, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
            raise
        raise InputError(f'{archive.name} is damaged ({error}); start the download again') from None
    if not (unpacked / 'train.csv').is_file():
        raise InputError(f"{archive.name} holds no train.csv, so it is not the competition's archive; see {PAGE}/data")
