"""States of a folder, and how one that a kill left differs from the earlier and the finished one."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from kill_cases import LOGS

_TIME = re.compile(r'\d{8}_\d{6}')
Tree = Mapping[str, str]
"""Hash of each file by its path relative to the folder; empty for folders."""


def tree_of(root: Path) -> Tree:
    """All files and folders, the hidden ones too; times in names are replaced by TIME."""
    found = {}
    for path in sorted(root.rglob('*')):
        name = _TIME.sub('TIME', path.relative_to(root).as_posix())
        if path.is_file():
            with path.open('rb') as file:
                found[name] = hashlib.file_digest(file, 'blake2b').hexdigest()
        else:
            found[name] = ''
    return found


def files_of(tree: Tree) -> Tree:
    """Files that a user sees and that are results."""
    return {name: value for name, value in tree.items() if value and not is_hidden(name) and not is_log(name)}


def is_hidden(name: str) -> bool:
    """Whether a file or a folder of its path is hidden."""
    return any(part.startswith('.') for part in name.split('/'))


def is_log(name: str) -> bool:
    """Whether a file tells of a run and is no result."""
    return any(fnmatch(name, pattern) for pattern in LOGS)


@dataclass(frozen=True)
class Ends:
    """What may stand in a folder.

    Attributes:
        old: Before the run.
        new: After it.
        loose: Files whose bytes differ from run to run.
        apart: Patterns of files that stand each for itself.
        passing: Patterns of files that the run writes more than once, so that a kill may find any content.
    """

    old: Tree
    new: Tree
    loose: Collection[str] = ()
    apart: Sequence[str] = field(default=())
    passing: Sequence[str] = field(default=())

    def faults(self, now: Tree) -> dict[str, list[str]]:
        """Files that are lost (neither the old nor the new one is there), torn (something else), or of two runs."""
        found: dict[str, list[str]] = {'lost': [], 'torn': [], 'mixed': []}
        old, new, now = files_of(self.old), files_of(self.new), files_of(now)
        sides: dict[str, list[str]] = {'old': [], 'new': []}
        for name in sorted(old.keys() | new.keys() | now.keys()):
            value, before, after = now.get(name), old.get(name), new.get(name)
            if value is not None and any(fnmatch(name, pattern) for pattern in self.passing):
                continue
            if value in (before, after) or (value and after and name in self.loose):
                together = not any(fnmatch(name, pattern) for pattern in self.apart)
                if before != after and together:
                    sides['old' if value == before else 'new'].append(name)
            else:
                found['lost' if value is None else 'torn'].append(name)
        if sides['old'] and sides['new']:
            found['mixed'] = [
                f'{len(sides["old"])} old ({sides["old"][0]}), {len(sides["new"])} new ({sides["new"][0]})'
            ]
        return {kind: names for kind, names in found.items() if names}

    def faults_after(self, now: Tree) -> dict[str, list[str]]:
        """What a run that went on left differently from one that was not killed; loose files are not compared."""
        litter = [name for name in now if name not in self.new and not is_log(name)]
        missing = [name for name in self.new if name not in now and not is_log(name)]
        differs = [
            name
            for name, value in now.items()
            if name in self.new and value != self.new[name] and name not in self.loose and not is_log(name)
        ]
        found = {'litter': litter, 'missing': missing, 'differs': differs}
        return {kind: names for kind, names in found.items() if names}
