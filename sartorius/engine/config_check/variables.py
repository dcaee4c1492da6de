"""Top-level names of config files that nothing reads."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mmengine.runner.runner

from sartorius.engine.config_check.report import nearest
from sartorius.utils.errors import InputError
from sartorius.utils.paths import REPO_ROOT, display_path

# An attribute of `config` or `cfg`, an item, or a name given to a function beside it: `.get('...')`, `(config, '...')`.
READ = re.compile(r"\b(?:config|cfg)(?:\.(\w+)\b(?!\()|(?:\.get\(\s*|\[|,\s*)['\"](\w+)['\"])")
# What MMEngine's Config itself reads.
OF_CONFIG = frozenset({'custom_imports', 'env_variables'})


class ConfigFile(NamedTuple):
    """What matters of one file: names that it sets and uses, names of its bases that it uses."""

    path: Path
    sets: frozenset[str]
    uses: frozenset[str]
    uses_of_bases: frozenset[str]


@cache
def keys_read_by_code() -> frozenset[str]:
    """Top-level keys that MMEngine's runner or a file of this project reads from a config."""
    own = [path for folder in ('sartorius', 'tools') for path in sorted((REPO_ROOT / folder).rglob('*.py'))]
    files = [Path(mmengine.runner.runner.__file__), *own]
    found = {a or b for path in files for a, b in READ.findall(path.read_text(encoding='utf-8'))}
    return frozenset(found | OF_CONFIG)


def find_unread_names(path: str | Path, known: Iterable[str]) -> list[str]:
    """Names that a config or one of its bases sets and nothing reads.

    A name is read when code reads that key (``known``), when its own file uses it, or when a file below uses it as
    ``_base_.NAME``. A file that sets ``train_pipeline`` again without using it changes nothing: MMEngine has filled in
    its base's one by then.

    Args:
        path: Config file.
        known: Keys that code reads.

    Returns:
        One message a name.
    """
    known = frozenset(known)
    files = _chain(Path(path).resolve())
    through_bases = frozenset().union(*(file.uses_of_bases for file in files))
    messages = []
    for number, file in enumerate(files):
        below = through_bases if number else frozenset()
        for name in sorted(file.sets - known - file.uses - below):
            repeated = any(name in base.sets for base in files[number + 1 :])
            fix = (
                '; its bases have used their own already: use it in this file as well, or change the key that it fills'
                if repeated
                else nearest(name, known)
            )
            messages.append(f'{name}: set in {display_path(file.path)} and read by nothing{fix}')
    return messages


def _chain(path: Path) -> list[ConfigFile]:
    """A config and its bases within reach, the config first; MMDetection's own (``mmdet::``) are left out."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
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
