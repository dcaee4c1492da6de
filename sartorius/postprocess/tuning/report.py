"""Tuning results as Markdown that is readable in a terminal, and as the evidence saved with the chain."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sartorius.evaluation.bootstrap import CONFIDENCE, Estimate
from sartorius.evaluation.metric import NO_CELL_TYPE
from sartorius.postprocess.tuning.grid import TUNABLE_PARAMETERS
from sartorius.postprocess.tuning.selection import ALL_CLASSES, NO_CLASS, Choice
from sartorius.postprocess.tuning.step_gains import StepGain
from sartorius.postprocess.tuning.tuner import TuningResult
from sartorius.utils.classes import class_order
from sartorius.utils.tables import markdown_table

FEW_GROUPS = 10
"""With fewer groups bootstrap intervals are too narrow."""

MAX_NOTES = 3
"""Classes without images are named one by one up to this number."""


def format_result(result: TuningResult) -> str:
    """The settings, notes on each class, and the scores."""
    parts = [_settings_table(result), '\n'.join(f'- {note}' for note in notes(result)), _score_table(result)]
    return '\n\n'.join(part for part in parts if part)


def format_steps(gains: Sequence[StepGain]) -> str:
    """The gain of each step as a table."""
    interval = f'{CONFIDENCE:.0%} interval'
    header = ['step', 'mAP so far', interval, 'adding it', interval, 'lost without it', interval]
    rows = []
    for gain in gains:
        name = gain.name if gain.added is None else f'+ {gain.name}'
        changes = [cell for change in (gain.added, gain.dropped) for cell in _cells(change, '+.4f')]
        rows.append([name, *_cells(gain.score, '.4f'), *changes])
    return markdown_table(header, rows)


def notes(result: TuningResult) -> list[str]:
    """Sentences on classes that keep their starting values or have too few groups to cross-validate, and on groups."""
    names = class_order(result.settings)
    without = [name for name in names if name not in result.choices]
    if len(without) > MAX_NOTES:
        names = class_order(result.choices)
    sentences = [f'{name}: {_note_on(result.choices.get(name))}' for name in names]
    sentences = [sentence for sentence in sentences if not sentence.endswith(': ')]
    if len(without) > MAX_NOTES:
        sentences.append(
            f'{len(without)} of {len(result.settings)} classes have no images: they keep their starting values'
        )
    images = result.images
    is_voted = ~images['voted'].isin([NO_CLASS, ALL_CLASSES])
    other = int(((images['voted'] != images['cell_type']) & is_voted).sum())
    if other:
        sentences.append(
            f'{other} of {len(images)} images are voted another class than most of their ground truth: they are '
            'tuned with that class'
        )
    if result.settings == result.before:
        sentences.append(
            'nothing changed: the score of the starting chain is unbiased, as no image here was used to choose it'
        )
    groups = result.images['group'].nunique()
    if groups == 1:
        sentences.append(
            'a single group cannot be cross-validated: the cross-validated scores are those of the starting chain'
        )
    elif groups < FEW_GROUPS:
        sentences.append(f'{groups} groups in total: with fewer than {FEW_GROUPS} the intervals are too narrow')
    return sentences


def evidence(result: TuningResult, gains: Sequence[StepGain] = ()) -> dict[str, Any]:
    """The figures as JSON types."""
    names = ('start', 'tuned', 'cross_validated')
    types = result.images['cell_type'].unique().tolist()
    return {
        'images': _counts(result, 'image_id'),
        'groups': _counts(result, 'group'),
        'settings_tried': int(np.prod(result.grid.shape)),
        'folds': len(result.fold_chains),
        'scores': {
            name: {
                **_plain(result.estimate(name)),
                'per_class': {own: result.estimate(name, None, own).mean for own in types},
            }
            for name in names
        },
        'gain': _plain(result.estimate('cross_validated', 'start')),
        'optimism': _plain(result.estimate('tuned', 'cross_validated')),
        'steps': [{'name': gain.name, **{key: _plain(own) for key, own in _parts(gain).items()}} for gain in gains],
    }


def _settings_table(result: TuningResult) -> str:
    images, groups = _counts(result, 'image_id'), _counts(result, 'group')
    rows = []
    for name in class_order(result.settings):
        before, after = result.before[name], result.settings[name]
        changes = [
            f'{before[parameter]:g}'
            if before[parameter] == after[parameter]
            else f'{before[parameter]:g} -> {after[parameter]:g}'
            for parameter in result.grid.axes
        ]
        rows.append([name, images[name], groups[name], *changes])
    return markdown_table(
        ['class', 'images', 'groups', *(TUNABLE_PARAMETERS[parameter].title for parameter in result.grid.axes)], rows
    )


def _score_table(result: TuningResult) -> str:
    interval = f'{CONFIDENCE:.0%} interval'
    header = ['mAP', 'start', 'tuned', 'cross-validated', interval, 'gain', interval, 'optimism']
    present = set(result.images['cell_type'])
    rows = []
    for name in ('all', *class_order(present - {NO_CELL_TYPE})):
        own = None if name == 'all' else name
        start, tuned = (result.estimate(column, None, own).mean for column in ('start', 'tuned'))
        unseen = result.estimate('cross_validated', None, own)
        gain = result.estimate('cross_validated', 'start', own)
        optimism = f'{tuned - unseen.mean:+.4f}'
        rows.append([name, f'{start:.4f}', f'{tuned:.4f}', *_cells(unseen, '.4f'), *_cells(gain, '+.4f'), optimism])
    explained = (
        'tuned: on the images that it was tuned on, biased upwards; cross-validated: each image with the settings\n'
        'that were chosen without its group; gain: cross-validated minus start; optimism: tuned minus cross-validated.'
    )
    return f'{markdown_table(header, rows)}\n\n{explained}'


def _note_on(choice: Choice | None) -> str:
    if choice is None:
        return 'no images: keeps its starting values'
    if choice.groups == 1:
        return 'images of a single group, which cannot tell a gain from chance: keeps its starting values'
    note = ''
    if choice.gain <= 0:
        note = 'nothing better found: keeps its starting values'
    elif not choice.is_better:
        note = f'gain {choice.gain:.4f}, standard error {choice.error:.4f}: may be chance, keeps its starting values'
    if choice.groups == 2:
        rest = '2 groups are too few to leave one out: cross-validated with its starting values'
        note = f'{note}; {rest}' if note else rest
    return note


def _counts(result: TuningResult, column: str) -> dict[str, int]:
    """Images or groups of each class that the chain voted for."""
    return {
        name: int(result.images.loc[result.images['voted'] == name, column].nunique())
        for name in class_order(result.settings)
    }


def _parts(gain: StepGain) -> dict[str, Estimate]:
    parts = {'score': gain.score, 'added': gain.added, 'dropped': gain.dropped}
    return {key: part for key, part in parts.items() if part is not None}


def _plain(own: Estimate) -> dict[str, Any]:
    return {'score': own.mean, 'interval': [own.low, own.high]}


def _cells(own: Estimate | None, form: str) -> tuple[str, str]:
    """Mean and interval as two cells of a table; no interval where nothing varies, as in a single group."""
    if own is None:
        return '', ''
    # Rounded and without the sign that a zero may have.
    mean, low, high = (f'{round(number, 4) + 0:{form}}' for number in own)
    return mean, '-' if low == high else f'{low} to {high}'
