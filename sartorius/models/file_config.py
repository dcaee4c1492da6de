"""The part of a config that prediction needs, as plain data, and what such data from a file may say.

A config decides which classes are built, and MMEngine imports whatever a ``type`` names; mmcv evaluates the name of an
NMS. So a config that comes out of a file of weights is never run as Python, and is checked before anything is built:
it names only layers, heads and transforms of a fixed list of packages, has no first weights, and no text in it can be a
path, an address or an expression.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mmdet.registry import MODELS, TASK_UTILS

from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError

TEST_KEYS = ('model', 'pipeline', 'tiles', 'tta_model', 'tta_orientations', 'tta_scales', 'boxes_only')
"""Keys of the data: ``pipeline`` is the test pipeline, the others are the config's own."""

TRAINED_SIZE: Size = (520, 704)
"""``(height, width)`` in pixels of the images of the competition and of LIVECell, which every recipe is written for."""

# What configs without these keys predict with. Nothing says which scales they learned: images are turned at their own.
DEFAULTS: Mapping[str, Any] = {
    'tiles': {'size': (520, 704), 'overlap': 256, 'scale': 2.0},
    'tta_model': {'type': 'CellTTAModel', 'method': 'wbf'},
    'tta_orientations': ['none', 'horizontal', 'vertical', 'diagonal'],
    'boxes_only': False,
}
# Not needed for prediction; the first three could name files.
_DROPPED_KEYS = frozenset({'init_cfg', 'pretrained', 'backend_args', 'train_cfg', '_scope_'})
_DETECTORS = frozenset({'CascadeRCNN', 'FasterRCNN', 'HybridTaskCascade', 'MaskRCNN', 'RTMDet'})
# Names that are no classes of a registry: functions and layers that mmcv looks up itself.
_MMCV_NAMES = frozenset({'RoIAlign', 'RoIPool', 'nms', 'soft_nms'})
_TRANSFORMS = frozenset({'LoadCellImage', 'Pad', 'PackDetInputs', 'Resize'})
_TTA_MODELS = frozenset({'CellTTAModel'})
_PACKAGES = (
    *(
        f'mmdet.models.{name}.'
        for name in ('backbones', 'data_preprocessors', 'dense_heads', 'layers', 'losses', 'necks', 'roi_heads')
    ),
    *(f'mmdet.models.task_modules.{name}.' for name in ('assigners', 'coders', 'prior_generators', 'samplers')),
    'mmcv.cnn.bricks.',
    'mmcv.ops.',
    'sartorius.models.',
    'torch.nn.modules.',
)
# Loads a language model by name.
_EXCLUDED_PACKAGES = ('mmdet.models.dense_heads.atss_vlfusion_head.',)
_KEY = re.compile(r'[A-Za-z]\w*', re.ASCII)
_TEXT = re.compile(r'[\w +-]{0,60}', re.ASCII)
_MAX_TEXT_LENGTH = 2_000_000


def parse_config_text(text: str) -> dict[str, Any]:
    """The keys that prediction needs from the text of a config that MMEngine dumped; nothing of it is run.

    Args:
        text: Assignments of literals and of ``dict(...)``, such as ``model = dict(type='MaskRCNN')``.

    Returns:
        Those of ``TEST_KEYS`` and ``postprocess`` that the text has, and its ``test_dataloader``.

    Raises:
        InputError: It is no such text.
    """
    if len(text) > _MAX_TEXT_LENGTH:
        raise InputError(f'its config is of {len(text)} characters')
    wanted = {*TEST_KEYS, 'postprocess', 'test_dataloader'}
    found = {}
    try:
        for line in ast.parse(text).body:
            target = line.targets[0] if isinstance(line, ast.Assign) and len(line.targets) == 1 else None
            if isinstance(target, ast.Name) and target.id in wanted:
                found[target.id] = _evaluate(line.value)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f'its config is not the plain text that tools/train.py writes ({error})') from None
    return found


