"""Packaging; `make demo` and `make test` install it in development mode."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name='sartorius-cells',
    version=next(
        line.split("'")[1]
        for line in (Path(__file__).parent / 'sartorius/__init__.py').read_text().splitlines()
        if line.startswith('__version__')
    ),
    description='Instance segmentation of crowded living cells, built on MMDetection',
    packages=find_packages(include=['sartorius', 'sartorius.*']),
    python_requires='>=3.10,<3.13',
)
