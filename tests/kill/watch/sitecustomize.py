"""Watches what a process and its children do to one folder, and kills them all just before a chosen moment.

Its folder stands first in PYTHONPATH, so that every interpreter that a tool starts imports it; ``start.py`` does so in
forks. Nothing is imported from the project. The environment says what to do:

* ``KILL_ROOT``: the folder that is watched. Without it this module does nothing.
* ``KILL_COUNT``: file that grows by a byte for each event, whichever process it happens in.
* ``KILL_AT``: number of the event before which all ends, from 1; 0 for none.
* ``KILL_GROUP``: process group to kill beside the own process.
* ``KILL_LOG``: file that gets a JSON line for each event and each sync.
* ``KILL_KEEP``: folder on the same disk for what is replaced or removed, to bring it back; empty for none.

Events are Python's audit events, which no call of the standard library escapes: renames, links, removals, and files
that are opened to be written. Libraries in C that open files by themselves are seen when their file is renamed.
"""

import json
import os
import signal
import stat
import sys

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Position of the path that an event is about among its arguments, and of the folder that the path is relative to.
REMOVALS = {'os.remove': (0, 1), 'os.rmdir': (0, 1)}
MOVES = {'os.rename': ((0, 2), (1, 3)), 'os.link': ((0, 2), (1, 3))}


class Watcher:
    """The audit hook.

    Args:
        environment: What the module's text names.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.root = environment['KILL_ROOT']
        self.at = int(environment.get('KILL_AT', '0'))
        self.group = int(environment.get('KILL_GROUP', '0'))
        self.keep = environment.get('KILL_KEEP', '')
        self.count = os.open(environment['KILL_COUNT'], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.log = os.open(environment['KILL_LOG'], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.busy = False

    def __call__(self, event: str, args: tuple) -> None:
        """Counts an event of the folder; kills before the chosen one."""
        if self.busy or not (event == 'open' or event in REMOVALS or event in MOVES):
            return
        self.busy = True
        try:
            paths = self._paths(event, args)
            if any(map(self._is_watched, paths)):
                self._act(event, paths)
        finally:
            self.busy = False

    def _paths(self, event: str, args: tuple) -> list[str]:
        if event in MOVES:
            return [_absolute(args[at], args[folder]) for at, folder in MOVES[event]]
        if event in REMOVALS:
            at, folder = REMOVALS[event]
            return [_absolute(args[at], args[folder])]
        path, _, flags = args
        # A descriptor was opened before.
        return [_absolute(path)] if isinstance(flags, int) and flags & WRITING and not isinstance(path, int) else []

    def _is_watched(self, path: str) -> bool:
        return path == self.root or path.startswith(self.root + '/')

    def _act(self, event: str, paths: list[str]) -> None:
        os.write(self.count, b'.')
        number = os.lseek(self.count, 0, os.SEEK_CUR)
        entry = {'number': number, 'event': event, 'paths': paths}
        if number == self.at:
            self.write(entry | {'event': 'kill', 'before': event})
            if self.group:
                os.killpg(self.group, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.keep and event in ('os.rename', 'os.remove') and _is_file(paths[-1]):
            entry['kept'] = f'{self.keep}/{number}'
            os.link(paths[-1], entry['kept'])
        self.write(entry)

    def write(self, entry: dict) -> None:
        """Appends a line to the log."""
        os.write(self.log, json.dumps(entry).encode() + b'\n')

    def after_sync(self, descriptor: int) -> None:
        """Notes what is on the disk now."""
        state = os.fstat(descriptor)
        path = os.readlink(f'/proc/self/fd/{descriptor}')
        self.write({'event': 'sync', 'paths': [path], 'state': [state.st_ino, state.st_size, state.st_mtime_ns]})


def _absolute(path: str | bytes | os.PathLike, folder: int | None = None) -> str:
    path = os.fsdecode(path)
    if isinstance(folder, int) and folder >= 0 and not path.startswith('/'):
        path = os.path.join(os.readlink(f'/proc/self/fd/{folder}'), path)
    return os.path.abspath(path)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def install() -> None:
    """Starts to watch as the environment says."""
    if not os.environ.get('KILL_ROOT'):
        return
    watcher = Watcher(dict(os.environ))
    sync = os.fsync

    def watched_sync(file: int) -> None:
        sync(file)
        watcher.after_sync(file if isinstance(file, int) else file.fileno())

    os.fsync = os.fdatasync = watched_sync
    sys.addaudithook(watcher)


install()
