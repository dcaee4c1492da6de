"""Creates the environment that the project runs in, or completes one that was interrupted.

Started by tools/setup/setup_env.sh from the top of the checkout. Uses the standard library alone, as nothing else is
installed yet. Every pip step has requirements/lock.txt as a constraint, so no step installs what a later one replaces.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sartorius.utils.cli import EXIT_INTERRUPTED, make_parser, run_tool
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import write_text
from sartorius.utils.paths import PROJECT_DIR, display_path

PYTHON_VERSION = f'{sys.version_info.major}.{sys.version_info.minor}'
REQUIREMENTS = PROJECT_DIR / 'requirements'
STAMP = 'sartorius-setup.txt'
LOG = 'setup.log'

# Measured with torch's CPU build: 2.1 GB at the end. The CUDA build that pip takes by default is larger.
NEEDED_GB = 6.0
MIN_GB = 0.5
# Measured: 9 to 19 minutes on 2 cores of two machines, for the CPU ops.
MMCV_CORE_MINUTES = (18, 38)
MEMORY_PER_JOB_GB = 2
SECONDS_BETWEEN_NOTES = 30

# Prints whether mmcv would be compiled for CUDA, and where nvcc is, by the rule of mmcv's own setup.py.
CUDA_QUESTION = """
import os, torch
from torch.utils.cpp_extension import CUDA_HOME
if torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1':
    print('cuda', CUDA_HOME or '')
"""

# Messages of pip or a compiler, and the sentence that helps. The first match counts.
EXPLANATIONS = (
    (r'No space left on device', 'the disk is full: free some space'),
    (
        r'Temporary failure in name resolution|Name or service not known|Network is unreachable|Connection refused|'
        r'Connection reset|timed out|NewConnectionError|ProxyError|Max retries exceeded',
        'pip cannot reach its package index: connect this machine to the network, or install from a wheelhouse '
        '(see docs/install.md)',
    ),
    (
        r'Killed signal terminated program|cannot allocate memory|virtual memory exhausted',
        'the compiler ran out of memory: compile fewer files at a time with MAX_JOBS=1',
    ),
    (
        r'No matching distribution found|ResolutionImpossible|is not a supported wheel',
        'there is no wheel for this Python and Linux: name another Python from 3.11 to 3.13, as in PYTHON=python3.11, '
        'or pack the wheelhouse with this one',
    ),
    (r'Python\.h: No such file', "Python's headers are missing: install them (apt-get install python3-dev)"),
)


class Environment:
    """The virtual environment that is being set up.

    Attributes:
        folder: Its folder, an absolute path.
        python: Its interpreter.
        wheelhouse: Folder of wheels to install from without network, or None.
        log: File that takes the output of pip and the compiler.
    """

    def __init__(self, folder: Path, wheelhouse: Path | None = None) -> None:
        self.folder = folder
        self.python = folder / 'bin/python'
        self.wheelhouse = wheelhouse
        self.log = folder / LOG

    def call(self, *arguments: str, capture: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs its interpreter and waits; the exit code is 127 where there is none.

        Args:
            *arguments: Arguments of the interpreter.
            capture: Whether to keep the output instead of showing it on the terminal.
        """
        try:
            return subprocess.run([self.python, *arguments], **self._options(), capture_output=capture, text=True)
        except OSError:
            return subprocess.CompletedProcess(arguments, 127, stdout='', stderr='')

    def ops_work(self) -> bool:
        """Whether mmcv's compiled ops load and give the right answers."""
        return self.call('-m', 'sartorius.check_env', '--only-ops').returncode == 0

    def run(self, what: str, *arguments: str, about: str = '') -> None:
        """Runs its interpreter with the output going to the log, and prints the time taken every half minute.

        Args:
            what: Name of the step in messages.
            *arguments: Arguments of the interpreter.
            about: How long the step takes as a rule, printed after the time taken.

        Raises:
            InputError: It failed; the message is one sentence with what to do.
        """
        start = time.monotonic()
        with open(self.log, 'a+b') as log:
            log.write(f'\n$ python {" ".join(arguments)}\n'.encode())
            log.flush()
            output_start = log.tell()
            process = subprocess.Popen(
                [self.python, *arguments],
                **self._options(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                while (code := _wait(process)) is None:
                    print(f'      {what}: {(time.monotonic() - start) / 60:.1f} min{about}', flush=True)
            finally:
                if process.poll() is None:
                    # pip, the build and its compilers: otherwise they would continue in the environment.
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait()
            if code != 0:
                # The output alone: the command line above it may hold words that look like an error.
                log.seek(output_start)
                raise InputError(explain_failure(what, log.read().decode(errors='replace'), self.log))

    def pip_install(self, what: str, *arguments: str, about: str = '') -> None:
        """Installs at the locked versions, from the wheelhouse if there is one."""
        source = [] if self.wheelhouse is None else ['--no-index', f'--find-links={self.wheelhouse}']
        lock = f'--constraint={REQUIREMENTS / "lock.txt"}'
        self.run(what, '-m', 'pip', 'install', '--no-build-isolation', lock, *source, *arguments, about=about)

    def _options(self) -> dict[str, object]:
        """Options of :mod:`subprocess` that all its processes share."""
        variables = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'PYTHONHOME')}
        variables |= {
            # torch compiles one file after the other unless it finds ninja on the PATH.
            'PATH': f'{self.python.parent}{os.pathsep}{os.environ.get("PATH", "")}',
            'PIP_DISABLE_PIP_VERSION_CHECK': '1',
            'PIP_NO_INPUT': '1',
            'MMCV_WITH_OPS': '1',
            'MAX_JOBS': str(compile_jobs()),
        }
        return {'stdin': subprocess.DEVNULL, 'cwd': PROJECT_DIR, 'env': variables}


