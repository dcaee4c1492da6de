"""The set-up: what it checks, the order of its steps, and the one sentence that each failure ends in."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from sartorius.check_env import locked_versions
from sartorius.utils.errors import InputError, UsageError

GB = 10**9


@pytest.fixture
def setup_env(repo_root: Path) -> ModuleType:
    """The module tools/setup/setup_env.py, new for each test."""
    spec = importlib.util.spec_from_file_location('setup_env_under_test', repo_root / 'tools/setup/setup_env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(repo_root: Path, tmp_path: Path) -> Path:
    """A checkout without .venv: the files that the set-up reads."""
    folder = tmp_path / 'checkout'
    shutil.copytree(repo_root / 'sartorius/utils', folder / 'sartorius/utils')
    shutil.copytree(repo_root / 'requirements', folder / 'requirements')
    for name in (
        'tools/setup/setup_env.sh',
        'tools/setup/setup_env.py',
        'tools/setup/wheelhouse.sh',
        'setup.py',
        'README.md',
        'Makefile',
        '.ci/run',
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repo_root / name, folder / name)
    for name in ('sartorius/__init__.py', 'sartorius/check_env.py'):
        shutil.copy(repo_root / name, folder / name)
    return folder


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH folder with what a shell script needs and no Python, to which tests add commands."""
    folder = tmp_path / 'commands'
    folder.mkdir()
    for name in ('sh', 'bash', 'dirname', 'realpath', 'sed', 'awk', 'make', 'nproc'):
        (folder / name).symlink_to(shutil.which(name))
    return folder


class Recorder:
    """Fake environment: records what would be run and returns prepared answers."""

    def __init__(self, module: ModuleType, folder: Path, ops: list[bool], wheelhouse: Path | None = None) -> None:
        self.folder, self.wheelhouse, self.ops = folder, wheelhouse, list(ops)
        self.python, self.log = folder / 'bin/python', folder / module.LOG
        self.cuda = ''
        self.calls: list[tuple[str, ...]] = []
        self.steps: list[tuple[str, ...]] = []

    def call(self, *arguments: str, capture: bool = True) -> subprocess.CompletedProcess[str]:
        self.calls.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, stdout=self.cuda, stderr='')

    def ops_work(self) -> bool:
        return self.ops.pop(0) if len(self.ops) > 1 else self.ops[0]

    def pip_install(self, what: str, *arguments: str, about: str = '') -> None:
        self.steps.append((what, *arguments))


def add_command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f'#!/bin/sh\n{script}\n')
    (folder / name).chmod(0o755)


