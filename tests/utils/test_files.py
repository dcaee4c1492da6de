"""Writing: whole files, sets that appear together wherever the writer is killed, and nothing left of killed runs."""

import ast
import errno
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sartorius.utils import pending
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path, file_set, files_below, replaced_folder, staged_folder, write_text
from sartorius.utils.input_files import check_regular
from sartorius.utils.pending import JOURNAL, finish_pending, tidy

CALLS = ('replace', 'rename', 'unlink', 'rmdir', 'mkdir', 'open', 'fsync')


def kill_at(number: int, work: Callable[[], None]) -> bool:
    """Runs ``work`` in a child that is ended, without any clean-up, before its file-system call of a number.

    Returns:
        Whether it was ended, and not through before.
    """
    child = os.fork()
    if not child:
        count = 0

        def watch(name: str, original: Callable) -> Callable:
            def replacement(*args, **kwargs):
                nonlocal count
                count += 1
                if count == number:
                    os._exit(1)
                return original(*args, **kwargs)

            return replacement

        try:
            # A kill needs no disk to be waited for.
            os.fsync = lambda handle: None
            for name in CALLS:
                setattr(os, name, watch(name, getattr(os, name)))
            pending._exchange = watch('exchange', pending._exchange)
            work()
            os._exit(0)
        except BaseException:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1), 'the writer failed'
    return code == 1


