"""The set-up from the shell, where Python or a compiler is missing, and the commands around it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sartorius.utils.errors import InputError


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH folder with what a shell script needs and no Python, to which tests add commands."""
    folder = tmp_path / 'commands'
    folder.mkdir()
    for name in ('sh', 'bash', 'dirname', 'realpath', 'sed', 'awk', 'make', 'nproc'):
        (folder / name).symlink_to(shutil.which(name))
    return folder


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


# --- what the machine lacks -------------------------------------------------------------------------------------------


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


def test_no_compiler_is_one_sentence(checkout: Path, commands: Path) -> None:
    add_command(commands, 'python3', f'exec {sys.executable} "$@"')
    done = start(['make', '--silent', 'test'], commands, checkout)
    assert done.returncode != 0
    sentences = [line for line in done.stderr.splitlines() if not line.startswith('make: ***')]
    assert len(sentences) == 1
    assert sentences[0].startswith('error: no C++ compiler (c++)')
    assert 'apt-get install g++' in sentences[0]
    assert not (checkout / '.venv').exists()


# --- the commands around the set-up -----------------------------------------------------------------------------------


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