def start(command: list[str | Path], path: Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    """Runs a command with ``path`` as its whole PATH."""
    return subprocess.run(
        command,
        env={'PATH': str(path), 'HOME': str(cwd), **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- which Python -----------------------------------------------------------------------------------------------------


def test_no_python_at_all_is_one_sentence(checkout: Path, commands: Path) -> None:
    done = start([checkout / 'tools/setup/setup_env.sh'], commands, checkout)
    assert done.returncode == 1
    assert done.stderr.count('\n') == 1
    assert 'python3 is missing' in done.stderr
    assert 'PYTHON=python3.11 make demo' in done.stderr


def test_an_unsuitable_python_is_named(checkout: Path, commands: Path) -> None:
    add_command(commands, 'python3', 'test "$1" = --version && echo Python 3.8.10; exit 0$((${#1} == 2))')
    done = start([checkout / 'tools/setup/setup_env.sh'], commands, checkout)
    assert done.returncode == 1
    assert 'python3 is Python 3.8.10 and no other was found' in done.stderr


def test_a_named_python_that_does_not_run(checkout: Path, commands: Path) -> None:
    done = start([checkout / 'tools/setup/setup_env.sh'], commands, checkout, PYTHON='python3.11')
    assert done.returncode == 1
    assert 'PYTHON=python3.11 is not a command that runs' in done.stderr


def test_another_python_is_found_when_python3_is_unsuitable(checkout: Path, commands: Path) -> None:
    add_command(commands, 'python3', 'exit 1')
    add_command(commands, 'python3.11', 'exit 127')
    add_command(commands, 'python3.12', f'exec {sys.executable} "$@"')
    done = start([checkout / 'tools/setup/setup_env.sh', '--help'], commands, checkout)
    assert done.returncode == 0
    assert '--wheelhouse DIR' in done.stdout


def test_an_environment_of_another_python_is_refused(setup_env: ModuleType, tmp_path: Path) -> None:
    (tmp_path / 'pyvenv.cfg').write_text('home = /usr/bin\nversion = 3.9.18\n')
    with pytest.raises(InputError, match=r'holds Python 3\.9, but Python 3\.1\d was asked for: remove it'):
        setup_env.check_same_python(setup_env.Environment(tmp_path))


@pytest.mark.parametrize('key', ['version', 'version_info'])
def test_an_environment_of_the_same_python_passes(setup_env: ModuleType, tmp_path: Path, key: str) -> None:
    (tmp_path / 'pyvenv.cfg').write_text(f'home = /usr/bin\n{key} = {setup_env.PYTHON_VERSION}.99\n')
    setup_env.check_same_python(setup_env.Environment(tmp_path))


# --- what the machine must have ---------------------------------------------------------------------------------------


def test_no_compiler_is_one_sentence(checkout: Path, commands: Path) -> None:
    add_command(commands, 'python3', f'exec {sys.executable} "$@"')
    done = start(['make', '--silent', 'test'], commands, checkout)
    assert done.returncode != 0
    sentences = [line for line in done.stderr.splitlines() if not line.startswith('make: ***')]
    assert len(sentences) == 1
    assert sentences[0].startswith('error: no C++ compiler (c++)')
    assert 'apt-get install g++' in sentences[0]
    assert not (checkout / '.venv').exists()


def test_missing_headers(setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('CXX', sys.executable)
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path))
    with pytest.raises(InputError, match=rf'apt-get install python{setup_env.PYTHON_VERSION}-dev'):
        setup_env.check_compiler()
    (tmp_path / 'Python.h').touch()
    setup_env.check_compiler()


def test_a_full_disk(setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda place: SimpleNamespace(free=2 * GB))
    with pytest.raises(InputError, match=r'needs about 6\.0 GB and the disk has 2\.0 GB free'):
        setup_env.check_disk(tmp_path / 'not/made/yet')


def test_what_is_there_already_counts_on_a_full_disk(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda place: SimpleNamespace(free=2 * GB))
    with open(tmp_path / 'torch.so', 'wb') as file:
        file.truncate(5 * GB)  # a sparse file takes no room
    setup_env.check_disk(tmp_path)


# --- why a step failed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('output', 'sentence'),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device: '/x'",
            'disk is full',
        ),
        ("NameResolutionError: Failed to resolve 'host' ([Errno -3] Temporary failure in name resolution)", 'network'),
        # Without network pip says this too, in the end; the network is what to fix.
        ('Max retries exceeded with url\nERROR: No matching distribution found for torch==2.13.0', 'network'),
        ('ERROR: No matching distribution found for torch==2.13.0', 'another Python'),
        ('c++: fatal error: Killed signal terminated program cc1plus', 'MAX_JOBS=1'),
        ('fatal error: Python.h: No such file or directory', 'python3-dev'),
        ('warning: x\nfoo.cpp:3:1: error: expected ;\nERROR: Failed', 'foo.cpp:3:1: error: expected ;'),
        ('', 'no reason given'),
    ],
)
def test_explain_failure(setup_env: ModuleType, output: str, sentence: str) -> None:
    explanation = setup_env.explain_failure('torch', output, Path('setup.log'))
    assert explanation.startswith('torch: ')
    assert sentence in explanation
    assert '\n' not in explanation