def content(folder: Path) -> dict[str, str]:
    """All files below a folder, hidden ones too, with their text."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob('*')) if path.is_file()
    }


def make_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def all_kills(tmp_path: Path, old: dict[str, str], work: Callable[[Path], None], check: Callable[[Path], None]) -> int:
    """Kills a writer at every point, in a folder with old files each time; returns the number of points."""
    number, ended = 0, True
    while ended:
        number += 1
        root = tmp_path / str(number)
        make_files(root, old)
        ended = kill_at(number, lambda root=root: work(root))
        check(root)
    return number - 1


# Temporary files, and the lock of the folder.
HIDDEN = re.compile(r'(.*/)?\.(p|sartorius)')
OLD = {'a': 'old a', 'b': 'old b', 'stale': 'old', 'foreign': 'kept', 'other/c': 'old c'}
NEW = {'a': 'new a', 'b': 'new b', 'new': 'new', 'foreign': 'kept', 'other/c': 'new c'}


def write_set(root: Path) -> None:
    with file_set():
        with staged_folder(root, stale=lambda name: name in ('a', 'b', 'stale')) as stage:
            (stage / 'a').write_text('new a')
            write_text(stage / 'b', 'new b')
        write_text(root / 'new', 'new')
        write_text(root / 'other' / 'c', 'new c')


def test_a_set_in_two_folders_is_all_old_or_all_new_wherever_it_is_killed(tmp_path: Path) -> None:
    seen = set()

    def check(root: Path) -> None:
        # Whichever of the two is opened, or if both are listed.
        if int(root.name) % 3:
            finish_pending(root if int(root.name) % 3 == 1 else root / 'other')
        else:
            assert [path.relative_to(root).as_posix() for path in files_below(root)] in (sorted(OLD), sorted(NEW))
        visible = {name: text for name, text in content(root).items() if not HIDDEN.match(name)}
        assert visible in (OLD, NEW)
        seen.add(visible == NEW)
        # The next writer takes what is left.
        pending._tidied.clear()
        tidy(root), tidy(root / 'other')
        assert content(root) == visible
        assert not list(root.rglob('.*'))

    assert all_kills(tmp_path, OLD, write_set, check) > 20
    assert seen == {True, False}


@pytest.mark.parametrize('exchange', [True, False])
def test_a_replaced_folder_is_the_old_or_the_new_one(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setattr(pending, '_exchange', lambda *_: False)

    def work(root: Path) -> None:
        with replaced_folder(root / 'data') as new:
            (new / 'sub').mkdir()
            (new / 'sub' / 'b').write_text('new')

    def check(root: Path) -> None:
        # A reader of a file in the folder.
        finish_pending(root / 'data' / 'sub')
        assert content(root / 'data') in whole
        pending._tidied.clear()
        tidy(root)
        assert os.listdir(root) == ['data']
        assert content(root / 'data') in whole

    whole = {'a': 'old', 'sub/b': 'old'}, {'sub/b': 'new'}

    assert all_kills(tmp_path, {'data/a': 'old', 'data/sub/b': 'old'}, work, check) > 8


def test_nothing_gets_a_name_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, renamed = set(), []
    fsync, replace = os.fsync, os.replace

    def record_sync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        fsync(handle)

    def record_name(source: Path, target: Path) -> None:
        renamed.append(Path(target).name)
        assert os.stat(source).st_ino in synced, target
        replace(source, target)
        synced.discard(os.stat(Path(target).parent).st_ino)

    monkeypatch.setattr(os, 'fsync', record_sync)
    monkeypatch.setattr(os, 'replace', record_name)
    write_text(tmp_path / 'one', 'text')
    write_set(tmp_path)
    assert {'one', 'a', 'b', 'new', 'c', JOURNAL} == set(renamed)
    assert {os.stat(tmp_path).st_ino, os.stat(tmp_path / 'other').st_ino} <= synced


def test_a_failed_set_leaves_everything_as_it_was(tmp_path: Path) -> None:
    make_files(tmp_path, OLD)
    with pytest.raises(InputError), file_set() as files:
        write_text(tmp_path / 'a', 'new a')
        files.remove(tmp_path / 'stale')
        assert files.staged(tmp_path / 'a').read_text() == 'new a'
        raise InputError('no')
    assert content(tmp_path) == OLD


def test_a_file_that_failed_within_a_set_is_not_part_of_it(tmp_path: Path) -> None:
    with file_set():
        write_text(tmp_path / 'good', 'good')
        with pytest.raises(InputError), atomic_path(tmp_path / 'torn') as temporary:
            temporary.write_text('to')
            raise InputError('no')
    assert content(tmp_path) == {'good': 'good'}


def test_litter_of_a_living_run_stays(tmp_path: Path) -> None:
    code = (
        'import sys; from sartorius.utils.files import atomic_path, staged_folder\n'
        'with atomic_path(sys.argv[1] + "/a"), staged_folder(sys.argv[1]): print("here", flush=True); input()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        assert len(os.listdir(tmp_path)) == 3
        (tmp_path / '.partial-foreign').touch()
        tidy(tmp_path)
        assert len(os.listdir(tmp_path)) == 4
        writer.kill()
    pending._tidied.clear()
    tidy(tmp_path)
    assert os.listdir(tmp_path) == ['.partial-foreign']


def test_two_writers_of_a_set_leave_that_of_one(tmp_path: Path) -> None:
    def write(text: str) -> None:
        for _ in range(20):
            with file_set():
                for name in 'abc':
                    write_text(tmp_path / name, text)

    threads = [threading.Thread(target=write, args=(text,)) for text in 'xy']
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(tmp_path) in (dict.fromkeys('abc', text) for text in 'xy')


def write_journal(place: Path, /, **values: object) -> None:
    entries = {'set': '1', 'stage': '', 'remove': [], 'folder': [], 'main': '', 'others': []}
    (place / JOURNAL).write_text(json.dumps(entries | values))


def test_a_journal_of_a_stranger_reaches_no_other_folder(tmp_path: Path) -> None:
    data, home = tmp_path / 'data', tmp_path / 'home'
    for folder in (data, home):
        folder.mkdir()
    (home / 'thesis').write_text('mine')
    (data / '.partial-0123456789ab').symlink_to(home)
    for hostile in (
        {'remove': ['../home/thesis']},
        {'remove': [str(home / 'thesis')]},
        {'stage': '../home'},
        {'stage': '.partial-0123456789ab'},
        {'folder': ['.partial-0123456789ab', 'x']},
        {'folder': ['.partial-0123456789ab']},
        {'stage': 5, 'remove': 7},
    ):
        write_journal(data, **hostile)
        with pytest.raises(InputError, match='remove it'):
            finish_pending(data)
    for text in ('', '[]', '[' * 100_000, 'null'):
        (data / JOURNAL).write_text(text)
        with pytest.raises(InputError, match='remove it'):
            finish_pending(data)
    (data / JOURNAL).unlink()
    os.mkfifo(tmp_path / 'pipe')
    write_journal(data, others=['../pipe', '../home'])
    finish_pending(data)
    os.mkfifo(data / JOURNAL)
    with pytest.raises(InputError, match='remove it'):
        finish_pending(data)
    assert content(home) == {'thesis': 'mine'}


def test_a_pending_set_in_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_journal(tmp_path, remove=['a'])

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, 'Read-only file system')

    monkeypatch.setattr(os, 'unlink', refuse)
    with pytest.raises(InputError, match='a run was killed while it replaced files here'):
        check_regular(tmp_path / 'b')


@pytest.mark.parametrize('call', ['open', 'replace', 'fsync', 'write'])
def test_errors_of_the_disk_name_the_file_that_is_meant(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: object, *_: object, **__: object) -> None:
        place = None if call in ('fsync', 'write') else str(path)
        raise OSError(errno.ENOSPC, 'No space left on device', place)

    def write_one() -> None:
        with atomic_path(tmp_path / 'out' / 'a.csv'):
            if call == 'write':
                fail('')

    def write_staged() -> None:
        with staged_folder(tmp_path / 'out') as stage, atomic_path(stage / 'a.csv') as temporary:
            (temporary if call == 'write' else stage / 'b.csv').write_text('')
            if call == 'write':
                fail('')

    def write_folder() -> None:
        with replaced_folder(tmp_path / 'out') as new:
            (new / 'a.csv').write_text('')

    def write_files() -> None:
        with file_set():
            write_text(tmp_path / 'out' / 'a.csv', '')

    tmp_path.joinpath('out').mkdir()
    tidy(tmp_path / 'out')
    for write in (write_one, write_staged, write_files, *([write_folder] if call == 'fsync' else [])):
        with monkeypatch.context() as patch, pytest.raises(OSError) as error:
            if call != 'write':
                patch.setattr(os, call, fail)
            elif write == write_files:
                patch.setattr(Path, 'write_text', fail)
            write()
        assert str(error.value.filename).startswith(str(tmp_path / 'out')), write
        assert '.p' not in str(error.value), write
    assert content(tmp_path) == {}


def test_nobody_else_renames_files(repo_root: Path) -> None:
    """So that every writer waits for the disk, and cleans up behind killed ones, without knowing."""
    # A file within its stage, and one that is on the disk already.
    own = {'utils/files.py', 'utils/pending.py', 'engine/publishing.py', 'workflow/records.py'}
    found = {
        path.relative_to(repo_root / folder).as_posix()
        for folder in ('sartorius', 'tools')
        for path in (repo_root / folder).rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Attribute)
        and (node.attr in ('rename', 'renames') or ast.unparse(node) in ('os.replace', 'shutil.move'))
    }
    assert found == own
