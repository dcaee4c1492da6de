"""The version of the running code, with the git commit that it was started from."""

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sartorius import __version__
from sartorius.utils.paths import CHECKOUT


@dataclass(frozen=True)
class GitCommit:
    """The commit that a checkout stands at.

    Attributes:
        sha: Full hash, 40 hexadecimal digits.
        dirty: Whether tracked files differ from the commit; untracked files do not count.
    """

    sha: str
    dirty: bool


@cache
def git_commit(folder: Path | None = CHECKOUT) -> GitCommit | None:
    """Commit of the checkout whose top folder is ``folder``, as it was when this process first asked.

    Returns:
        None without git, without a commit, or where ``folder`` is not the top of a checkout: a package installed into
        an environment that lies inside some other repository does not take that repository's commit for its own.
    """
    if folder is None:
        return None
    answer = _git(folder, 'rev-parse', '--show-toplevel', 'HEAD')
    if answer is None:
        return None
    top, sha = answer.split('\n')[:2]
    changes = _git(folder, 'status', '--porcelain', '--untracked-files=no')
    if Path(top) != folder.resolve() or changes is None:
        return None
    return GitCommit(sha, dirty=bool(changes))


def describe_version(commit: GitCommit | None = None) -> str:
    """Version as PEP 440 writes it, such as ``0.2.0.dev0+g75aaa0e`` or, with local changes, ``...+g75aaa0e.dirty``.

    Args:
        commit: The commit to name; by default that of the running code. Without any, the plain version.
    """
    commit = commit or git_commit()
    if commit is None:
        return __version__
    return f'{__version__}+g{commit.sha[:7]}{".dirty" if commit.dirty else ""}'


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command; None when it fails or there is no git."""
    # In a git hook these variables name the repository of the hook.
    environment = {name: value for name, value in os.environ.items() if not name.startswith('GIT_')}
    try:
        # Without optional locks a question never disturbs a git command that runs at the same time.
        done = subprocess.run(
            ['git', '--no-optional-locks', '-C', folder, *arguments], env=environment, capture_output=True, text=True
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
