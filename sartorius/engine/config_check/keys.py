"""Misspelt keys below the top level of a config, which MMEngine merges without a word, and unknown types."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner, set_random_seed

from sartorius.engine.config import RUN_KEYS
from sartorius.engine.config_check.report import nearest
from sartorius.engine.first_weights import InitFrom
from sartorius.engine.signatures import Target, parameters_of, registered_names, targets_of, words_behind
from sartorius.inference.inference_config import TILE_KEYS
from sartorius.postprocess.chain import Chain, build_chain
from sartorius.utils.errors import InputError

# Dicts without a type whose keys are known exactly.
KNOWN_KEYS: dict[str, frozenset[str]] = {
    'init_from': frozenset(InitFrom.model_fields),
    'fit_to_data': frozenset({'cell_diameter'}),
    'tiles': frozenset(TILE_KEYS),
    'randomness': parameters_of(set_random_seed)[0],
    'clip_grad': frozenset({'type'}).union(
        *(parameters_of(clip)[0] for clip in (torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_))
    ),
}
LOADER_KEYS = parameters_of(torch.utils.data.DataLoader)[0] | {'num_batch_per_epoch', 'dataset'}
# Keys that the code which builds these dicts takes out before it calls the type.
TAKEN_BEFORE: dict[str, frozenset[str]] = {
    'norm_cfg': frozenset({'requires_grad'}),
    'dcn': frozenset({'fallback_on_stride'}),
    'upsample_cfg': frozenset({'scale_factor', 'upsample_kernel', 'up_kernel', 'up_group', 'encoder_kernel'}),
    'param_scheduler': frozenset({'convert_to_iter_based'}),
    'optim_wrapper': frozenset({'constructor', 'paramwise_cfg'}),
    'nms': frozenset({'class_agnostic', 'split_thr', 'max_num'}),
    'init_cfg': frozenset({'override'}),
    'train_cfg': frozenset({'by_epoch'}),
    'custom_hooks': frozenset({'priority'}),
    'default_hooks': frozenset({'priority'}),
}
# Keys of MMDetection's own configs that its code no longer reads.
LEFTOVERS = frozenset({'debug'})
# Dicts whose keys are names, or are handed on to something outside.
OPEN = frozenset({'init_kwargs', 'backend_args', 'custom_keys', 'override', 'dist_cfg'})
# Dicts that a registry builds, so that a missing type means a misspelt neighbour.
BUILT = frozenset({'pipeline', 'transforms', 'custom_hooks', 'param_scheduler', 'vis_backends', 'default_hooks'})


def find_unread_keys(config: Config, classes: Iterable[str] = (), bases: Sequence[Config] = ()) -> list[str]:
    """Keys below the top level that no code reads, unknown types, and steps that cannot be built.

    The keys of a dict with a type are compared with the parameters of that type, those of a dict without one with the
    words in the source of all types of its section, which is where its keys are read.

    Args:
        config: The whole config.
        classes: Class names of the data, which may be keys where a setting has a value per class.
        bases: The configs that its file inherits from, by which keys that another type left behind are recognised.

    Returns:
        One message per key: its dotted path, what is wrong, and the fix.
    """
    messages: list[str] = []
    for section in sorted(config.keys() & RUN_KEYS - {'postprocess'}):
        if isinstance(config[section], Mapping | list | tuple):
            messages += _Section(section, config[section], frozenset(classes), bases).walk()
    if config.get('postprocess') is not None:
        try:
            chain = build_chain(config.postprocess)
        except InputError as error:
            messages.append(f'postprocess: {error}')
        else:
            messages += _numbers_of_other_classes(chain, tuple(classes))
    return messages


def _numbers_of_other_classes(chain: Chain, classes: tuple[str, ...]) -> Iterator[str]:
    """Steps with numbers per class that lack a class of the data."""
    for step in chain.steps if classes else ():
        try:
            step.for_classes(classes)
        except InputError as error:
            yield f'postprocess: {error}'


class _Section:
    """One top-level key of a config: its name, its value, and what :func:`find_unread_keys` is given."""

    def __init__(self, name: str, content: Any, classes: frozenset[str], bases: Sequence[Config]) -> None:
        self.name, self.content, self.classes, self.bases = name, content, classes, bases

    def walk(self) -> list[str]:
        """Messages of the whole section."""
        return list(self._walk(self.content, self.name, self.name))

    @cached_property
    def _words(self) -> frozenset[str]:
        """Words behind all types of the section, or behind MMEngine's own readers where it has none."""
        nodes = list(_dicts(self.content))
        types = {node['type'] for node in nodes if isinstance(node.get('type'), str)}
        if self.name == 'optim_wrapper':
            types.add(self.content.get('constructor', 'DefaultOptimWrapperConstructor'))
        targets = [target for name in sorted(types) for target in targets_of(name)]
        own = [Runner, Config] if not targets or self.name == 'default_hooks' else []
        return words_behind([*targets, *own]) | self.classes | LEFTOVERS

    def _walk(self, node: Any, path: str, slot: str) -> Iterator[str]:
        if isinstance(node, list | tuple):
            for number, item in enumerate(node):
                yield from self._walk(item, f'{path}.{number}', slot)
        if not isinstance(node, Mapping) or slot in OPEN:
            return
        found = list(self._check(node, path, slot))
        yield from found
        unread = {message.split(':', 1)[0] for message in found}
        for key, value in node.items():
            if f'{path}.{key}' not in unread:
                # The hooks of default_hooks are built like those of a list.
                yield from self._walk(value, f'{path}.{key}', 'default_hooks' if path == 'default_hooks' else str(key))

    def _check(self, node: Mapping[str, Any], path: str, slot: str) -> Iterator[str]:
        if slot in KNOWN_KEYS:
            yield from _unknown(node, path, KNOWN_KEYS[slot])
        elif path.endswith('_dataloader'):
            yield from _unknown(node, path, LOADER_KEYS, 'a data loader')
        elif 'type' in node:
            yield from self._check_typed(node, path, slot)
        elif slot in BUILT and path != slot:
            yield f'{path}: has no type, so that nothing can be built of it'
        else:
            yield from _unknown(node, path, self._words)

    def _check_typed(self, node: Mapping[str, Any], path: str, slot: str) -> Iterator[str]:
        name = node['type']
        targets = targets_of(name) if isinstance(name, str) else (name,)
        if not targets or not callable(targets[0]):
            yield f'{path}.type: nothing is registered as {name!r}{nearest(str(name), registered_names())}'
            return
        keys = set(node) - {'type', '_scope_'} - TAKEN_BEFORE.get(slot, frozenset())
        # Registries may share a name; the one that fits best is meant.
        best = min(targets, key=lambda target: len(keys - _accepted(target, node)))
        label = name if isinstance(name, str) else getattr(name, '__name__', repr(name))
        yield from _unknown(keys, path, _accepted(best, node), label, self._inherited(node, path))

    def _inherited(self, node: Mapping[str, Any], path: str) -> dict[str, str]:
        """Keys of a dict that a base config gives to another type, with that type."""
        inherited: dict[str, str] = {}
        for base in self.bases:
            theirs = _at(base, path)
            if isinstance(theirs, Mapping) and theirs.get('type', node['type']) != node['type']:
                inherited |= dict.fromkeys(theirs, str(theirs['type']))
        return inherited