def make_test_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What prediction needs of a config, as plain data, its scales as factors.

    A ``Resize`` that fits the competition's images into edges would enlarge images of another size otherwise. So edges
    become the factor that they are for an image of ``TRAINED_SIZE``.

    Args:
        config: ``model`` and ``test_dataloader``, and what there is of ``tiles`` and of test-time augmentation.

    Returns:
        Keys as in ``TEST_KEYS``, for :func:`check_test_config`.

    Raises:
        InputError: A key is missing, or the test pipeline has no ``Resize``.
    """
    try:
        model, pipeline = config['model'], config['test_dataloader']['dataset']['pipeline']
    except (KeyError, TypeError) as error:
        raise InputError(f'its config has no {error.args[0]}') from None
    data = {**DEFAULTS, **{key: config[key] for key in TEST_KEYS if key in config}}
    try:
        steps = [_with_factor(step) if step['type'] == 'Resize' else step for step in pipeline]
        factors = [step['scale_factor'] for step in steps if step['type'] == 'Resize']
        scales = [_as_factor(scale) for scale in data.get('tta_scales', factors)]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f'its test pipeline, tiles or tta_scales cannot be used ({error!r})') from None
    if len(factors) != 1:
        raise InputError(f'its test pipeline has {len(factors)} steps Resize, not one')
    return plain_data({**data, 'model': model, 'pipeline': steps, 'tta_scales': scales})


def plain_data(value: Any) -> Any:
    """A config as dicts, lists and plain values, without keys that only training needs."""
    if isinstance(value, Mapping):
        return {str(key): plain_data(part) for key, part in value.items() if key not in _DROPPED_KEYS}
    if isinstance(value, list | tuple):
        return [plain_data(part) for part in value]
    return value


def check_test_config(data: object) -> None:
    """Checks that a config out of a file can only build a detector and its test pipeline.

    Args:
        data: As :func:`make_test_config` returns it.

    Raises:
        InputError: A key, type or text that a detector of a known kind does not need; the message names it.
    """
    if not isinstance(data, dict) or set(data) != set(TEST_KEYS):
        raise InputError(f'its config must have the keys {", ".join(TEST_KEYS)}')
    for key, value in data.items():
        _check_value(value, key)
    known = {'model': layer_types(), 'pipeline': _TRANSFORMS, 'tta_model': _TTA_MODELS}
    for key, value in data.items():
        for name in _types(value):
            if name not in known.get(key, ()):
                raise InputError(f'{key} asks for {name!r}, which is none of the parts that a file may name')
    if not isinstance(data['model'], dict) or data['model'].get('type') not in _DETECTORS:
        raise InputError(f'its model is none of {", ".join(sorted(_DETECTORS))}')
    if not isinstance(data['pipeline'], list) or not data['pipeline']:
        raise InputError('its test pipeline is no list of steps')


def class_count(model: object) -> int | None:
    """Number of classes of a detector's config: that of its box heads; None where none says it."""
    if isinstance(model, Mapping):
        heads = model.get('bbox_head')
        for head in heads if isinstance(heads, list | tuple) else [heads]:
            if isinstance(head, Mapping) and isinstance(head.get('num_classes'), int):
                return head['num_classes']
        return next((count for part in model.values() if (count := class_count(part)) is not None), None)
    return None


def fit_factor(scale: Sequence[int], size: Size) -> float:
    """Factor by which an image of some ``(height, width)`` is enlarged to fit into a long and a short edge."""
    return min(max(scale) / max(size), min(scale) / min(size))


@cache
def layer_types() -> frozenset[str]:
    """Names that a file may build a model of."""
    names = set(_DETECTORS | _MMCV_NAMES)
    for registry in (MODELS, TASK_UTILS):
        while registry is not None:
            names |= {
                name
                for name, kind in registry.module_dict.items()
                if f'{kind.__module__}.'.startswith(_PACKAGES)
                and not f'{kind.__module__}.'.startswith(_EXCLUDED_PACKAGES)
            }
            registry = registry.parent
    return frozenset(names)


def _with_factor(step: Mapping[str, Any]) -> dict[str, Any]:
    scale = step.get('scale', step.get('scale_factor'))
    return {key: value for key, value in step.items() if key != 'scale'} | {'scale_factor': _as_factor(scale)}


def _as_factor(scale: Sequence[int] | float) -> float:
    return float(scale) if isinstance(scale, int | float) else fit_factor(scale, TRAINED_SIZE)


def _check_value(value: object, place: str) -> None:
    """Refuses keys and texts that are no names, and values that are no plain data."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise InputError(f'{place} has a key {str(key)[:60]!r}')
            _check_value(part, f'{place}.{key}')
    elif isinstance(value, list):
        for part in value:
            _check_value(part, place)
    elif isinstance(value, str):
        if not _TEXT.fullmatch(value):
            raise InputError(f'{place} is {value[:60]!r}, where a name belongs')
    elif not (value is None or type(value) in (bool, int, float)):
        raise InputError(f'{place} is a {type(value).__name__}')


def _types(value: object) -> Iterator[object]:
    """Values of all keys ``type``."""
    if isinstance(value, dict):
        if 'type' in value:
            # A list or a number cannot be looked up.
            yield str(value['type'])
        for part in value.values():
            yield from _types(part)
    elif isinstance(value, list):
        for part in value:
            yield from _types(part)


def _evaluate(node: ast.expr) -> Any:
    """Value of a literal, in which ``dict(...)``, ``inf`` and ``nan`` may stand."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        values: dict[Any, Any] = {}
        for argument in node.args:
            values.update(_evaluate(argument))
        for keyword in node.keywords:
            values |= {keyword.arg: _evaluate(keyword.value)} if keyword.arg else _evaluate(keyword.value)
        return values
    if isinstance(node, ast.Dict):
        return {_evaluate(key): _evaluate(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(part) for part in node.elts]
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Name):
        return -_evaluate(node.operand)
    return ast.literal_eval(node)
