"""Configs are found by path or name, and relative paths start where they should."""

from pathlib import Path

import pytest

from sartorius.utils import paths
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import CONFIG_DIR, find_config, find_workflow, resolve_path

R50 = CONFIG_DIR / 'sartorius' / 'mrcnn_r50.py'


@pytest.mark.parametrize(
    'given', ['mrcnn_r50', 'mrcnn_r50.py', 'sartorius/mrcnn_r50', 'configs/sartorius/mrcnn_r50.py', R50]
)
def test_a_config_from_any_folder(given: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(given) == R50


def test_a_name_of_two_folders() -> None:
    assert find_config('livecell/mrcnn_r50') == CONFIG_DIR / 'livecell' / 'mrcnn_r50.py'


def test_a_file_of_the_users_own_comes_before_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path('mrcnn_r50.py').touch()
    assert find_config('mrcnn_r50.py') == Path('mrcnn_r50.py')
    # Without the suffix it is a name.
    assert find_config('mrcnn_r50') == R50


def make_configs(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_names_that_several_folders_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_configs(tmp_path / 'configs', 'own/small.py', 'livecell/small.py', '_base_/small.py', 'ensemble/wbf.py')
    monkeypatch.setattr(paths, 'CONFIG_DIR', tmp_path / 'configs')
    with pytest.raises(InputError, match=r'^small: several configs .* \(livecell/small, own/small\); name one with'):
        find_config('small')
    with pytest.raises(InputError, match='^wbf: no such config'):
        find_config('wbf')


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ('mrcnn_r5O', r"^mrcnn_r5O: no such config; did you mean 'mrcnn_r50'\?$"),
        ('r50', '^r50: no such config'),
        ('_base_/postprocess', '^_base_/postprocess: no such config'),
        ('/elsewhere/mrcnn_r50.py', '^/elsewhere/mrcnn_r50.py: no such config'),
    ],
)
def test_no_such_config(given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_config(given)


def test_workflows_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = CONFIG_DIR / 'workflows' / 'demo.yaml'
    assert find_workflow('demo') == find_workflow('configs/workflows/demo.yaml') == expected
    with pytest.raises(UsageError, match=r"^dem0: no such workflow file; did you mean 'demo'\?$"):
        find_workflow('dem0')


def test_relative_paths_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They start in the current folder, and name the package's own files where that has none of the name."""
    here, package = tmp_path / 'here', tmp_path / 'package/project'
    monkeypatch.setattr(paths, 'BASE_DIR', here)
    monkeypatch.setattr(paths, 'PROJECT_DIR', package)
    make_configs(package, 'configs/a.py', 'configs/b.py')
    make_configs(here, 'configs/b.py')
    assert resolve_path('configs/a.py') == package / 'configs/a.py'
    assert resolve_path('configs/b.py') == here / 'configs/b.py'
    assert resolve_path('work_dirs/c.npz') == here / 'work_dirs/c.npz'
    assert resolve_path('/d.npz') == Path('/d.npz')


def test_shown_paths_name_neither_the_user_nor_the_folder_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path / 'jane'))
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    shown = {
        tmp_path / 'here' / 'a' / 'b.npz': 'a/b.npz',
        'a/b.npz': 'a/b.npz',
        paths.DEFAULT_POSTPROCESS: 'configs/_base_/postprocess.py',
        paths.TOOL_DIR / 'test.py': 'tools/test.py',
        paths.PACKAGE_DIR / 'models' / 'shipped': 'sartorius/models/shipped',
        tmp_path / 'jane' / 'data' / 'a.json': '~/data/a.json',
        tmp_path / 'there.json': str(tmp_path / 'there.json'),
        '../there.json': '../there.json',
    }
    assert {path: paths.display_path(path) for path in shown} == shown
    monkeypatch.setenv('HOME', '/')
    assert paths.display_path(tmp_path / 'there.json') == str(tmp_path / 'there.json')
