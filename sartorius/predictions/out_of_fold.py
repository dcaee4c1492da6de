"""Whether the models behind a prediction set learnt from the very images that they predicted."""

import re
from collections.abc import Mapping
from typing import Any

from sartorius.predictions.held_out import models_of, read_held_out
from sartorius.utils.errors import InputError

FIX = 'predict each fold with the model that it was held out from: tools/test.py --split val --fold K'


def check_out_of_fold(source: Mapping[str, Any], name: str) -> list[str]:
    """Refuses predictions of a model that is known to have been trained on the images that it predicted.

    What is known stands in the source of each model: the annotation file that was predicted, and in the record of its
    training (``run.json``) the files that it was trained and validated on. Test images train no model.

    Args:
        source: Of the :class:`sartorius.predictions.structures.PredictionSet`.
        name: What messages call the set, for example its file.

    Returns:
        One sentence on each model of which nothing tells what it was trained on; empty if all are held out.

    Raises:
        InputError: A model that was trained on what it predicted, or a source that says no sound thing of its members.
    """
    sentences = [_check_model(origin, model) for model, origin in models_of(source, name)]
    return [sentence for sentence in sentences if sentence]


def _check_model(origin: Mapping[str, Any], model: str) -> str:
    """What is not known of a model, or an empty string."""
    if origin.get('split') == 'test':
        return ''
    run = origin.get('run')
    if not isinstance(run, Mapping):
        return f'{model}: no record of its training; it may have learnt from the very images that it predicted'
    predicted, digest = _file_name(origin.get('annotations')), origin.get('annotations_sha256')
    train, val = _data_of(run, 'train'), _data_of(run, 'val')
    trained = _file_name(train.get('file'))
    same = (digest and digest == train.get('sha256')) or (predicted and predicted == trained)
    if same or (trained == 'all.json' and origin.get('split') != 'unlabelled'):
        raise InputError(f'{model}: was trained on {trained}, and so on the images that it predicted; {FIX}')
    fold = run.get('fold')
    of_fold = re.match(r'fold(\d+)_val', predicted)
    if of_fold and type(fold) is int and int(of_fold[1]) != fold:
        raise InputError(
            f'{model}: was held out from fold {fold} and predicted {predicted}, which it was trained on; {FIX}'
        )
    if fold is not None:
        # A fold that is no number, a training file of another fold, first weights of another fold.
        read_held_out({'run': run}, model)
    held_out = of_fold is not None and fold is not None
    # The same name may have stood for another split of the data; the hashes tell.
    if digest and val.get('sha256'):
        held_out = digest == val['sha256']
    if held_out:
        return ''
    return f'{model}: nothing tells whether it was trained on what it predicted ({predicted or "no file is named"})'


def _data_of(run: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    data = run.get('data')
    of_part = data.get(part) if isinstance(data, Mapping) else None
    return of_part if isinstance(of_part, Mapping) else {}


def _file_name(path: object) -> str:
    """Last part of a path of any system, or an empty string."""
    return path.replace('\\', '/').rsplit('/', 1)[-1] if isinstance(path, str) else ''
