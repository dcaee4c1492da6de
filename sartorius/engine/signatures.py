"""Keys that registered types take: parameters of their signatures, and words of their source."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import mmcv.ops
import mmdet.registry
import mmengine.registry
from mmengine.registry import Registry

# Packages whose source is searched for the keys of dicts that have no type.
PACKAGES = ('sartorius', 'mmdet', 'mmcv', 'mmengine')

Target = Callable[..., Any]


@cache
def _registries() -> tuple[Registry, ...]:
    """MMDetection's registries, which fall back to MMEngine's, and MMEngine's one for functions."""
    own = [value for name, value in vars(mmdet.registry).items() if not name.startswith('MMENGINE_')]
    return (*(value for value in own if isinstance(value, Registry)), mmengine.registry.FUNCTIONS)


@cache
def targets_of(name: str) -> tuple[Target, ...]:
    """Classes and functions that ``type=name`` may stand for; registries may share names.

    Args:
        name: Registered name, with or without a scope such as ``mmdet.``; or a name of ``mmcv.ops``, where MMDetection
            looks for RoI layers and NMS.
    """
    found = [registry.get(name) for registry in _registries()]
    found.append(getattr(mmcv.ops, name, None))
    return tuple(dict.fromkeys(target for target in found if callable(target)))


@cache
def registered_names() -> frozenset[str]:
    """All names that ``type=`` may take."""
    names: set[str] = set()
    for registry in _registries():
        names.update(registry.module_dict)
        if registry.parent is not None:
            names.update(registry.parent.module_dict)
    return frozenset(names)


@cache
def parameters_of(target: Target) -> tuple[frozenset[str], bool]:
    """Names that a class or function takes by keyword.

    A class that takes ``**kwargs`` is assumed to pass them to its base class, as MMDetection's do.

    Returns:
        The names, and whether any other is taken as well: ``**kwargs`` that no base class names.
    """
    if not inspect.isclass(target):
        return _named(target)
    names: set[str] = set()
    for base in inspect.getmro(target)[:-1]:
        if '__init__' in vars(base):
            own, more = _named(base.__init__)
            names |= own
            if not more:
                return frozenset(names - {'self'}), False
    return frozenset(names - {'self'}), True


def _named(function: Target) -> tuple[frozenset[str], bool]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        # Written in C without a signature.
        return frozenset(), True
    keywords = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = frozenset(parameter.name for parameter in parameters if parameter.kind in keywords)
    return names, any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def words_behind(targets: Iterable[Target]) -> frozenset[str]:
    """Names of attributes, arguments and string constants in the source of classes, their bases and their helpers.

    A key of a dict without a type, such as ``test_cfg.rcnn``, is read as ``cfg.key``, ``cfg['key']`` or
    ``cfg.get('key')``; no code reads a key that is none of these words.
    """
    words: set[str] = set()
    for name in _modules_behind(targets):
        words |= _words_of(name)
    return frozenset(words)


def _modules_behind(targets: Iterable[Target]) -> set[str]:
    """Modules of the targets and their base classes, and those whose functions these modules import."""
    own = set()
    for target in targets:
        own.update(base.__module__ for base in (inspect.getmro(target) if inspect.isclass(target) else [target]))
    own = {name for name in own if name.split('.')[0] in PACKAGES}
    helpers = {
        value.__module__
        for name in own
        for value in vars(sys.modules[name]).values()
        if inspect.isfunction(value) and value.__module__.split('.')[0] in PACKAGES
    }
    return own | helpers


@cache
def _words_of(module: str) -> frozenset[str]:
    words: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            words.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            words.add(node.value)
    return frozenset(words)
