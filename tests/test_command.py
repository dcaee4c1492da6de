"""The command ``sartorius NAME``: every tool of tools/ by its name, in a checkout and installed from a wheel."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sartorius.__main__ import GROUPS, find_tools, main

SECONDS_TO_START = 0.5


def run(*words: str, folder: Path, code: int = 0, **environment: str) -> str:
    """Output and errors of ``python -m sartorius WORD...``."""
    done = subprocess.run(
        [sys.executable, '-m', 'sartorius', *words],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def test_every_tool_has_one_name(repo_root: Path) -> None:
    files = [path for tools in find_tools().values() for path in tools.values()]
    names = [name for tools in find_tools().values() for name in tools]
    assert len(set(names)) == len(names)
    own = {path for folder in GROUPS for path in (repo_root / 'tools' / folder).glob('*.py')}
    assert own <= set(files)
    folders = {path.name for path in (repo_root / 'tools').iterdir() if path.is_dir() and path.name != '__pycache__'}
    assert folders == {*GROUPS, 'setup'} - {''}, 'a folder of tools without a heading'


def test_help_lists_every_tool_at_once(repo_root: Path) -> None:
    before = os.times()
    said = run('--help', folder=repo_root)
    after = os.times()
    # Time of processors, as other tests may run at the same time.
    assert (
        after.children_user + after.children_system - before.children_user - before.children_system < SECONDS_TO_START
    )
    for title, tools in find_tools().items():
        listed = said.split(f'\n{title}:\n')[1].split('\n\n')[0]
        described = dict(re.findall(r'^  (\w+) +(\S.*)$', listed, re.MULTILINE))
        assert described.keys() == tools.keys()
        assert all(len(text) > 20 for text in described.values())


def test_a_tool_is_named_as_it_was_started(repo_root: Path, tmp_path: Path) -> None:
    environment = {'PYTHONPATH': str(repo_root)}
    said = run('make-submission', '--help', folder=tmp_path, **environment)
    assert said.startswith('usage: sartorius make_submission ')
    assert '\nexample:\n  sartorius make_submission ' in said
    assert 'python tools/' not in said
    said = run('train', 'mrcnn_r5O', folder=tmp_path, code=2, **environment)
    assert said.endswith(
        "sartorius train: error: argument config: mrcnn_r5O: no such config; did you mean 'mrcnn_r50'?\n"
    )


def test_an_unknown_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # The command sets it, and tells by it later how it was started.
    monkeypatch.setattr('sys.argv', ['sartorius'])
    with pytest.raises(SystemExit, match='2'):
        main(['make-submision'])
    assert capsys.readouterr().err.startswith("error: no tool 'make-submision'; did you mean 'make_submission'?")


@pytest.fixture(scope='module')
def installed(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the unpacked content of the wheel, which is built without a trace in the checkout."""
    folder = tmp_path_factory.mktemp('wheel')
    build = [sys.executable, 'setup.py', '--quiet', 'build', '--build-base', str(folder / 'build')]
    build += ['egg_info', '--egg-base', str(folder)]
    build += ['bdist_wheel', '--dist-dir', str(folder), '--bdist-dir', str(folder / 'scratch')]
    subprocess.run(build, cwd=repo_root, check=True, capture_output=True)
    (wheel,) = folder.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / 'site')
    return folder / 'site'


@pytest.mark.slow
def test_the_wheel_holds_what_a_checkout_has(repo_root: Path, installed: Path) -> None:
    for folder in ('configs', 'tools', 'sartorius'):
        files = [path for path in (repo_root / folder).rglob('*') if path.is_file() and '__pycache__' not in path.parts]
        place = installed if folder == 'sartorius' else installed / 'sartorius/project'
        for name in {str(path.relative_to(repo_root)) for path in files if path.parent.name != 'setup'}:
            assert (place / name).read_bytes() == (repo_root / name).read_bytes(), name


@pytest.mark.slow
def test_the_wheel_works_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    environment = {'PYTHONPATH': str(installed)}
    assert 'make_submission' in run('--help', folder=tmp_path, **environment)
    code = (
        'import sartorius; from sartorius.postprocess.chain import load_chain; from sartorius.utils.paths import *; '
        'print(sartorius.__file__, CHECKOUT, WORK_DIRS, len(load_chain().steps), find_config("mrcnn_r50"), '
        'len(load_chain("configs/_base_/postprocess_livecell.py").steps))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True
    )
    file, checkout, work_dirs, steps, config, others = done.stdout.split() or done.stderr
    assert Path(file).parents[1] == installed
    assert (checkout, work_dirs) == ('None', str(tmp_path / 'work_dirs'))
    assert int(steps) > 0 < int(others)
    assert Path(config) == installed / 'sartorius/project/configs/sartorius/mrcnn_r50.py'
    said = run('test', '--help', folder=tmp_path, **environment)
    assert 'folder that sartorius prepare_sartorius wrote' in ' '.join(said.split())


def test_without_torch_a_sentence_says_so(installed: Path, tmp_path: Path) -> None:
    (tmp_path / 'torch.py').write_text('raise ModuleNotFoundError("No module", name="torch")')
    environment = {'PYTHONPATH': f'{tmp_path}:{installed}'}
    said = run('check_config', 'mrcnn_r50', folder=tmp_path, code=1, **environment)
    assert said == 'error: this needs torch, which is not installed; python -m sartorius.check_env says what to do\n'
