"""Which functions of the package open files, and which of them the kinds of :mod:`fuzz_kinds` run."""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import sartorius

PACKAGE = Path(sartorius.__file__).parent
OPENERS = {
    'open', 'read_text', 'read_bytes', 'fromfile', 'load', 'imread', 'imreadmulti', 'TiffFile', 'ZipFile', 'read_csv',
    'run_path',
}  # fmt: skip
"""Names of functions and methods that open a file; what comes from ``sartorius/utils/input_*.py`` too."""


def openers(path: Path) -> Iterator[str]:
    """Functions of a module that open a file to read, as ``module.py:qualified.name``."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    names = OPENERS | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('sartorius.utils.input_')
        for alias in node.names
    }
    module = path.relative_to(PACKAGE).as_posix()
    for name, function in _functions(tree, ''):
        if any(_opens(node, names) for node in _own_nodes(function)):
            yield f'{module}:{name}'


def all_openers() -> set[str]:
    """Those of the whole package."""
    return {name for path in PACKAGE.rglob('*.py') for name in openers(path)}


@contextmanager
def noting_functions(seen: set[str]) -> Iterator[None]:
    """Adds the functions of the package that run, named as :func:`openers` names them."""
    codes: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == 'call':
            codes.add(frame.f_code)

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        for code in codes:
            if code.co_filename.startswith(str(PACKAGE)):
                seen.add(f'{Path(code.co_filename).relative_to(PACKAGE).as_posix()}:{_plain(code.co_qualname)}')


def _plain(name: str) -> str:
    return name.replace('.<locals>', '')


def _functions(node: ast.AST, outer: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            name = f'{outer}.{child.name}' if outer else child.name
            if isinstance(child, ast.FunctionDef):
                yield name, child
            yield from _functions(child, name)
        else:
            yield from _functions(child, outer)


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a function without those of functions within it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own_nodes(child)


def _opens(node: ast.AST, names: set[str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, 'id', '')
    written = [
        one.value for one in (*node.args, *(word.value for word in node.keywords)) if isinstance(one, ast.Constant)
    ]
    return name in names and not {'w', 'wb', 'a', 'a+'} & {one for one in written if isinstance(one, str)}