def compile_jobs() -> int:
    """Number of files to compile at a time: MAX_JOBS if set, else as many as cores and memory allow."""
    if os.environ.get('MAX_JOBS', '').isdigit():
        return max(1, int(os.environ['MAX_JOBS']))
    memory_gb = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9
    return max(1, min(len(os.sched_getaffinity(0)), int(memory_gb / MEMORY_PER_JOB_GB)))


def explain_failure(what: str, output: str, log: Path) -> str:
    """One sentence on why a step failed and what to do, from what it printed."""
    for pattern, explanation in EXPLANATIONS:
        if re.search(pattern, output, re.IGNORECASE):
            return f'{what}: {explanation}; then run the same command again'
    errors = re.findall(r'^.*\berror:.*$', output, re.IGNORECASE | re.MULTILINE)
    reason = errors[0].strip() if errors else 'no reason given'
    return f'{what}: failed ({reason}); the whole output is in {display_path(log)}'


def fingerprint() -> str:
    """Text that changes when a set-up has to be repeated: requirements, Python, folder of the checkout."""
    digest = hashlib.sha256()
    for path in [*sorted(REQUIREMENTS.glob('*.txt')), PROJECT_DIR / 'setup.py']:
        digest.update(path.read_bytes())
    return (
        f'requirements {digest.hexdigest()}\n'
        f'python {platform.python_version()}\n'
        f'checkout {PROJECT_DIR}\n'
        f'FORCE_CUDA {os.environ.get("FORCE_CUDA", "0")}\n'
    )


def is_ready(environment: Environment) -> bool:
    """Whether a set-up was completed here for this very fingerprint."""
    stamp = environment.folder / STAMP
    return stamp.is_file() and stamp.read_text(encoding='utf-8') == fingerprint() and environment.python.exists()


def check_same_python(environment: Environment) -> None:
    """Refuses to mix two Python versions in one environment."""
    config = environment.folder / 'pyvenv.cfg'
    if not config.is_file():
        return
    version = re.search(r'^version\w*\s*=\s*(\d+\.\d+)', config.read_text(encoding='utf-8'), re.MULTILINE)
    if version and version.group(1) != PYTHON_VERSION:
        folder = display_path(environment.folder)
        raise InputError(
            f'{folder} holds Python {version.group(1)}, but Python {PYTHON_VERSION} was asked for: remove it '
            f'(rm -r {folder}), then run the same command again'
        )


