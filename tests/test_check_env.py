"""The report on the environment, when all is well and when something is missing, broken or wrong."""

import importlib.metadata
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sartorius import check_env
from sartorius.check_env import (
    PACKAGES,
    Package,
    check_compiler,
    check_lock,
    check_ops,
    check_package,
    locked_versions,
    main,
)


def test_the_lock_pins_every_requirement_and_leaves_cuda_to_torch(repo_root: Path) -> None:
    locked = locked_versions()
    lines = (repo_root / 'requirements/lock.txt').read_text().splitlines()
    assert len(locked) == len([line for line in lines if not line.startswith('#')])
    assert not [name for name in locked if name.startswith(('nvidia-', 'cuda-', 'triton'))]
    assert '://' not in '\n'.join(lines) and '+' not in ''.join(locked.values())
    named = {
        re.match(r'[\w.-]+', line).group()
        for path in (repo_root / 'requirements').glob('*.txt')
        for line in path.read_text().splitlines()
        if not line.startswith('#')
    }
    assert named == set(locked)
    assert {package.distribution for package in PACKAGES} <= set(locked)


def test_here_all_is_well(capsys: pytest.CaptureFixture) -> None:
    main([])
    report = capsys.readouterr().out
    for package in PACKAGES:
        assert re.search(rf'^  {package.name} +(ok|note) ', report, re.MULTILINE)
    assert re.search(r'^  CPU +ok +\d+ cores$', report, re.MULTILINE)
    assert re.search(r'^  NMS on cpu +ok +right$', report, re.MULTILINE)
    assert re.search(r'^  RoIAlign on cpu +ok +right$', report, re.MULTILINE)
    assert report.endswith('All is well.\n')


def test_without_torch_and_mmcv_it_names_them_and_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for package in PACKAGES:
        check_package(package, {})  # imported first, so that none is left half-imported for the tests that follow
    # None in sys.modules makes an import fail as if the package were not installed.
    for name in ('torch', 'mmcv', 'mmcv.ops'):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 1
    report = capsys.readouterr().out
    assert re.search(r'^  torch +FAILS +missing$', report, re.MULTILINE)
    assert re.search(r'^  mmcv +FAILS +missing$', report, re.MULTILINE)
    assert re.search(r'^  numpy +(ok|note) ', report, re.MULTILINE)
    assert re.search(r'^  mmcv.ops on cpu +FAILS +cannot run', report, re.MULTILINE)
    assert report.count('run `make setup`') == 1
    assert 'All is well' not in report


def test_copies_at_the_end_of_the_path_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [SimpleNamespace(name='wheel', version=version) for version in ('0.48.0', '0.46.3')]
    monkeypatch.setattr(importlib.metadata, 'distributions', lambda: iter(copies))
    assert check_lock({'wheel': '0.48.0'}).value == '1 of 1 installed'
    assert check_lock({'wheel': '0.46.3'}).value == '1 of 1 at another version'


def test_only_ops(capsys: pytest.CaptureFixture) -> None:
    main(['--only-ops'])
    assert capsys.readouterr().out.splitlines()[0] == 'Compiled ops'


@pytest.fixture
def module_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder from which modules can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_untested_version_is_a_warning(module_folder: Path) -> None:
    (module_folder / 'fake_newer.py').write_text("__version__ = '9.0'")
    result = check_package(Package('fake', 'fake_newer', 'fake-newer'), {'fake-newer': '2.0'})
    assert result.works
    assert result.value == '9.0'
    assert result.fix == 'fake 9.0 is untested: if it causes trouble, 2.0 is known to work'


def test_a_local_build_of_the_tested_version_is_fine(module_folder: Path) -> None:
    (module_folder / 'fake_local.py').write_text("__version__ = '2.0+cpu'")
    assert check_package(Package('fake', 'fake_local', 'fake-local'), {'fake-local': '2.0'}).fix == ''


