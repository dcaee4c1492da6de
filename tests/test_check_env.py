"""The report on the environment: what it says when all is well, and when something is missing, broken or wrong."""

import re
import sys
from pathlib import Path

import pytest

from sartorius import check_env
from sartorius.check_env import PACKAGES, Package, check_compiler, check_ops, check_package, main


def test_the_tried_versions_are_the_pinned_ones(repo_root: Path) -> None:
    pinned: dict[str, set[str]] = {}
    for path in (repo_root / 'requirements').glob('*.txt'):
        for name, version in re.findall(r'^([\w-]+)==([\w.]+)', path.read_text(), re.MULTILINE):
            pinned.setdefault(name, set()).add(version)
    assert {package.distribution: set(package.tried) for package in PACKAGES} == {
        package.distribution: pinned[package.distribution] for package in PACKAGES
    }
    assert f'onedl-mmcv=={next(iter(pinned["onedl-mmcv"]))}' in check_env.REBUILD_OPS


def test_here_all_is_well(capsys: pytest.CaptureFixture) -> None:
    main([])
    report = capsys.readouterr().out
    for package in PACKAGES:
        assert re.search(rf'^  {package.name} +(ok|note) ', report, re.MULTILINE)
    assert re.search(r'^  CPU +ok +\d+ cores$', report, re.MULTILINE)
    assert re.search(r'^  NMS on cpu +ok +right$', report, re.MULTILINE)
    assert re.search(r'^  RoIAlign on cpu +ok +right$', report, re.MULTILINE)
    assert report.endswith('All is well.\n')


def test_without_torch_and_mmcv_it_names_them_and_the_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for package in PACKAGES:
        check_package(package)  # imported first, so that none is left half-imported for the tests that follow
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


def test_only_ops(capsys: pytest.CaptureFixture) -> None:
    main(['--only-ops'])
    assert capsys.readouterr().out.splitlines()[0] == 'Compiled ops'


@pytest.fixture
def module_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder from which modules can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_untried_version_is_a_warning(module_folder: Path) -> None:
    (module_folder / 'fake_newer.py').write_text("__version__ = '9.0'")
    finding = check_package(Package('fake', 'fake_newer', 'fake-newer', ('1.0', '2.0')))
    assert finding.works
    assert finding.value == '9.0'
    assert finding.fix == 'fake 9.0 is untried: if it makes trouble, 2.0 is known to work'


def test_a_local_build_of_a_tried_version_is_fine(module_folder: Path) -> None:
    (module_folder / 'fake_local.py').write_text("__version__ = '2.0+cpu'")
    assert check_package(Package('fake', 'fake_local', 'fake-local', ('2.0',))).fix == ''


def test_a_module_of_another_version_than_its_package(module_folder: Path) -> None:
    (module_folder / 'fake_mixed.py').write_text("__version__ = '2.4.6'")
    metadata = module_folder / 'fake_mixed-2.2.6.dist-info/METADATA'
    metadata.parent.mkdir()
    metadata.write_text('Metadata-Version: 2.1\nName: fake-mixed\nVersion: 2.2.6\n')
    finding = check_package(Package('fake', 'fake_mixed', 'fake-mixed', ('2.2.6',)))
    assert finding.value == '2.4.6 in files that pip takes for 2.2.6'
    assert 'pip uninstall -y fake-mixed' in finding.fix


@pytest.mark.parametrize(
    'code',
    [
        "raise ImportError('libtorch.so: undefined symbol: _ZN3c10')",
        "raise OSError('libcudart.so.13: cannot open shared object file')",
        "raise AttributeError('module numpy has no attribute bool')",
        'import a_package_that_is_not_there',
    ],
)
def test_a_broken_package_is_told_from_a_missing_one(module_folder: Path, code: str) -> None:
    (module_folder / 'fake_broken.py').write_text(code)
    finding = check_package(Package('fake', 'fake_broken', 'fake-broken', ('1.0',)))
    assert not finding.works
    assert finding.value.startswith('broken (')
    assert 'make setup' in finding.fix


def test_ops_compiled_for_another_torch(monkeypatch: pytest.MonkeyPatch, module_folder: Path) -> None:
    pytest.importorskip('torch')
    # What `import mmcv.ops` does then: the linker does not find a symbol of the torch that mmcv was compiled with.
    (module_folder / 'mmcv').mkdir()
    (module_folder / 'mmcv/__init__.py').touch()
    (module_folder / 'mmcv/ops.py').write_text("raise ImportError('_ext.so: undefined symbol: _ZN3c106detail')")
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmcv']:
        monkeypatch.delitem(sys.modules, name)
    (finding,) = check_ops('cpu')
    # Not through monkeypatch, which would put the false module back.
    sys.modules.pop('mmcv')
    assert not finding.works
    assert finding.value == 'cannot run (_ext.so: undefined symbol: _ZN3c106detail)'
    assert finding.fix == check_env.REBUILD_OPS


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
    (finding,) = check_ops('cpu')
    assert not finding.works
    assert finding.fix == check_env.REBUILD_OPS


def test_a_missing_compiler_matters_only_while_ops_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CXX', 'no-such-compiler')
    assert check_compiler(ops_work=True).fix == ''
    assert 'apt-get install g++' in check_compiler(ops_work=False).fix
