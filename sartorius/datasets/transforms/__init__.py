"""Transforms for images of cells; importing the package imports all of its modules, which registers their transforms.

A new transform is one file here, whose class is registered with MMDetection's ``TRANSFORMS``: configs then name it, and
tests/datasets/test_every_transform.py tries it. docs/extending/transform.md says what is expected.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
