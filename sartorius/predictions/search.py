"""Search for the predictions files that a command takes when none is named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.predictions.store import MAKE_COMMAND, SUFFIX, NotPredictionsError, PredictionHeader, read_header
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import files_below
from sartorius.utils.input_files import open_input
from sartorius.utils.paths import WORK_DIRS, display_path

# As much of a results file as its first entry takes: of one with masks, the mask may come first.
_START = 1 << 16

FUSE_COMMAND = 'python tools/ensemble.py'
DEFAULT_FUSED = WORK_DIRS / 'ensemble' / 'predictions.npz'


@dataclass(frozen=True)
class Found:
    """A predictions file and its header."""

    path: Path
    header: PredictionHeader

    @property
    def modified(self) -> tuple[int, str]:
        """Sort key by age, oldest first; the path breaks ties."""
        return self.path.stat().st_mtime_ns, str(self.path)


@dataclass(frozen=True)
class FusionPlan:
    """Files that ``tools/ensemble.py`` fuses when none is named.

    Attributes:
        chosen: The files to fuse, sorted by path.
        dropped: Every other predictions file, with the reason as half a sentence.
    """

    chosen: tuple[Found, ...]
    dropped: tuple[tuple[Path, str], ...]


def plan_fusion(folder: str | Path = WORK_DIRS) -> FusionPlan:
    """Chooses the files that ``tools/ensemble.py`` fuses when none is named.

    The rule: all files but results of a fusion are grouped by the set of their image ids; the group with the newest
    file is chosen.

    Raises:
        UsageError: There is none; the message names the command that makes one.
    """
    found, broken, foreign = _scan(folder)
    groups: dict[frozenset[str], list[Found]] = {}
    for one in found:
        if not one.header.is_fused:
            groups.setdefault(frozenset(one.header.image_ids), []).append(one)
    if not groups:
        raise _nothing_found(folder, broken)
    newest_first = sorted(groups.values(), key=lambda group: max(one.modified for one in group), reverse=True)
    chosen = newest_first[0]
    dropped = [(one.path, 'is the result of a fusion') for one in found if one.header.is_fused]
    for group in newest_first[1:]:
        dropped += [(one.path, _difference(one.header, chosen[0].header)) for one in group]
    return FusionPlan(chosen=tuple(chosen), dropped=(*dropped, *broken, *foreign, *_others(folder)))


def find_for_submission(folder: str | Path = WORK_DIRS, say: Callable[[str], object] = print) -> Path:
    """Chooses the file that ``tools/make_submission.py`` takes when none is named.

    The rule: the newest fused file, or the only file.

    Args:
        folder: Where it is searched for, with the folders below.
        say: Is told of each file that is passed over because it cannot be read.

    Raises:
        UsageError: There is none, or there are several and none is fused; the message names the command to run.
    """
    found, broken, _ = _scan(folder)
    for path, problem in broken:
        say(f'passed over:     {display_path(path)}: {problem}')
    if not found:
        raise _nothing_found(folder, broken)
    fused = [one for one in found if one.header.is_fused]
    if fused:
        return max(fused, key=lambda one: one.modified).path
    if len(found) > 1:
        names = ', '.join(display_path(one.path) for one in found)
        raise UsageError(
            f'{len(found)} predictions files and none is fused ({names}); fuse them with {FUSE_COMMAND}, or name one'
        )
    return found[0].path


def _scan(folder: str | Path) -> tuple[list[Found], list[tuple[Path, str]], list[tuple[Path, str]]]:
    """Predictions files sorted by path, and with the reason files that cannot be read, and other archives."""
    found, broken, foreign = [], [], []
    for path in files_below(folder):
        # A name that starts with a dot is a file that another command is still writing.
        if path.suffix.lower() != SUFFIX or path.name.startswith('.') or not path.is_file():
            continue
        try:
            found.append(Found(path, read_header(path)))
        except NotPredictionsError:
            foreign.append((path, 'is an archive of something else than predictions'))
        except InputError as error:
            broken.append((path, str(error).removeprefix(f'{display_path(path)}: ')))
    return found, broken, foreign


def _others(folder: str | Path) -> list[tuple[Path, str]]:
    """COCO results, which look like what is fused and are fused only where they are named."""
    found = []
    for path in files_below(folder):
        if path.suffix.lower() != '.json' or path.name.startswith('.') or not path.is_file():
            continue
        with open_input(path) as file:
            start = file.read(_START)
        if start.lstrip().startswith(b'[') and b'"image_id"' in start and b'"score"' in start:
            found.append((path, 'is COCO results; name it and its --annotations to fuse it'))
    return found


def _nothing_found(folder: str | Path, broken: Sequence[tuple[Path, str]]) -> UsageError:
    unreadable = f' ({len(broken)} cannot be read, the first is {display_path(broken[0][0])})' if broken else ''
    return UsageError(
        f'no model predictions under {display_path(folder)}{unreadable}; make a file of them with {MAKE_COMMAND}'
    )


def _difference(header: PredictionHeader, chosen: PredictionHeader) -> str:
    shared = len(set(header.image_ids) & set(chosen.image_ids))
    return f'covers other images ({shared} of its {len(header.image_ids)} are among the {len(chosen.image_ids)} fused)'