def check_disk(folder: Path) -> None:
    """Refuses to start on a disk that will be full before the end; what is already installed is subtracted."""
    present_gb = sum(path.lstat().st_size for path in folder.rglob('*')) / 1e9
    needed_gb = max(MIN_GB, NEEDED_GB - present_gb)
    existing = next(parent for parent in [folder, *folder.parents] if parent.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < needed_gb:
        raise InputError(
            f'{display_path(folder)}: the set-up needs about {needed_gb:.1f} GB and the disk has {free_gb:.1f} GB '
            'free: make room, then run the same command again'
        )


def check_compiler() -> None:
    """Refuses to start where mmcv's ops could not be compiled at the end of a long download."""
    compiler = os.environ.get('CXX', 'c++')
    if shutil.which(compiler) is None:
        raise InputError(
            f"no C++ compiler ({compiler}), which mmcv's ops need: install one (Debian, Ubuntu: apt-get install g++; "
            'Fedora: dnf install gcc-c++), then run the same command again'
        )
    if not Path(sysconfig.get_path('include'), 'Python.h').is_file():
        raise InputError(
            f"the headers of Python {PYTHON_VERSION} are missing, which mmcv's ops need: install them (Debian, Ubuntu: "
            f'apt-get install python{PYTHON_VERSION}-dev), then run the same command again'
        )


def make_venv(environment: Environment) -> None:
    """Creates the virtual environment with pip in it, unless it exists and works."""
    if environment.call('-c', '').returncode != 0:
        venv.create(environment.folder, clear=True, symlinks=True, with_pip=False)
    if environment.call('-m', 'pip', '--version').returncode == 0:
        return
    if importlib.util.find_spec('ensurepip') is not None:
        environment.run('pip', '-m', 'ensurepip')
        return
    # Debian and notebook images lack ensurepip; a wheel of pip can be run to install itself.
    wheels = [] if environment.wheelhouse is None else sorted(environment.wheelhouse.glob('pip-*.whl'))
    if not wheels:
        raise InputError(
            f'Python {PYTHON_VERSION} comes without ensurepip here: install it (Debian, Ubuntu: apt-get install '
            f'python{PYTHON_VERSION}-venv), then run the same command again'
        )
    environment.run('pip', f'{wheels[-1]}/pip', 'install', '--no-index', str(wheels[-1]))


def install_mmcv(environment: Environment) -> None:
    """Installs mmcv and makes sure that its ops work with the installed torch.

    pip's cached wheel of mmcv does not record for which torch, or whether for CUDA, it was compiled. So the ops are
    run, and when they do not work, that wheel is removed and mmcv compiled again.
    """
    requirement = f'--requirement={REQUIREMENTS / "mmcv.txt"}'
    if environment.wheelhouse is not None:
        environment.pip_install('mmcv', requirement)
        if not environment.ops_work():
            raise InputError(
                f"{environment.wheelhouse}: its mmcv does not work here: pack it on a machine with this one's Python, "
                'Linux and GPU (tools/setup/wheelhouse.sh pack)'
            )
        return
    cuda, _, nvcc = environment.call('-c', CUDA_QUESTION).stdout.strip().partition(' ')
    if cuda and not nvcc and not environment.ops_work():
        raise InputError(
            "there is a GPU but no CUDA compiler (nvcc) for mmcv's ops: install the CUDA toolkit of torch's CUDA "
            'version and set CUDA_HOME, or use the CPU alone: CUDA_VISIBLE_DEVICES= make setup'
        )
    minutes = ' to '.join(str(max(1, round(minutes / compile_jobs()))) for minutes in MMCV_CORE_MINUTES)
    about = ', with its CUDA ops longer than the CPU ops alone' if cuda else f' of {minutes}'
    print(f'      its ops are compiled (CPU ops: {minutes} min here), unless pip has cached the wheel', flush=True)
    environment.pip_install('compiling mmcv', requirement, about=about)
    if environment.ops_work():
        return
    print('      the wheel in the cache of pip was compiled for another torch: compiling it again', flush=True)
    locked = re.search(r'^onedl-mmcv==(\S+)', (REQUIREMENTS / 'lock.txt').read_text(encoding='utf-8'), re.MULTILINE)
    environment.call('-m', 'pip', 'cache', 'remove', f'onedl_mmcv-{locked.group(1)}')
    again = ('--force-reinstall', '--no-deps', '--no-binary=onedl-mmcv')
    environment.pip_install('compiling mmcv', *again, requirement, about=about)
    if not environment.ops_work():
        raise InputError(
            f'mmcv was compiled but its ops do not work: `{environment.python} -m sartorius.check_env --only-ops` '
            f'says why, and {display_path(environment.log)} holds the output of the compiler'
        )


def set_up(environment: Environment) -> None:
    """Runs all steps; completed ones take a moment. The stamp is written last, so only a complete set-up counts."""
    start = time.monotonic()
    (environment.folder / STAMP).unlink(missing_ok=True)
    environment.log.unlink(missing_ok=True)
    check_disk(environment.folder)
    if environment.wheelhouse is None and not environment.ops_work():
        check_compiler()
    print(
        f'Setting up {display_path(environment.folder)} with Python {platform.python_version()}; the output of pip and '
        f'the compiler goes to {display_path(environment.log)}',
        flush=True,
    )
    make_venv(environment)
    # torch first, as mmcv compiles against it; then what compiles it; the rest in one step.
    print('[1/5] torch', flush=True)
    environment.pip_install('torch', f'--requirement={REQUIREMENTS / "torch.txt"}')
    print('[2/5] build tools', flush=True)
    environment.pip_install('build tools', f'--requirement={REQUIREMENTS / "build.txt"}')
    print('[3/5] mmcv', flush=True)
    install_mmcv(environment)
    print('[4/5] the other packages', flush=True)
    others = ('core.txt', 'mmdet.txt', 'workflow.txt', 'tests.txt')
    environment.pip_install('the other packages', *(f'--requirement={REQUIREMENTS / name}' for name in others))
    print('[5/5] this project', flush=True)
    environment.pip_install('this project', '--editable', str(PROJECT_DIR))
    if environment.call('-m', 'sartorius.check_env', capture=False).returncode != 0:
        raise InputError('everything is installed but something does not work: the lines above say what to do')
    write_text(environment.folder / STAMP, fingerprint())
    print(f'Set up in {(time.monotonic() - start) / 60:.1f} min.', flush=True)


@contextmanager
def only_one() -> Iterator[None]:
    """Makes a second set-up of this checkout wait: two pips at work in one environment spoil it."""
    handle = os.open(REQUIREMENTS, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('waiting for another set-up of this checkout to end', flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what is missing of the set-up; nothing, and silently, when it is complete."""
    parser = make_parser(__doc__.splitlines()[0], 'tools/setup/setup_env.sh')
    parser.add_argument('--venv', type=Path, default=PROJECT_DIR / '.venv', metavar='DIR', help='the environment')
    parser.add_argument(
        '--wheelhouse', type=Path, metavar='DIR', help='install from the wheels in DIR, without network'
    )
    parser.add_argument('--again', action='store_true', help='run all steps even if the set-up is complete')
    args = parser.parse_args(argv)
    if args.wheelhouse is not None and not any(args.wheelhouse.glob('*.whl')):
        raise UsageError(f'{args.wheelhouse}: no wheels in there; make some with tools/setup/wheelhouse.sh pack')
    environment = Environment(args.venv.absolute(), args.wheelhouse and args.wheelhouse.resolve())
    check_same_python(environment)
    if is_ready(environment) and not args.again:
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with only_one():
            # Another set-up may have completed the work while this one waited.
            if args.again or not is_ready(environment):
                set_up(environment)
    except KeyboardInterrupt:
        print('\ninterrupted: the same command continues with what is missing', file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _wait(process: subprocess.Popen) -> int | None:
    """Exit code, or None when the process still runs after half a minute."""
    try:
        return process.wait(timeout=SECONDS_BETWEEN_NOTES)
    except subprocess.TimeoutExpired:
        return None


if __name__ == '__main__':
    run_tool(main)
