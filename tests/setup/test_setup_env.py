"""The set-up itself: what it checks, the order of its steps, and the one sentence that each failure ends in."""

import importlib.util
import os
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


# --- which Python -----------------------------------------------------------------------------------------------------


def test_an_environment_of_another_python_is_refused(setup_env: ModuleType, tmp_path: Path) -> None:
    (tmp_path / 'pyvenv.cfg').write_text('home = /usr/bin\nversion = 3.9.18\n')
    with pytest.raises(InputError, match=r'holds Python 3\.9, but Python 3\.1\d was asked for: remove it'):
        setup_env.check_same_python(setup_env.Environment(tmp_path))


@pytest.mark.parametrize('key', ['version', 'version_info'])
def test_an_environment_of_the_same_python_passes(setup_env: ModuleType, tmp_path: Path, key: str) -> None:
    (tmp_path / 'pyvenv.cfg').write_text(f'home = /usr/bin\n{key} = {setup_env.PYTHON_VERSION}.99\n')
    setup_env.check_same_python(setup_env.Environment(tmp_path))


# --- what the machine must have ---------------------------------------------------------------------------------------


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


def test_an_empty_wheelhouse(setup_env: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='no wheels in there; make some with tools/setup/wheelhouse.sh pack'):
        setup_env.main(['--venv', str(tmp_path / 'venv'), '--wheelhouse', str(tmp_path)])


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
