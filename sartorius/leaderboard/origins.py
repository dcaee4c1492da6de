"""What a predictions file says of its making: which models, how they were shown the images, how they were fused."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sartorius.utils.errors import InputError

Source = Mapping[str, Any]
UNKNOWN = '?'


@dataclass(frozen=True)
class Origin:
    """How predictions were made, apart from the fold: equal origins are one row of the results.

    Attributes:
        label: What people call it, such as ``mrcnn_r18, TTA (8 views)``.
        details: What must agree besides, by name, such as iterations, seed, hash of the config.
    """

    label: str
    details: tuple[tuple[str, str], ...]


def origin_of(source: Source, name: str) -> Origin:
    """Reads the origin of a model's or of fused predictions.

    Args:
        source: Of the predictions file.
        name: The file, for messages and for predictions that say nothing.

    Raises:
        InputError: A fused or joined set without members, or joined from sets of different origins.
    """
    kind = source.get('kind')
    if kind == 'fused':
        return _fused(source, name)
    if kind == 'joined':
        origins = {origin_of(member['source'], name) for member in _members(source, name)}
        if len(origins) > 1:
            labels = ' and '.join(sorted(origin.label for origin in origins))
            raise InputError(f'{name}: joined of different things ({labels}); leave the file out')
        return origins.pop()
    if kind == 'model':
        return _model(source)
    return Origin(f'{kind or "unknown"} {PurePosixPath(name).stem}', ())


def models_in(source: Source, name: str) -> Iterator[Source]:
    """The sources of all models behind predictions, through fusions and joins, and of those that found the boxes."""
    if source.get('kind') in ('fused', 'joined'):
        for member in _members(source, name):
            yield from models_in(member['source'], name)
        return
    yield source
    predicted_by = (source.get('boxes') or {}).get('source')
    if predicted_by:
        yield from models_in(predicted_by, name)


def fold_of(source: Source, name: str) -> int | None:
    """Fold whose images were predicted; None where the models do not say one.

    Raises:
        InputError: A model was trained on these images, or models of several folds were fused.
    """
    folds = {_predicted_fold(model) for model in models_in(source, name)}
    for model in models_in(source, name):
        _refuse_trained_on(model, name)
    if source.get('kind') != 'joined' and len(folds) > 1:
        told = ', '.join('no fold' if fold is None else str(fold) for fold in sorted(folds, key=str))
        raise InputError(f'{name}: of models of different folds ({told}), some of which were trained on its images')
    return folds.pop() if len(folds) == 1 else None


def recipe_of(model: Source) -> str:
    """Name of a model's recipe."""
    run = model.get('run') or {}
    return str(run.get('recipe') or Path(str(model.get('config', UNKNOWN))).stem)


def iterations_of(model: Source) -> int | None:
    """Iterations that a model was trained for, by the record of its run or by the name of its checkpoint."""
    run = model.get('run') or {}
    if run.get('iterations_done') is not None:
        return int(run['iterations_done'])
    named = re.search(r'iter_(\d+)', Path(str(model.get('checkpoint', ''))).stem)
    return int(named[1]) if named else None


def _model(source: Source) -> Origin:
    run = source.get('run') or {}
    label = recipe_of(source)
    if Path(str(source.get('checkpoint', ''))).stem.startswith('best_'):
        # Chosen by its score on the very images that it is scored on.
        label += ' (best checkpoint)'
    if source.get('tta'):
        views, scales = source.get('tta_orientations') or [], source.get('tta_scales') or []
        told = [f'{len(views)} views'] * bool(views) + [f'{len(scales)} scales'] * (len(scales) > 1)
        label += f', TTA ({", ".join(told)})' if told else ', TTA'
    if source.get('tiles'):
        height, width = source['tiles']['size']
        label += f', tiles of {width}x{height} px, {source["tiles"]["scale"]:g}x'
    if source.get('boxes'):
        label += f', in boxes of {_owner(source["boxes"])}'
    train = (run.get('data') or {}).get('train') or {}
    boxes = source.get('boxes') or {}
    # Those of a file may differ from fold to fold.
    weights = run.get('weights') or {}
    shown = {key: source[key] for key in ('tta_orientations', 'tta_scales', 'tiles') if source.get(key)}
    details = {
        'iterations': iterations_of(source),
        'seed': run.get('seed'),
        'precision': run.get('precision'),
        'data': str(PurePosixPath(train['file']).parent) if train.get('file') else None,
        'first weights': weights['sha256'][:8] if weights.get('url') else None,
        'config': (run.get('config_sha256') or '')[:8] or None,
        'boxes': json.dumps(origin_of(boxes['source'], boxes['file']).details) if boxes.get('source') else None,
        'shown': json.dumps(shown, sort_keys=True) if shown else None,
    }
    return Origin(label, tuple((name, str(value)) for name, value in details.items() if value is not None))


def _fused(source: Source, name: str) -> Origin:
    members = sorted(
        ((origin_of(member['source'], name), member) for member in _members(source, name)),
        key=lambda pair: (pair[0].label, pair[0].details),
    )
    weights = [float(member.get('weight', 1)) for _, member in members]
    labels = [origin.label for origin, _ in members]
    if len(set(weights)) > 1:
        labels = [f'{weight:g} x {label}' for weight, label in zip(weights, labels, strict=True)]
    settings = {key: value for key, value in source.items() if key not in ('kind', 'members', 'dropped')}
    settings['score_thresholds'] = [member.get('score_threshold') for _, member in members]
    details = [(f'{origin.label}: {key}', value) for origin, _ in members for key, value in origin.details]
    label = f'{source.get("method", "fusion")} of {_join(labels)}'
    return Origin(label, (*details, ('settings', json.dumps(settings, sort_keys=True))))


def _join(labels: list[str]) -> str:
    """``a + b, each TTA`` for ``a, TTA`` and ``b, TTA``."""
    ways = {label.partition(', ')[2] for label in labels}
    if len(ways) == 1 and ways != {''}:
        return f'{" + ".join(label.partition(", ")[0] for label in labels)}, each {ways.pop()}'
    return ' + '.join(f'({label})' if ', ' in label else label for label in labels)


def _members(source: Source, name: str) -> list[Mapping[str, Any]]:
    members = source.get('members')
    if (
        not isinstance(members, list)
        or not members
        or not all(isinstance(one.get('source'), Mapping) for one in members)
    ):
        raise InputError(f'{name}: says it is {source["kind"]}, and not of what; make it again')
    return members


def _owner(boxes: Source) -> str:
    """What found given boxes: what they say, or else the folder that they lie in."""
    if boxes.get('source'):
        return origin_of(boxes['source'], boxes['file']).label
    return re.sub(r'_fold\d+$', '', PurePosixPath(boxes['file']).parent.name) or UNKNOWN


def _predicted_fold(model: Source) -> int | None:
    match = re.match(r'fold(\d+)_', PurePosixPath(str(model.get('annotations', ''))).name)
    return int(match[1]) if match else None


def _refuse_trained_on(model: Source, name: str) -> None:
    run = model.get('run') or {}
    train = PurePosixPath(str(((run.get('data') or {}).get('train') or {}).get('file', ''))).name
    predicted, held_out = _predicted_fold(model), run.get('fold')
    if train == 'all.json':
        raise InputError(
            f'{name}: the model {recipe_of(model)} was trained on all images, these too; leave the file out'
        )
    if predicted is not None and held_out is not None and predicted != held_out:
        raise InputError(
            f'{name}: images of fold {predicted}, on which the model {recipe_of(model)} of fold {held_out} was '
            f'trained; predict with that of fold {predicted}'
        )
