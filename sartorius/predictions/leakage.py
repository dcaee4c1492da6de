"""The leakage rule: whether the models behind predictions have learnt from the images that these will be judged by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from sartorius.annotations.info import ALL
from sartorius.predictions.provenance import (
    ConcatenatedSource,
    DataRecord,
    ForeignSource,
    FusedSource,
    ModelSource,
    RunRecord,
    Source,
    boxes_name,
    iter_models,
    last_part,
    member_name,
)
from sartorius.utils.errors import InputError

Amount = tuple[int, int]
"""Numbers of images and of cells."""


FIX = 'predict each fold with the model that it is held out from: tools/test.py --split val --fold K'


class Unknown(Enum):
    """What becomes of a model of which nothing tells what it was trained on."""

    REFUSE = 'refuse'
    """For predictions that become labels (pseudo-labelling): the whole set is refused."""

    NOTE = 'note'
    """For predictions that are scored or compared: the model is named in :attr:`HeldOut.unknown`."""


@dataclass(frozen=True)
class HeldOut:
    """What the models behind a prediction set were not trained on.

    Attributes:
        folds: By fold that is held out from models of the set: its numbers of images and cells, None if no model
            recorded them.
        unknown: One sentence per model of which it is not known.
    """

    folds: Mapping[int, Amount | None]
    unknown: tuple[str, ...] = ()

    @property
    def fold(self) -> int | None:
        """The fold; None if none is known, or several of a concatenated set."""
        return next(iter(self.folds)) if len(self.folds) == 1 else None

    @property
    def amount(self) -> Amount | None:
        """Numbers of images and cells of :attr:`fold`."""
        return None if self.fold is None else self.folds[self.fold]


def check_leakage(source: Source, name: str, unknown: Unknown = Unknown.NOTE, fold: int | None = None) -> HeldOut:
    """Refuses predictions of models that are known to have learnt from the images that the predictions are judged by.

    These images are the validation images of a fold: the fold that was predicted, or, for images without annotations
    that become labels of a fold, the fold that these labels will train. This is the only such rule. Pseudo-labelling
    uses it with ``Unknown.REFUSE``; missing cells, leaderboard, model card and the fusion of specialists use it with
    ``Unknown.NOTE``. What it says of

    - *the model itself*: the fold that its run held out must be the fold that it predicted. It must not have been
      trained on the predicted file (the same hash or the same file name), on a training file of another fold, on all
      data, or have predicted the training images of a fold. Test images train no model.
    - *a model without a record of its training*, or with one that does not tell: ``unknown`` decides. With ``fold``
      the caller answers for it; a record that says another fold speaks against the caller, and is refused.
    - *pre-training*: every run behind the first weights must be of the same fold or of no fold, and not of all data of
      the same origin. First weights without a record (COCO, ImageNet) are taken for those of other data.
    - *members of fused sets and finders of box prompts*: each is a model like any other, however deep, and all must be
      of the same fold: two models of different folds have together seen the validation images of both. Only the
      members of a concatenated set may be of different folds, since no two of them share an image; with
      ``Unknown.REFUSE`` these must agree too, since labels train one fold.
    - *specialists*: a model of single cell types is held out from its fold as others are, but validates on a part of
      it; its numbers of images and cells are not compared.
    - *redrawn folds*: models of one fold number must have validated on equally many images and cells, and on the
      predicted file if both hashes are known. Otherwise two different splits have the same fold numbers.

    Args:
        source: Of the prediction set.
        name: What messages call the set, for example its file.
        unknown: What becomes of models of which it is not known.
        fold: The fold of models whose record does not say one; None if the caller does not know it.

    Raises:
        InputError: As above, naming the model.
    """
    check = _Check(unknown, fold)
    folds = check.folds_of(source, name)
    check.check_amounts()
    if unknown is Unknown.REFUSE and len(folds) > 1:
        raise _of_several_folds(folds)
    return HeldOut({one: next(iter(check.amounts.get(one, ())), None) for one in sorted(folds)}, tuple(check.notes))


def check_split(source: Source, name: str, split: str) -> None:
    """Refuses predictions that say that they are of another split.

    Raises:
        InputError: Naming the split that was predicted.
    """
    for model_name, model in iter_models(source, name):
        if model.split not in (None, split):
            raise InputError(f'{model_name}: predictions of the split {model.split!r}; predict with --split {split}')


@dataclass
class _Check:
    """State of one check: the policy, and the results so far.

    Attributes:
        amounts: By fold: numbers of images and cells that models validated on, with the first model that did.
        notes: Sentences on models of which nothing is known.
    """

    unknown: Unknown
    fold: int | None
    amounts: dict[int, dict[Amount, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def folds_of(self, source: Source, name: str) -> dict[int, str]:
        """Folds that the models of a set hold out, with the first model of each; empty if none is known."""
        if isinstance(source, ConcatenatedSource | FusedSource):
            parts = [self.folds_of(member.source, member_name(name, member)) for member in source.members]
            return _union(parts) if isinstance(source, ConcatenatedSource) else _common(parts)
        model = source if isinstance(source, ModelSource) else ModelSource()
        parts = [self._folds_of_model(model, name)]
        if model.boxes is not None:
            parts.append(self.folds_of(model.boxes.source or ForeignSource(), boxes_name(name, model.boxes)))
        return _common(parts)

    def _folds_of_model(self, model: ModelSource, name: str) -> dict[int, str]:
        if model.split == 'test':
            return {}
        run = model.run or RunRecord()
        if self.fold is not None and run.fold not in (None, self.fold):
            raise InputError(
                f'{name}: was held out from fold {run.fold}, not from --fold {self.fold}; leave --fold out'
            )
        known = (number for number in (model.val_fold, run.fold, self.fold) if number is not None)
        target = next(known, None)
        self._check_training_data(model, run, target, name)
        if target is not None:
            _check_first_weights(run, target, name)
        if not self._is_held_out(model, run):
            self._refuse_or_note(model, name)
        if target is None:
            return {}
        self._add_amount(model, run.data.val, target, name)
        return {target: name}

    def _check_training_data(self, model: ModelSource, run: RunRecord, target: int | None, name: str) -> None:
        train = run.data.train
        same_name = train.file_name != '' and train.file_name == last_part(model.annotations)
        if same_name or (train.sha256 is not None and train.sha256 == model.annotations_sha256):
            raise InputError(f'{name}: was trained on {train.file_name}, and so on the images that it predicted; {FIX}')
        if model.split == 'train' and run.fold is not None:
            raise InputError(f'{name}: predicted training images of a fold, and was trained on such itself; {FIX}')
        if train.split == ALL and (target is not None or model.split != 'unlabelled'):
            those = 'these too' if target is None else f'those that fold {target} validates on too'
            raise InputError(f'{name}: was trained on all annotated images ({train.file_name}), {those}; {self._fix}')
        if target is None:
            return
        if run.fold not in (None, target):
            raise InputError(
                f'{name}: was held out from fold {run.fold} and predicted images of fold {target}, which it was '
                f'trained on; {self._fix}'
            )
        if train.fold not in (None, target):
            raise InputError(
                f'{name}: was trained on {train.file_name} of fold {train.fold}, which holds images that fold {target} '
                f'validates on; {self._fix}'
            )

    def _is_held_out(self, model: ModelSource, run: RunRecord) -> bool:
        """Whether something tells that the model was not trained on the images that it is judged by."""
        if model.split == 'unlabelled' or self.fold is not None:
            return run.fold is not None or self.fold is not None
        # One name may have stood for another split of the data; the hashes tell.
        if model.annotations_sha256 and run.data.val.sha256:
            return model.annotations_sha256 == run.data.val.sha256
        return model.val_fold is not None and model.val_fold == run.fold

    def _refuse_or_note(self, model: ModelSource, name: str) -> None:
        if self.unknown is Unknown.REFUSE:
            raise InputError(
                f'{name}: no record of the fold that is held out from the model, so its labels might carry into a '
                'fold what it learnt from the very images that validate there; name the fold with --fold, or let its '
                'labels train a model of all data with --all-data'
            )
        if model.run is None:
            note = 'no record of its training; it may have learnt from the very images that it predicted'
        else:
            predicted = last_part(model.annotations) or 'no file is named'
            note = f'nothing tells whether it was trained on what it predicted ({predicted})'
        self.notes.append(f'{name}: {note}')

    def _add_amount(self, model: ModelSource, val: DataRecord, fold: int, name: str) -> None:
        if model.cell_types or val == DataRecord():
            return
        if val.images is None or val.cells is None:
            raise InputError(
                f'{name}: its run was validated on {val.images} images with {val.cells} cells; predict again'
            )
        self.amounts.setdefault(fold, {}).setdefault((val.images, val.cells), name)

    def check_amounts(self) -> None:
        """Refuses models that call different splits by the same fold number."""
        for fold, amounts in self.amounts.items():
            if len(amounts) > 1:
                (one, first), (other, second) = sorted(amounts.items())[:2]
                raise InputError(
                    f'{first} was held out from {one[0]} images with {one[1]} cells, {second} from {other[0]} with '
                    f'{other[1]}: two different splits, though both are called fold {fold}; use models of one split'
                )

    @property
    def _fix(self) -> str:
        if self.unknown is Unknown.NOTE:
            return FIX
        return 'train it with --fold, or let its labels train a model of all data with --all-data'


def _check_first_weights(run: RunRecord, target: int, name: str) -> None:
    """Refuses a model that began, however far back, with weights of a run that saw what the fold validates on."""
    for weights in run.all_weights():
        begun = weights.run
        if begun is None:
            _check_weights_without_record(weights.file or '', target, name)
            return
        fold = next((fold for fold in (begun.fold, begun.data.train.fold) if fold not in (None, target)), None)
        origins = {run.data.train.origin, begun.data.train.origin} - {None}
        if fold is not None or (begun.data.train.split == ALL and len(origins) < 2):
            those = 'all data' if fold is None else f'fold {fold}'
            raise InputError(
                f'{name}: was held out from fold {target} and began with weights of {those} ({weights.file}), whose '
                f'run had seen what fold {target} validates on; start it from weights of fold {target}'
            )


def _check_weights_without_record(file: str, target: int, name: str) -> None:
    """Refuses weights of which only their folder, such as ``fold1/``, tells a fold, and another one than the target."""
    numbers = {int(digits) for digits in re.findall(r'(?:^|[\\/])fold(\d+)(?=[\\/])', file)}
    if numbers - {target}:
        raise InputError(
            f'{name}: was held out from fold {target} and began with weights without a record that lie in {file}, and '
            f'so may have seen what fold {target} validates on; start it from weights that carry their record '
            '(tools/train.py writes it), or move them out of that folder if they saw none of the data'
        )


def _union(parts: Sequence[Mapping[int, str]]) -> dict[int, str]:
    folds: dict[int, str] = {}
    for part in parts:
        for fold, name in part.items():
            folds.setdefault(fold, name)
    return folds


def _common(parts: Sequence[Mapping[int, str]]) -> dict[int, str]:
    """The folds of all parts together, which must agree; parts of which none is known do not count."""
    known = [part for part in parts if part]
    folds = _union(known)
    if any(part.keys() != folds.keys() for part in known):
        raise _of_several_folds(folds)
    return folds


def _of_several_folds(folds: Mapping[int, str]) -> InputError:
    (one, first), (other, second) = sorted(folds.items())[:2]
    return InputError(
        f'{first} was held out from fold {one}, {second} from fold {other}: together they have seen the validation '
        'images of both, and neither can be judged or labelled by them; fuse the models of each fold by themselves'
    )
