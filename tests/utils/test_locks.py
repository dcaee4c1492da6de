"""One process at a time in a folder, whatever becomes of the former one."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sartorius.utils import locks, pending
from sartorius.utils.errors import InputError
from sartorius.utils.locks import LOCK_NAME, lock_folder, try_lock
from sartorius.utils.pending import tidy

HOLD = """
import sys
from sartorius.utils.locks import lock_folder
with lock_folder(sys.argv[1], 'training'):
    print('in', flush=True)
    sys.stdin.read()
"""


def start_holder(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'in\n'
    return process


def test_a_second_process_is_refused_with_the_pid_of_the_first_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    with start_holder(out) as process:
        with pytest.raises(InputError, match=rf'another training .*\(process {process.pid} on \S+\); wait'):
            lock_folder(out, 'training').__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (out / LOCK_NAME).exists()
    tidy(out)
    assert not (out / LOCK_NAME).exists()
    with lock_folder(out):
        pending._tidied.clear()
        tidy(out)
        assert (out / LOCK_NAME).exists()
    with lock_folder(out), lock_folder(out):
        assert (out / LOCK_NAME).read_text().startswith(f'{os.getpid()} on ')
    assert not list(out.iterdir())


def test_a_folder_with_files_stays_and_a_new_empty_one_goes(tmp_path: Path) -> None:
    with lock_folder(tmp_path / 'a'):
        (tmp_path / 'a' / 'file').touch()
    with lock_folder(tmp_path / 'b'):
        pass
    with lock_folder(tmp_path / 'c' / 'd', beside=True):
        pass
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*')) == ['a', 'a/file']


def test_forked_children_do_not_keep_the_lock(tmp_path: Path) -> None:
    """As workers of a data loader do that outlive a killed training."""
    context = multiprocessing.get_context('fork')
    parent, child = context.Pipe()
    with lock_folder(tmp_path):
        process = context.Process(target=child.recv)
        process.start()
    with start_holder(tmp_path) as holder:
        holder.stdin.close()
    parent.send(None)
    process.join()


def test_a_lock_that_was_removed_while_another_waited_for_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, flock = tmp_path / LOCK_NAME, locks._flock

    def flock_of_a_removed_file(descriptor: int, shared: bool) -> bool:
        monkeypatch.setattr(locks, '_flock', flock)
        lock.unlink()
        return flock(descriptor, shared)

    monkeypatch.setattr(locks, '_flock', flock_of_a_removed_file)
    with lock_folder(tmp_path):
        assert lock.exists()


def test_a_folder_that_cannot_be_written_is_named_itself(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(OSError) as raised:
        lock_folder(tmp_path / 'file').__enter__()
    assert raised.value.filename == str(tmp_path / 'file')


def test_file_locks_are_shared_or_not_and_end_with_their_file(tmp_path: Path) -> None:
    first = try_lock(tmp_path / 'a.lock')
    assert try_lock(tmp_path / 'a.lock') is None
    first.close()
    with try_lock(tmp_path / 'a.lock', shared=True), try_lock(tmp_path / 'a.lock', shared=True):
        assert try_lock(tmp_path / 'a.lock') is None
