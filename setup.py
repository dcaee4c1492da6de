"""Packaging; `make demo` and `make test` install it in development mode.

Its dependencies are those of the core layer alone: torch and mmcv must be installed in an order that pip does not keep
(see docs/install.md), and scoring, ensembling and submitting work without them.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """Version number in ``sartorius/__init__.py``."""
    text = (ROOT / 'sartorius/__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '(.+)'$", text, re.MULTILINE).group(1)


def packages_of(name: str) -> list[str]:
    """Requirements of a file; requirements/lock.txt has the tested versions, others are allowed."""
    lines = (ROOT / 'requirements' / name).read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


setup(
    name='sartorius-cells',
    version=version(),
    description='Instance segmentation of crowded living cells, built on MMDetection',
    license='Apache-2.0',
    packages=find_packages(include=['sartorius', 'sartorius.*']),
    package_data={'sartorius.visualization': ['templates/*'], 'sartorius.workflow': ['Snakefile']},
    python_requires='>=3.11,<3.14',
    install_requires=packages_of('core.txt'),
    extras_require={'workflow': packages_of('workflow.txt')},
)