def test_a_module_of_another_version_than_its_package(module_folder: Path) -> None:
    (module_folder / 'fake_mixed.py').write_text("__version__ = '2.4.6'")
    metadata = module_folder / 'fake_mixed-2.2.6.dist-info/METADATA'
    metadata.parent.mkdir()
    metadata.write_text('Metadata-Version: 2.1\nName: fake-mixed\nVersion: 2.2.6\n')
    result = check_package(Package('fake', 'fake_mixed', 'fake-mixed'), {'fake-mixed': '2.2.6'})
    assert result.value == '2.4.6 in files that pip takes for 2.2.6'
    assert 'pip uninstall -y fake-mixed' in result.fix


def test_packages_at_another_version_than_the_locked_one(tmp_path: Path, module_folder: Path) -> None:
    for name, version in (('Fake_one', '1.0'), ('fake-two', '2.1+cpu')):
        metadata = module_folder / f'{name}-{version}.dist-info/METADATA'
        metadata.parent.mkdir()
        metadata.write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    lock = tmp_path / 'lock.txt'
    lock.write_text('# comment\nfake-one==1.0    # via fake-two\nfake-two==2.0\nfake-three==3.0\n')
    result = check_lock(locked_versions(lock))
    assert result.works
    assert result.value == '1 of 3 at another version'
    assert result.fix.endswith(': fake-two 2.1+cpu (tested: 2.0)')
    lock.write_text('fake-one==1.0\nfake-two==2.1\nfake-three==3.0\n')
    assert (check_lock(locked_versions(lock)).value, check_lock({}).fix) == ('2 of 3 installed', '')


@pytest.mark.parametrize(
    'code',
    [
        "raise ImportError('libtorch.so: undefined symbol: _ZN3c10')",
        "raise OSError('libcudart.so.13: cannot open shared object file')",
        "raise AttributeError('module numpy has no attribute bool')",
        'import a_package_that_is_not_there',
    ],
)
def test_a_broken_package_is_distinguished_from_a_missing_one(module_folder: Path, code: str) -> None:
    (module_folder / 'fake_broken.py').write_text(code)
    result = check_package(Package('fake', 'fake_broken', 'fake-broken'), {})
    assert not result.works
    assert result.value.startswith('broken (')
    assert 'make setup' in result.fix


def test_ops_compiled_for_another_torch(monkeypatch: pytest.MonkeyPatch, module_folder: Path) -> None:
    pytest.importorskip('torch')
    # What `import mmcv.ops` does then: the linker does not find a symbol of the torch that mmcv was compiled with.
    (module_folder / 'mmcv').mkdir()
    (module_folder / 'mmcv/__init__.py').touch()
    (module_folder / 'mmcv/ops.py').write_text("raise ImportError('_ext.so: undefined symbol: _ZN3c106detail')")
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmcv']:
        monkeypatch.delitem(sys.modules, name)
    (result,) = check_ops('cpu')
    # Not through monkeypatch, which would put the false module back.
    sys.modules.pop('mmcv')
    assert not result.works
    assert result.value == 'cannot run (_ext.so: undefined symbol: _ZN3c106detail)'
    assert result.fix == check_env.REBUILD_OPS


def test_ops_that_give_wrong_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = pytest.importorskip('mmcv.ops')
    monkeypatch.setattr(ops, 'nms', lambda boxes, scores, iou_threshold: (boxes, scores.argsort()))
    nms, roi_align = check_ops('cpu')
    assert (nms.works, roi_align.works) == (False, True)
    assert nms.value == 'wrong: [2, 1, 0] instead of [0, 2]'


def test_ops_without_cuda_where_cuda_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = pytest.importorskip('mmcv.ops')
    monkeypatch.setattr(ops, 'get_compiling_cuda_version', lambda: 'not available')
    monkeypatch.setenv('FORCE_CUDA', '1')
    (result,) = check_ops('cpu')
    assert not result.works
    assert result.fix == check_env.REBUILD_OPS


def test_a_missing_compiler_matters_only_while_ops_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert check_compiler(ops_work=True).fix == ''
    assert 'apt-get install g++' in check_compiler(ops_work=False).fix