def _accepted(target: Target, node: Mapping[str, Any]) -> frozenset[str]:
    """Keys that a type takes from a dict."""
    names, more = parameters_of(target)
    if not more:
        return names
    if 'ema_type' in names:
        # The averaging hook hands its other parameters to the averaged model.
        averages = targets_of(node.get('ema_type', 'ExponentialMovingAverage'))
        return names.union(*(parameters_of(average)[0] for average in averages))
    return names | words_behind([target])


def _unknown(
    keys: Iterable[str], path: str, known: frozenset[str], what: str = '', inherited: Mapping[str, str] | None = None
) -> Iterator[str]:
    for key in sorted(map(str, keys)):
        if key in known:
            continue
        reader = f'{what} takes no {key!r}' if what else 'read by nothing'
        if inherited and key in inherited:
            yield (
                f'{path}.{key}: {reader}; it is inherited from the {inherited[key]} of the base config: write '
                f'_delete_=True beside the new type of {path}'
            )
        else:
            yield f'{path}.{key}: {reader}{nearest(key, known)}'


def _dicts(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _dicts(item)


def _at(node: Any, path: str) -> Any:
    """What stands at a dotted path; None where there is no such key."""
    for part in path.split('.'):
        if isinstance(node, list | tuple):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, Mapping | Config) else None
    return node


def find_dead_parameter_keys(config: Config, parameter_names: Iterable[str]) -> list[str]:
    """Names in ``paramwise_cfg.custom_keys`` that are part of no parameter's name, so that they set nothing."""
    wrapper = config.get('optim_wrapper') or {}
    custom = (wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    names = list(parameter_names)
    parts = {part for name in names for part in name.split('.')}
    return [
        f'optim_wrapper.paramwise_cfg.custom_keys.{key}: no parameter of the model has this in its name'
        f'{nearest(key, parts)}'
        for key in custom
        if not any(key in name for name in names)
    ]
