"""How predictions were made, apart from the fold: what makes the files of several folds one row of the leaderboard."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sartorius.predictions.provenance import (
    BoxSource,
    ConcatenatedSource,
    FusedSource,
    ModelSource,
    RunRecord,
    Source,
    last_part,
)
from sartorius.utils.errors import InputError

UNKNOWN = '?'
HASH_DIGITS = 8


@dataclass(frozen=True)
class RowKey:
    """How predictions were made, apart from the fold: files of equal keys are one row.

    Attributes:
        label: Short description, such as ``mrcnn_r18, TTA (8 orientations)``.
        details: What must agree besides, by name, such as iterations, seed, hash of the config.
    """

    label: str
    details: tuple[tuple[str, str], ...]


def row_key(source: Source, name: str) -> RowKey:
    """Row that predictions belong to.

    Args:
        source: Of the predictions file.
        name: The file, for messages and for predictions that say nothing of their making.

    Raises:
        InputError: A set is concatenated from predictions of different rows.
    """
    if isinstance(source, FusedSource):
        return _key_of_fused(source, name)
    if isinstance(source, ConcatenatedSource):
        keys = {row_key(member.source, name) for member in source.members}
        if len(keys) > 1:
            labels = ' and '.join(sorted(key.label for key in keys))
            raise InputError(f'{name}: concatenated from predictions of different kinds ({labels}); leave the file out')
        return keys.pop()
    if isinstance(source, ModelSource):
        return _key_of_model(source)
    return RowKey(f'{source.kind or "unknown"} {PurePosixPath(name).stem}', ())


def _key_of_model(model: ModelSource) -> RowKey:
    run, boxes = model.run or RunRecord(), model.boxes or BoxSource()
    train, weights = run.data.train, run.weights
    shown = {'tta_orientations': model.tta_orientations, 'tta_scales': model.tta_scales, 'tiles': model.tiles}
    shown = {key: value for key, value in shown.items() if value}
    # The hash of a local file of weights may differ from fold to fold.
    url_sha256 = weights.sha256 if weights is not None and weights.url else None
    details = {
        'iterations': model.iterations,
        'seed': run.seed,
        'precision': run.precision,
        'data': str(PurePosixPath(train.file).parent) if train.file else None,
        'first weights': url_sha256 and url_sha256[:HASH_DIGITS],
        'config': run.config_sha256 and run.config_sha256[:HASH_DIGITS],
        'boxes': json.dumps(row_key(boxes.source, boxes.file or UNKNOWN).details) if boxes.source else None,
        'shown': json.dumps(shown, sort_keys=True) if shown else None,
    }
    known = tuple((name, str(value)) for name, value in details.items() if value is not None)
    return RowKey(_label_of_model(model), known)


def _label_of_model(model: ModelSource) -> str:
    label = model.recipe or UNKNOWN
    if last_part(model.checkpoint).startswith('best_'):
        # Chosen by its score on the very images that it is scored on.
        label += ' (best checkpoint)'
    if model.tta:
        parts = [f'{len(model.tta_orientations)} orientations'] * bool(model.tta_orientations)
        parts += [f'{len(model.tta_scales)} scales'] * (len(model.tta_scales) > 1)
        label += f', TTA ({", ".join(parts)})' if parts else ', TTA'
    if model.tiles:
        height, width = model.tiles['size']
        label += f', tiles of {width}x{height} px, {model.tiles["scale"]:g}x'
    if model.boxes is not None:
        label += f', in boxes of {_label_of_boxes(model.boxes)}'
    return label


def _label_of_boxes(boxes: BoxSource) -> str:
    """What predicted the boxes, by their source or else by the folder that they lie in."""
    if boxes.source:
        return row_key(boxes.source, boxes.file or UNKNOWN).label
    # Only a name to show: the folds of one recipe lie in folders of one name.
    return re.sub(r'_fold\d+$', '', Path(boxes.file or '').parent.name) or UNKNOWN


def _key_of_fused(source: FusedSource, name: str) -> RowKey:
    members = sorted(
        ((row_key(member.source, name), member) for member in source.members),
        key=lambda pair: (pair[0].label, pair[0].details),
    )
    weights = [1.0 if member.weight is None else member.weight for _, member in members]
    labels = [key.label for key, _ in members]
    if len(set(weights)) > 1:
        labels = [f'{weight:g} x {label}' for weight, label in zip(weights, labels, strict=True)]
    settings = {**source.settings, 'score_thresholds': [member.score_threshold for _, member in members]}
    details = [(f'{key.label}: {name}', value) for key, _ in members for name, value in key.details]
    label = f'{source.method} of {_join(labels)}'
    return RowKey(label, (*details, ('settings', json.dumps(settings, sort_keys=True))))


def _join(labels: Sequence[str]) -> str:
    """``a + b, each TTA`` for ``a, TTA`` and ``b, TTA``."""
    ways = {label.partition(', ')[2] for label in labels}
    if len(ways) == 1 and ways != {''}:
        return f'{" + ".join(label.partition(", ")[0] for label in labels)}, each {ways.pop()}'
    return ' + '.join(f'({label})' if ', ' in label else label for label in labels)
