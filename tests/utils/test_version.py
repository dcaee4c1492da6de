"""Version strings and the commit of a checkout."""

import subprocess
from pathlib import Path

import pytest

from sartorius import __version__
from sartorius.utils.version import GitCommit, describe_version, git_commit


def git(folder: Path, *arguments: str) -> str:
    identity = ['-c', 'user.name=A Developer', '-c', 'user.email=a@b.invalid']
    done = subprocess.run(['git', '-C', folder, *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one file and one commit."""
    git(tmp_path, 'init', '--quiet')
    (tmp_path / 'file.txt').write_text('1\n')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '--quiet', '-m', 'One')
    git_commit.cache_clear()
    return tmp_path


def test_a_clean_checkout(checkout: Path) -> None:
    (checkout / 'untracked.txt').touch()
    assert git_commit(checkout) == GitCommit(git(checkout, 'rev-parse', 'HEAD'), dirty=False)


def test_a_changed_file_makes_it_dirty(checkout: Path) -> None:
    (checkout / 'file.txt').write_text('2\n')
    assert git_commit(checkout).dirty


def test_a_folder_inside_another_repository_has_no_commit(checkout: Path) -> None:
    (checkout / 'site-packages').mkdir()
    assert git_commit(checkout / 'site-packages') is None


def test_no_repository_no_commit_yet_or_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git_commit.cache_clear()
    assert git_commit(tmp_path) is None
    (tmp_path / 'empty').mkdir()
    git(tmp_path / 'empty', 'init', '--quiet')
    assert git_commit(tmp_path / 'empty') is None
    monkeypatch.setenv('PATH', str(tmp_path))
    assert git_commit(tmp_path / 'elsewhere') is None


@pytest.mark.parametrize(
    ('dirty', 'suffix'),
    [(False, '+g75aaa0e'), (True, '+g75aaa0e.dirty')],
)
def test_the_version_names_the_commit(dirty: bool, suffix: str) -> None:
    assert describe_version(GitCommit('75aaa0e' + 33 * '0', dirty)) == __version__ + suffix
