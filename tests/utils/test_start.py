"""Start and end of a tool's process: another locale, another checkout, no home, nobody who reads the output."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sartorius.utils import start
from sartorius.utils.cli import EXIT_CLOSED_PIPE, EXIT_FAILURE

TOOL = """
import sys
from sartorius.utils.cli import run_tool
def main():
    {}
if __name__ == '__main__':
    run_tool(main, 'go on')
"""


def write_tool(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TOOL.format(body), encoding='utf-8')
    return path


def run(tool: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    # Output of a pipe is buffered, as users have it.
    clean = {name: value for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'}
    return subprocess.run(
        [sys.executable, str(tool), *words], capture_output=True, env={**clean, **environment}, encoding='utf-8'
    )


def test_text_and_file_names_are_utf8_in_the_c_locale(tmp_path: Path) -> None:
    tool = write_tool(
        tmp_path / 'Zellkültur–細胞' / 'tool.py', "open(sys.argv[1] + '/é', 'w').close(); print(__file__, 'µ')"
    )
    done = run(tool, str(tool.parent), LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    assert (done.stdout, done.stderr) == (f'{tool} µ\n', '')
    assert (tool.parent / 'é').exists()


def test_idle_threads_of_torch_spin_briefly_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('GOMP_SPINCOUNT', raising=False)
    tool = write_tool(tmp_path / 'tool.py', 'import torch')
    # libgomp prints its settings when it is loaded.
    for count, environment in (('3000', {}), ('70', {'GOMP_SPINCOUNT': '70'})):
        done = run(tool, OMP_DISPLAY_ENV='verbose', **environment)
        assert f"GOMP_SPINCOUNT = '{count}'" in done.stderr


def test_a_tool_runs_the_code_of_its_own_checkout(repo_root: Path, tmp_path: Path) -> None:
    """The path names another one first, as an installation of that one would."""
    own = tmp_path / 'second'
    shutil.copytree(
        repo_root / 'sartorius/utils', own / 'sartorius/utils', ignore=shutil.ignore_patterns('__pycache__')
    )
    (own / 'sartorius/__init__.py').touch()
    (own / 'setup.py').touch()
    tool = write_tool(own / 'tools/tool.py', 'import sartorius; print(sartorius.__file__, sys.argv[1:])')
    done = run(tool, 'word', PYTHONPATH=str(repo_root))
    assert done.stdout == f"{own / 'sartorius/__init__.py'} ['word']\n", done.stderr
    # Where that is not possible it says so.
    done = subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path[0] = {str(repo_root)!r}\nimport runpy\n'
         f'runpy.run_path({str(tool)!r}, run_name="__main__")'],
        env={**os.environ, 'PYTHONPATH': str(own)}, capture_output=True, encoding='utf-8',
    )  # fmt: skip
    assert f'warning: {tool} runs the code of {repo_root}, not of {own}\n' == done.stderr


def test_the_command_says_where_another_checkout_is(
    repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ('setup.py', 'tools/tool.py', 'sartorius/__init__.py'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    for folder, expected in ((repo_root, ''), (tmp_path / 'tools', f'the code of {repo_root}, not that of {tmp_path}')):
        monkeypatch.chdir(folder)
        start.warn_of_another_checkout('sartorius predict')
        said = capsys.readouterr().err
        assert expected in said and bool(said) == bool(expected)


@pytest.mark.parametrize(
    'body',
    [
        'for number in range(10**6): print(number)',
        'print(1)',
        "import logging; logging.basicConfig(stream=sys.stdout); [logging.error('x') for _ in range(10**6)]",
    ],
    ids=['full buffer', 'flushed at the end', 'logged'],
)
def test_a_closed_pipe_ends_a_tool_in_one_sentence(tmp_path: Path, body: str) -> None:
    tool, (reader, writer) = write_tool(tmp_path / 'tool.py', body), os.pipe()
    os.close(reader)
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'}
    with open(writer, 'wb') as pipe:
        done = subprocess.run([sys.executable, str(tool)], stdout=pipe, stderr=subprocess.PIPE, env=environment)
    assert done.stderr == b'error: the output was closed before the end, as by head; go on\n'
    assert done.returncode == EXIT_CLOSED_PIPE


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_a_full_disk_below_the_output_is_one_sentence(tmp_path: Path) -> None:
    tool = write_tool(tmp_path / 'tool.py', 'print(1)')
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'}
    with open('/dev/full', 'wb') as full:
        done = subprocess.run([sys.executable, str(tool)], stdout=full, stderr=subprocess.PIPE, env=environment)
    assert done.stderr.startswith(b'error: no space left on the disk') and done.stderr.count(b'\n') == 1
    assert done.returncode == EXIT_FAILURE


def test_caches_go_to_a_private_folder_where_there_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    monkeypatch.setenv('XDG_CONFIG_HOME', '')
    monkeypatch.setenv('XDG_CACHE_HOME', '/chosen')
    monkeypatch.setenv('HOME', str(tmp_path))
    start.find_caches()
    assert not os.environ['XDG_CONFIG_HOME']
    monkeypatch.setenv('HOME', '/dev/null/home')
    start.find_caches()
    private = tmp_path / f'sartorius-{os.getuid()}'
    assert os.environ['XDG_CONFIG_HOME'] == str(private / '.config')
    assert os.environ['XDG_CACHE_HOME'] == '/chosen'
    assert private.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_holds_no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They could put compiled code there."""
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    planted = tmp_path / f'sartorius-{os.getuid()}'
    planted.mkdir()
    planted.chmod(0o777)
    assert start._private_folder() != planted
    planted.rmdir()
    planted.symlink_to(tmp_path)
    assert start._private_folder() != planted
