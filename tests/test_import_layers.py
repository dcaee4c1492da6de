"""Imports point downward only, and the core layer starts without torch or MMDetection."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

# From the ground up: a package imports those before it and itself. The same order stands in the table of README.md.
CORE = [
    'utils',
    'masks',
    'images',
    'annotations',
    'synthetic',
    'predictions',
    'evaluation',
    'label_quality',
    'postprocess',
    'fusion',
    'submission',
    'pseudo_labels',
    'visualization',
    'export',
    'leaderboard',
]
MMDET = ['datasets', 'models', 'inference', 'engine', 'workflow']
PACKAGES = [*CORE, *MMDET]
HEAVY = {'torch', 'torchvision', 'mmcv', 'mmdet', 'mmengine'}


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere in it, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
    return names


def files_of(repo_root: Path, package: str) -> list[Path]:
    files = sorted((repo_root / 'sartorius' / package).rglob('*.py'))
    assert files, f'no such package: {package}'
    return files


def test_every_package_has_its_layer(repo_root: Path) -> None:
    present = {path.parent.name for path in (repo_root / 'sartorius').glob('*/__init__.py')}
    assert present == set(PACKAGES)


@pytest.mark.parametrize('package', PACKAGES)
def test_imports_point_downward(repo_root: Path, package: str) -> None:
    above = PACKAGES[PACKAGES.index(package) + 1 :]
    for path in files_of(repo_root, package):
        packages = {name.split('.')[1] for name in imports_of(path) if name.startswith('sartorius.')}
        assert not packages & set(above), f'{path.name} reaches up to {packages & set(above)}'


@pytest.mark.parametrize('package', CORE)
def test_core_layer_imports_neither_torch_nor_mmdetection(repo_root: Path, package: str) -> None:
    for path in files_of(repo_root, package):
        heavy = {name.split('.')[0] for name in imports_of(path)} & HEAVY
        assert not heavy, f'{path.name} imports {heavy}'


def test_scoring_runs_without_torch(repo_root: Path) -> None:
    """Not even through a dependency."""
    modules = 'sartorius.submission.write, sartorius.fusion, sartorius.submission.score, sartorius.export.formats'
    code = f'import sys, {modules}; from sartorius import load_model; print(sorted({HEAVY} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], cwd=repo_root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_readme_lists_the_packages_in_this_order(repo_root: Path) -> None:
    text = (repo_root / 'README.md').read_text(encoding='utf-8')
    assert re.findall(r'^\| `sartorius/(\w+)` \|', text, re.MULTILINE) == PACKAGES
