"""Top-level names of config files that neither a run nor another file reads."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from sartorius.engine.config import RUN_KEYS
from sartorius.engine.config_check.report import nearest
from sartorius.utils.errors import InputError
from sartorius.utils.input_text import read_text
from sartorius.utils.paths import display_path


class ConfigFile(NamedTuple):
    """Names that one config file sets and uses, and names of its bases that it uses."""

    path: Path
    sets: frozenset[str]
    uses: frozenset[str]
    uses_of_bases: frozenset[str]


def find_unread_names(path: str | Path) -> list[str]:
    """Names that a config or one of its bases sets and nothing reads.

    A name is read when it is one of ``RUN_KEYS``, when its own file uses it, or when a file below uses it as
    ``_base_.NAME``. A file that sets ``train_pipeline`` again without using it changes nothing: MMEngine has filled in
    that of its base by then.

    Returns:
        One message per name.
    """
    files = _chain(Path(path).resolve())
    through_bases = frozenset().union(*(file.uses_of_bases for file in files))
    messages = []
    for number, file in enumerate(files):
        below = through_bases if number else frozenset()
        for name in sorted(file.sets - RUN_KEYS - file.uses - below):
            repeated = any(name in base.sets for base in files[number + 1 :])
            fix = (
                '; its bases have used their own already: use it in this file as well, or change the key that it fills'
                if repeated
                else nearest(name, RUN_KEYS)
            )
            messages.append(f'{name}: set in {display_path(file.path)} and read by nothing{fix}')
    return messages


def read_bases(path: str | Path) -> list[Config]:
    """The configs that a config file inherits from; MMDetection's own (``mmdet::``) are skipped."""
    path = Path(path).resolve()
    bases = _bases(ast.parse(read_text(path)))
    return [Config.fromfile(path.parent / base) for base in bases if '::' not in base]


def _chain(path: Path) -> list[ConfigFile]:
    """A config and its bases, the config first; MMDetection's own (``mmdet::``) are skipped."""
    tree = ast.parse(read_text(path))
    files = [_read(path, tree)]
    for base in _bases(tree):
        if '::' not in base:
            known = {file.path for file in files}
            files.extend(file for file in _chain((path.parent / base).resolve()) if file.path not in known)
    return files


def _bases(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(_name(target) == '_base_' for target in node.targets):
            try:
                bases = ast.literal_eval(node.value)
            except ValueError:
                raise InputError('_base_ must be a path or a list of paths, written out') from None
            return [bases] if isinstance(bases, str) else list(bases)
    return []


def _read(path: Path, tree: ast.Module) -> ConfigFile:
    stored = {
        _name(target)
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for targets in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for target in (targets.elts if isinstance(targets, ast.Tuple) else [targets])
    }
    nodes = list(ast.walk(tree))
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    of_bases = {node.attr for node in nodes if isinstance(node, ast.Attribute) and _name(node.value) == '_base_'}
    # MMEngine's other way to name a base's value: '{{_base_.NAME}}'.
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    of_bases.update(name for text in texts for name in re.findall(r'_base_\.(\w+)', text))
    plain = frozenset(name for name in stored if name and not name.startswith('_'))
    return ConfigFile(path, plain, frozenset(used), frozenset(of_bases))


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ''
