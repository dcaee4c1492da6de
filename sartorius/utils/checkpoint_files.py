"""Checkpoints in a run's folder: the newest that is whole, and what is wrong with newer ones. Needs no torch."""

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from sartorius.utils.errors import InputError
from sartorius.utils.input_files import read_bytes
from sartorius.utils.paths import display_path

LAST_CHECKPOINT = 'last_checkpoint'
"""Note of MMEngine with the path of the newest checkpoint."""
REPLACED_CHECKPOINTS = 'replaced_checkpoints'
"""Among a checkpoint's information about its run: names of the files that are removed once it is on the disk."""
_NAME = re.compile(r'(?:iter|epoch)_(\d+)\.pth')


def find_checkpoints(work_dir: str | Path) -> list[Path]:
    """Checkpoints of a run, newest first.

    By their number: after a kill the note ``last_checkpoint`` may be empty or name an older one, and in a copied folder
    it names the original. What it names is taken where no file has such a name.
    """
    work_dir = Path(work_dir)
    numbered = [(int(match[1]), path) for path in work_dir.glob('*.pth') if (match := _NAME.fullmatch(path.name))]
    if numbered:
        return [path for _, path in sorted(numbered, reverse=True)]
    try:
        named = Path(os.fsdecode(read_bytes(work_dir / LAST_CHECKPOINT, most=1 << 14)).strip())
    except (OSError, InputError):
        return []
    return [path for path in (named, work_dir / named.name) if path.is_file()][:1]


def holds_run(work_dir: str | Path) -> bool:
    """Whether a training has saved something in a folder."""
    return bool(find_checkpoints(work_dir)) or (Path(work_dir) / LAST_CHECKPOINT).is_file()


def newest_whole(
    work_dir: str | Path, say: Callable[[str], object], check: Callable[[Path], object] | None = None
) -> Path | None:
    """The newest checkpoint of a run that is whole; None where there is none.

    Args:
        work_dir: Folder of the run.
        say: Is told in a sentence which newer checkpoint is passed over, and why.
        check: A further check, which raises an InputError for what cannot be used.
    """
    for path in find_checkpoints(work_dir):
        problem = describe_damage(path)
        if not problem and check is not None:
            try:
                check(path)
            except InputError as error:
                problem = str(error).removeprefix(f'{display_path(path)}: ')
        if not problem:
            return path
        say(f'{display_path(path)} is passed over, {problem}')
    return None


def describe_damage(path: Path) -> str:
    """What is wrong with the bytes of a checkpoint; empty if nothing.

    Its checksums are compared, which torch does not do: a damaged file would give other weights.
    """
    try:
        if not path.stat().st_size:
            return 'it is empty'
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except OSError as error:
        return f'it cannot be read ({error.strerror or error})'
    # A damaged archive may fail with any error.
    except Exception as error:
        return f'it is cut short or damaged ({error})'
    return f'it is damaged (the checksum of {part} is wrong)' if part else ''