def test_pip_is_given_the_lock(setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = setup_env.Environment(tmp_path)
    commands = []
    monkeypatch.setattr(environment, 'run', lambda what, *arguments, about='': commands.append(arguments))
    environment.pip_install('torch', 'torch')
    (arguments,) = commands
    assert f'--constraint={setup_env.REQUIREMENTS / "lock.txt"}' in arguments


def test_pip_without_network(setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Nothing listens on port 9 of this machine.
    for name, value in {'INDEX_URL': 'http://127.0.0.1:9/', 'CONFIG_FILE': os.devnull, 'RETRIES': '1'}.items():
        monkeypatch.setenv(f'PIP_{name}', value)
    monkeypatch.delenv('PIP_FIND_LINKS', raising=False)
    environment = setup_env.Environment(tmp_path)
    environment.python = Path(sys.executable)
    with pytest.raises(InputError, match='^torch: pip cannot reach its package index: .*wheelhouse'):
        environment.pip_install(
            'torch', '--dry-run', '--ignore-installed', '-r', str(setup_env.REQUIREMENTS / 'torch.txt')
        )


def test_only_the_last_step_explains_a_failure(setup_env: ModuleType, tmp_path: Path) -> None:
    environment = setup_env.Environment(tmp_path)
    environment.python = Path(sys.executable)
    environment.run('first', '-c', 'print("Connection refused, once; pip tried again and went on")')
    with pytest.raises(InputError, match=r'second: failed \(error: lost\)'):
        environment.run('second', '-c', 'raise SystemExit("error: lost")')


def test_a_long_step_says_for_how_long(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(setup_env, 'SECONDS_BETWEEN_NOTES', 0.1)
    environment = setup_env.Environment(tmp_path)
    environment.python = Path(sys.executable)
    environment.run('compiling mmcv', '-c', 'import time; time.sleep(0.5)', about=' of about 11')
    assert '      compiling mmcv: 0.0 min of about 11\n' in capsys.readouterr().out


# --- the steps --------------------------------------------------------------------------------------------------------


def test_the_order_of_the_steps(setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setup_env, 'make_venv', lambda environment: None)
    environment = Recorder(setup_env, tmp_path, ops=[True])
    setup_env.set_up(environment)
    assert [step[0] for step in environment.steps] == [
        'torch',
        'build tools',
        'compiling mmcv',
        'the other packages',
        'this project',
    ]
    assert (tmp_path / setup_env.STAMP).read_text() == setup_env.fingerprint()


def test_ops_of_another_torch_are_compiled_again(setup_env: ModuleType, tmp_path: Path) -> None:
    environment = Recorder(setup_env, tmp_path, ops=[False, True])
    setup_env.install_mmcv(environment)
    first, second = environment.steps
    assert '--force-reinstall' not in first
    assert environment.calls[-1] == ('-m', 'pip', 'cache', 'remove', f'onedl_mmcv-{locked_versions()["onedl-mmcv"]}')
    assert {'--force-reinstall', '--no-deps', '--no-binary=onedl-mmcv'} <= set(second)


def test_ops_that_never_work_end_in_a_sentence(setup_env: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match='its ops do not work: .*check_env --only-ops'):
        setup_env.install_mmcv(Recorder(setup_env, tmp_path, ops=[False]))


def test_a_wheelhouse_for_another_machine_ends_in_a_sentence(setup_env: ModuleType, tmp_path: Path) -> None:
    environment = Recorder(setup_env, tmp_path, ops=[False], wheelhouse=tmp_path)
    with pytest.raises(InputError, match='its mmcv does not work here: pack it'):
        setup_env.install_mmcv(environment)
    assert len(environment.steps) == 1


def test_a_gpu_without_nvcc_ends_in_a_sentence_before_compiling(setup_env: ModuleType, tmp_path: Path) -> None:
    environment = Recorder(setup_env, tmp_path, ops=[False])
    environment.cuda = 'cuda \n'
    with pytest.raises(InputError, match='no CUDA compiler'):
        setup_env.install_mmcv(environment)
    assert not environment.steps


def test_an_interrupted_set_up_goes_on(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def interrupt(environment: object) -> None:
        raise KeyboardInterrupt

    recorder = Recorder(setup_env, tmp_path, ops=[True])
    monkeypatch.setattr(setup_env, 'Environment', lambda *arguments: recorder)
    monkeypatch.setattr(setup_env, 'make_venv', lambda environment: None)
    recorder.python.parent.mkdir()
    recorder.python.touch()
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(setup_env, 'install_mmcv', interrupt)
        setup_env.main([])
    assert stop.value.code == 130
    assert 'the same command continues' in capsys.readouterr().err
    assert not (tmp_path / setup_env.STAMP).exists()

    setup_env.main([])
    assert 'Set up in' in capsys.readouterr().out
    steps = len(recorder.steps)

    setup_env.main([])
    assert capsys.readouterr().out == ''
    assert len(recorder.steps) == steps

    setup_env.main(['--again'])
    assert len(recorder.steps) == steps + 5


@pytest.mark.parametrize('name', ['requirements/core.txt', 'requirements/lock.txt', 'setup.py'])
def test_a_changed_requirement_makes_the_set_up_stale(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, checkout: Path, name: str
) -> None:
    monkeypatch.setattr(setup_env, 'PROJECT_DIR', checkout)
    monkeypatch.setattr(setup_env, 'REQUIREMENTS', checkout / 'requirements')
    before = setup_env.fingerprint()
    assert before == setup_env.fingerprint()
    with open(checkout / name, 'a') as file:
        file.write('# changed\n')
    assert setup_env.fingerprint() != before


def test_a_second_set_up_waits(setup_env: ModuleType, capsys: pytest.CaptureFixture) -> None:
    entered = threading.Event()

    def second() -> None:
        with setup_env.only_one():
            entered.set()

    with setup_env.only_one():
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        assert not entered.is_set()
    thread.join(timeout=10)
    assert entered.is_set()
    assert 'waiting for another set-up' in capsys.readouterr().out


# --- pip in the environment -------------------------------------------------------------------------------------------


@pytest.fixture
def without_ensurepip(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Debian's Python without its venv package, and in notebook images."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'ensurepip' else find_spec(name))


@pytest.mark.usefixtures('without_ensurepip')
def test_without_ensurepip_the_sentence_names_the_package(setup_env: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf'apt-get install python{setup_env.PYTHON_VERSION}-venv'):
        setup_env.make_venv(setup_env.Environment(tmp_path / 'venv'))


@pytest.mark.slow
@pytest.mark.usefixtures('without_ensurepip')
def test_without_ensurepip_pip_comes_from_the_wheelhouse(setup_env: ModuleType, tmp_path: Path) -> None:
    bundled = Path(sysconfig.get_path('stdlib'), 'ensurepip/_bundled')
    for wheel in bundled.glob('pip-*.whl'):
        shutil.copy(wheel, tmp_path)
    environment = setup_env.Environment(tmp_path / 'venv', wheelhouse=tmp_path)
    setup_env.make_venv(environment)
    assert environment.call('-m', 'pip', '--version').returncode == 0


# --- the commands around it -------------------------------------------------------------------------------------------


def test_make_help_lists_every_target_and_sets_nothing_up(checkout: Path, commands: Path) -> None:
    done = start(['make'], commands, checkout)
    assert done.returncode == 0, done.stderr
    targets = re.findall(r'^([a-z-]+):', (checkout / 'Makefile').read_text(), re.MULTILINE)
    listed = re.findall(r'^  make ([a-z-]+) ', done.stdout, re.MULTILINE)
    assert listed == [target for target in targets if target != 'ready']


def test_ci_runs_the_tests_with_the_data_beside_the_clone(checkout: Path) -> None:
    (checkout / 'Makefile').write_text('test:\n\t@echo data: $(SARTORIUS_DATA)\n')
    # `make test` itself may be running this, and a make inside a make prints which folder it enters.
    dropped = {'SARTORIUS_DATA', 'MAKEFLAGS', 'MAKELEVEL', 'MFLAGS'}
    variables = {name: value for name, value in os.environ.items() if name not in dropped}

    def run_ci() -> str:
        done = subprocess.run([checkout / '.ci/run'], env=variables, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert run_ci() == 'data:'
    data = checkout.parent / 'shared/data/sartorius'
    data.mkdir(parents=True)
    assert run_ci() == f'data: {data}'
    variables['SARTORIUS_DATA'] = 'elsewhere'
    assert run_ci() == 'data: elsewhere'


@pytest.mark.parametrize('arguments', [[], ['pack'], ['unpack', 'x'], ['pack', 'x', 'y'], ['install', 'x', 'y', 'z']])
def test_wheelhouse_usage(checkout: Path, arguments: list[str]) -> None:
    done = subprocess.run([checkout / 'tools/setup/wheelhouse.sh', *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: tools/setup/wheelhouse.sh pack DIR')


def test_an_empty_wheelhouse(setup_env: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='no wheels in there; make some with tools/setup/wheelhouse.sh pack'):
        setup_env.main(['--venv', str(tmp_path / 'venv'), '--wheelhouse', str(tmp_path)])


def test_the_package_asks_for_the_core_layer_alone(checkout: Path) -> None:
    subprocess.run([sys.executable, 'setup.py', '--quiet', 'egg_info'], cwd=checkout, check=True)
    requires = (checkout / 'sartorius_cells.egg-info/requires.txt').read_text()
    core = dict(line.split('>=') for line in requires.split('\n\n')[0].splitlines())
    assert {'numpy', 'pandas', 'scipy', 'opencv-python'} <= core.keys()
    assert not [name for name in core if 'torch' in name or 'onedl' in name]
    assert '\n[mmdet]\nonedl-mmdetection>=' in requires


def package(name: str, *vulnerabilities: str) -> dict:
    return {'name': name, 'version': '1', 'vulns': [{'id': one, 'fix_versions': ['2']} for one in vulnerabilities]}


@pytest.mark.parametrize(
    ('packages', 'said'),
    [
        ([package('a'), package('b')], None),
        ([package('a'), package('b', 'CVE-1', 'CVE-2')], r'b 1: CVE-1, CVE-2; fixed in 2$'),
        ([package('a'), {'name': 'b', 'skip_reason': 'not found'}], 'no answer for 1 of 2 packages: b'),
        # pip-audit says "no known vulnerabilities" where its service knows no package at all.
        (
            [{'name': name, 'skip_reason': 'not found'} for name in 'ab'],
            'has not run: .* none of the 2 packages',
        ),
    ],
)
def test_an_audit_without_answers_is_none(packages: list[dict], said: str | None) -> None:
    from tools.setup.audit import judge

    answer = json.dumps({'dependencies': packages})
    if said is None:
        assert judge(answer, 'lock.txt') == 'no known vulnerabilities in the 2 packages of lock.txt'
    else:
        with pytest.raises(InputError, match=said):
            judge(answer, 'lock.txt')
