"""Keys of a config that nothing reads: misspelt ones, which MMEngine merges without a word."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import set_random_seed

from sartorius.engine.config import RUN_KEYS
from sartorius.engine.config_check.report import nearest
from sartorius.engine.signatures import (
    Target,
    parameters_of,
    registered_names,
    targets_of,
    words_behind,
)
from sartorius.inference.inference_config import TILE_KEYS
from sartorius.postprocess.chain import build_chain
from sartorius.utils.errors import InputError

# Dicts of no type whose keys MMEngine's runner reads itself.
FIXED_KEYS: dict[str, frozenset[str]] = {
    'default_hooks': frozenset(
        {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint', 'visualization'}
    ),
    'env_cfg': frozenset({'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}),
    'mp_cfg': frozenset({'mp_start_method', 'opencv_num_threads'}),
    'auto_scale_lr': frozenset({'base_batch_size', 'enable'}),
    'custom_imports': frozenset({'imports', 'allow_failed_imports'}),
    'metainfo': frozenset({'classes', 'palette', 'dataset_type', 'task_name'}),
    'init_from': frozenset({'config', 'same_fold'}),
    'tiles': frozenset(TILE_KEYS),
    'clip_grad': parameters_of(torch.nn.utils.clip_grad_norm_)[0]
    | parameters_of(torch.nn.utils.clip_grad_value_)[0]
    | {'type'},
    'randomness': parameters_of(set_random_seed)[0],
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
# Dicts whose keys are names or are handed on to something outside.
OPEN = frozenset({'init_kwargs', 'backend_args', 'custom_keys', 'override', 'dist_cfg'})
# Dicts that a registry builds, so that a missing type means a misspelt neighbour.
BUILT = frozenset({'pipeline', 'transforms', 'custom_hooks', 'param_scheduler', 'vis_backends', 'default_hooks'})


def find_unread_keys(config: Config, classes: Iterable[str] = ()) -> list[str]:
    """Keys below the top level that no code reads, unknown types, and steps that cannot be built.

    A dict with a type is held against the parameters of that type; one without against the words in the source of all
    types of its section, which is where its keys are read.

    Args:
        config: The whole config.
        classes: Class names of the data, which may be keys where a setting is one a class.

    Returns:
        One message a key: its dotted path, what is wrong, and the nearest right one.
    """
    messages: list[str] = []
    for section in sorted(config.keys() & RUN_KEYS - {'postprocess', 'filename'}):
        if isinstance(config[section], Mapping | list | tuple):
            messages += _Section(section, config[section], classes).messages()
    if config.get('postprocess') is not None:
        try:
            build_chain(config.postprocess)
        except InputError as error:
            messages.append(f'postprocess: {error}')
    return messages


class _Section:
    """One top-level key of a config.

    Args:
        name: The key.
        content: Its value.
        classes: Class names of the data.
    """

    def __init__(self, name: str, content: Any, classes: Iterable[str]) -> None:
        self.name = name
        self.content = content
        self.classes = frozenset(classes)
        types = sorted({node['type'] for node in _dicts(content) if isinstance(node.get('type'), str)})
        targets = [target for type_name in types for target in targets_of(type_name)]
        if name == 'optim_wrapper':
            targets += targets_of(content.get('constructor', 'DefaultOptimWrapperConstructor'))
        self._targets = targets
        self._pool: frozenset[str] | None = None

    def messages(self) -> list[str]:
        """Messages of the whole section."""
        return list(self._walk(self.content, self.name, self.name))

    def _words(self) -> frozenset[str]:
        """Words behind all types of the section; those of this project's hooks where it has none."""
        if self._pool is None:
            targets = self._targets or targets_of('PostprocessHook')
            self._pool = words_behind(targets) | self.classes | LEFTOVERS
        return self._pool

    def _walk(self, node: Any, path: str, slot: str) -> Iterator[str]:
        if isinstance(node, list | tuple):
            for number, item in enumerate(node):
                yield from self._walk(item, f'{path}.{number}', slot)
        if not isinstance(node, Mapping) or slot in OPEN:
            return
        found = list(self._look_at(node, path, slot))
        yield from found
        unread = {message.split(':', 1)[0] for message in found}
        for key, value in node.items():
            if f'{path}.{key}' not in unread:
                # The hooks of default_hooks are built like those of a list.
                yield from self._walk(value, f'{path}.{key}', 'default_hooks' if path == 'default_hooks' else str(key))

    def _look_at(self, node: Mapping[str, Any], path: str, slot: str) -> Iterator[str]:
        if slot in FIXED_KEYS and (path == slot or slot != 'default_hooks'):
            yield from _unknown(node, path, FIXED_KEYS[slot], '')
        elif path.endswith('_dataloader'):
            yield from _unknown(node, path, LOADER_KEYS, 'a data loader')
        elif 'type' in node:
            yield from self._look_at_typed(node, path, slot)
        elif slot in BUILT:
            yield f'{path}: has no type, so that nothing can be built of it'
        else:
            yield from _unknown(node, path, self._words(), '')

    def _look_at_typed(self, node: Mapping[str, Any], path: str, slot: str) -> Iterator[str]:
        name = node['type']
        targets = targets_of(name) if isinstance(name, str) else (name,)
        if not targets or not callable(targets[0]):
            yield f'{path}.type: nothing is registered as {name!r}{nearest(str(name), registered_names())}'
            return
        keys = set(node) - {'type', '_scope_'} - TAKEN_BEFORE.get(slot, frozenset())
        # Registries may share a name; the one that fits best is meant.
        best = min(targets, key=lambda target: len(keys - self._accepted(target, node)))
        label = name if isinstance(name, str) else getattr(name, '__name__', repr(name))
        yield from _unknown(dict.fromkeys(keys), path, self._accepted(best, node), label)

    def _accepted(self, target: Target, node: Mapping[str, Any]) -> frozenset[str]:
        names, more = parameters_of(target)
        if not more:
            return names
        if 'ema_type' in names:
            # The averaging hook hands its other parameters to the averaged model.
            for average in targets_of(node.get('ema_type', 'ExponentialMovingAverage')):
                names |= parameters_of(average)[0]
            return names
        return names | words_behind([target])


def _unknown(node: Mapping[str, Any], path: str, known: frozenset[str], what: str) -> Iterator[str]:
    for key in sorted(map(str, node)):
        if key not in known:
            reader = f'{what} takes no {key!r}' if what else 'read by nothing'
            yield f'{path}.{key}: {reader}{nearest(key, known)}'


def _dicts(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _dicts(item)


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
