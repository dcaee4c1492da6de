"""Which fold the models behind a prediction set were held out from, read from what the set says of its origin."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sartorius.utils.errors import InputError


@dataclass(frozen=True)
class HeldOut:
    """What the models of a prediction set did not see in training.

    Attributes:
        fold: The fold that they validate on, counted from 0.
        amount: Number of images and of cells of that fold; None if no model recorded it. Models of single cell types
            do not: they validate on a part of the fold.
    """

    fold: int
    amount: tuple[int, int] | None


def models_of(source: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and source of every model behind a prediction set: members of a fused or joined one, however deep, and the
    models that found the boxes in which another drew masks.

    Args:
        source: Of the :class:`sartorius.predictions.structures.PredictionSet`.
        name: What messages call the set, for example its file.

    Raises:
        InputError: A fused or joined set that does not tell its members.
    """
    kind = source.get('kind')
    if kind not in ('fused', 'joined'):
        yield name, source
        if source.get('boxes'):
            boxes = source['boxes'] if isinstance(source['boxes'], Mapping) else {}
            # COCO results do not say what found them: a model without a record.
            predicted_by = boxes.get('source')
            yield from models_of(
                predicted_by if isinstance(predicted_by, Mapping) else {}, f'{name}, boxes {boxes.get("file")}'
            )
        return
    members = source.get('members')
    if not isinstance(members, list) or not members:
        raise InputError(f'{name}: says that it is {kind}, and not of what; make it again')
    for member in members:
        if not isinstance(member, Mapping) or not isinstance(member.get('source'), Mapping):
            raise InputError(f'{name}: one of its members has no source; make it again')
        yield from models_of(member['source'], f'{name}, member {member.get("name")}')


def read_held_out(source: Mapping[str, Any], name: str, fold: int | None = None) -> HeldOut:
    """Reads which fold all models of a prediction set were held out from.

    Args:
        source: Of the prediction set; ``run`` in it is the record that the training kept (``run.json``).
        name: What messages call the set, for example its file.
        fold: The fold of models of which nothing is recorded, or None to refuse these.

    Raises:
        InputError: Models of several folds or of several splits, one that was trained on other data than the fold's
            or began with weights of another fold, one without a record while ``fold`` is None, one of another fold than
            ``fold``, or a damaged record.
    """
    folds: dict[int, str] = {}
    amounts: dict[tuple[int, int], str] = {}
    for model, origin in models_of(source, name):
        run = _record_of(origin, model)
        found = _fold_of(run, model)
        if found is None and fold is None:
            raise InputError(
                f'{model}: no record of the fold that the model was held out from, so its labels might carry into a '
                'fold what it learnt from the very images that validate there; name the fold with --fold, or let its '
                'labels train a model of all data with --all-data'
            )
        if found is not None and fold is not None and found != fold:
            raise InputError(f'{model}: was held out from fold {found}, not from --fold {fold}; leave --fold out')
        found = fold if found is None else found
        _check_train_file(run, found, model)
        _check_first_weights(run, found, model)
        folds.setdefault(found, model)
        amount = _amount_of(run, model) if not origin.get('cell_types') else None
        if amount:
            amounts.setdefault(amount, model)
    if len(folds) > 1:
        (one, first), (other, second) = sorted(folds.items())[:2]
        raise InputError(
            f'{first} was held out from fold {one}, {second} from fold {other}: together they have seen the '
            'validation images of both, and their labels can train neither; fuse the models of each fold by themselves'
        )
    if len(amounts) > 1:
        (one, first), (other, second) = sorted(amounts.items())[:2]
        raise InputError(
            f'{first} was held out from {one[0]} images with {one[1]} cells, {second} from {other[0]} with {other[1]}:'
            f' two different splits, though both are called fold {next(iter(folds))}; label with models of one split'
        )
    return HeldOut(next(iter(folds)), next(iter(amounts), None))


def check_unlabelled(source: Mapping[str, Any], name: str) -> None:
    """Refuses predictions that say they are of another split than ``unlabelled``.

    Raises:
        InputError: Naming the split.
    """
    for model, origin in models_of(source, name):
        split = origin.get('split', 'unlabelled')
        if split != 'unlabelled':
            raise InputError(
                f'{model}: predictions of the split {split!r}; pseudo-labels are for images without annotations: '
                'predict with tools/test.py --split unlabelled'
            )


def _record_of(origin: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    run = origin.get('run')
    if run is not None and not isinstance(run, Mapping):
        raise InputError(f'{model}: its run is {run!r}, no record of a training run; predict again')
    return run or {}


def _fold_of(run: Mapping[str, Any], model: str) -> int | None:
    fold = run.get('fold')
    if fold is not None and (type(fold) is not int or fold < 0):
        raise InputError(f'{model}: its run is of fold {fold!r}, which is no whole number from 0; predict again')
    return fold


def _check_train_file(run: Mapping[str, Any], fold: int, model: str) -> None:
    """Refuses a model that validated on the fold, and was trained on another fold's data or on all data."""
    train = _data_of(run, 'train').get('file')
    if not isinstance(train, str):
        return
    file_name = train.replace('\\', '/').rsplit('/', 1)[-1]
    other = re.match(r'fold(\d+)_', file_name)
    if file_name == 'all.json' or (other and int(other[1]) != fold):
        raise InputError(
            f'{model}: was trained on {file_name}, which holds images that fold {fold} validates on; train it with '
            f'--fold {fold}, or let its labels train a model of all data with --all-data'
        )


def _check_first_weights(run: Mapping[str, Any], fold: int, model: str) -> None:
    """Refuses a model that began with the weights of another fold's run, as far as its folder's name says so."""
    weights = run.get('weights')
    file = weights.get('file') if isinstance(weights, Mapping) else None
    folds = [int(found) for found in re.findall(r'(?:^|[/\\_])fold(\d+)[/\\]', file)] if isinstance(file, str) else []
    other = next((found for found in folds if found != fold), None)
    if other is not None:
        raise InputError(
            f'{model}: was held out from fold {fold} and began with weights of fold {other} ({file}), whose run had '
            f'seen what fold {fold} validates on; start it from weights of fold {fold}'
        )


def _amount_of(run: Mapping[str, Any], model: str) -> tuple[int, int] | None:
    data = _data_of(run, 'val')
    if not data:
        return None
    amount = data.get('images'), data.get('cells')
    if not all(type(number) is int for number in amount):
        raise InputError(
            f'{model}: its run was validated on {amount[0]!r} images with {amount[1]!r} cells; predict again'
        )
    return amount


def _data_of(run: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    data = run.get('data')
    of_part = data.get(part) if isinstance(data, Mapping) else None
    return of_part if isinstance(of_part, Mapping) else {}
