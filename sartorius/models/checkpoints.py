"""Checkpoints: read without running code from them, downloaded once, and written whole or not at all."""

import json
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.model import PretrainedInit, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_state_dict

from sartorius.models.downloads import download
from sartorius.models.safe_pickle import check_length, plain_content, trusted_names_only
from sartorius.utils.errors import InputError, closest
from sartorius.utils.files import atomic_path
from sartorius.utils.paths import display_path

MODEL_LISTS = {
    'torchvision': 'torchvision_0.12.json',
    'open-mmlab': 'openmmlab.json',
    'openmmlab': 'openmmlab.json',
}
"""MMEngine's own lists of weights, by the scheme of their names."""
CLASS_LAYERS = ('fc_cls', 'fc_reg', 'conv_logits')
"""Last layers of box and mask heads, whose shape follows from the number of classes."""
# One head for each stage has a number in its name.
_STAGE_HEAD = re.compile(r'(?P<head>.*\.(?:bbox|mask)_head)\.\d+\.(?P<rest>.+)')
# Of files before PyTorch 1.6, which are no zip files.
_LEGACY_PICKLES = 5


def read_checkpoint(path: str | Path, mapped: bool = True) -> dict[str, Any]:
    """Reads the contents of a checkpoint onto the CPU; the only way by which files of weights come into a process.

    Runs nothing that the file says: it may hold tensors, plain values, and the log buffers of MMEngine.

    Args:
        path: The file.
        mapped: Whether tensors stay on the disk until they are used, their checksums uncompared: for a look at what
            stands beside the weights.

    Raises:
        InputError: The file is missing, cut short, holds no checkpoint, or asks for more than the above.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{display_path(path)}: no such checkpoint')
    try:
        archive = zipfile.is_zipfile(path)
        _check_extent(path, archive)
        if archive and not mapped:
            _check_sums(path)
        with trusted_names_only(), warnings.catch_warnings():
            # Of other protocols than torch's; what cannot be read says so.
            warnings.simplefilter('ignore')
            content = torch.load(path, map_location='cpu', weights_only=True, mmap=mapped and archive)
        content = plain_content(content)
    except pickle.UnpicklingError as error:
        raise InputError(
            f'{display_path(path)}: cannot be read as a checkpoint; it is damaged, of another kind, or holds more than '
            f'weights and plain values ({_reason(error)})'
        ) from None
    # A damaged or forged file may fail with any error.
    except Exception as error:
        raise InputError(
            f'{display_path(path)}: cannot be read as a checkpoint; it is cut short or of another kind '
            f'({_reason(error)})'
        ) from None
    if not isinstance(content, dict):
        raise InputError(f'{display_path(path)}: holds a {type(content).__name__}, not a checkpoint')
    if isinstance(meta := content.get('meta'), dict):
        # MMEngine runs this text as Python when a run is resumed; its own checkpoints say "cfg", which is not run.
        meta.pop('config', None)
    return content


def load_from_file(filename: str, map_location: Any = None) -> dict[str, Any]:
    """MMEngine's loader of files and addresses, for ``load_from``, resuming and ``init_cfg``, by our reader.

    Raises:
        InputError: The file cannot be read, or the address is of a kind that is not supported.
    """
    path = download(weights_address(filename)) if '://' in filename else Path(filename).expanduser()
    return read_checkpoint(path, mapped=False)


# In place of all of MMEngine's, which read what torch's safe reader refuses without it.
CheckpointLoader.register_scheme(prefixes=list(CheckpointLoader._schemes), loader=load_from_file, force=True)


def weights_of(content: Mapping[str, Any]) -> Any:
    """State dict of a checkpoint's content, which may be nothing else; unchecked.

    Names lose the ``module.`` that weights have which were saved by several processes.
    """
    weights = content.get('state_dict', content)
    if not isinstance(weights, dict) or not all(str(key).startswith('module.') for key in weights):
        return weights
    return {str(key).removeprefix('module.'): value for key, value in weights.items()}


def check_weights(model: torch.nn.Module, weights: object, name: str) -> None:
    """Checks that weights are a model's own: every one there, of its shape, and finite.

    Args:
        model: The detector.
        weights: A checkpoint's state dict.
        name: File of the weights, for messages.

    Raises:
        InputError: There are no weights, they are another model's, or some are not finite.
    """
    check_finite(weights, name)
    own = model.state_dict()
    # Older PyTorch did not count batches.
    missing = [key for key in own if key not in weights and not key.endswith('num_batches_tracked')]
    unknown = [key for key in weights if key not in own]
    wrong = [key for key in own if key in weights and not _fits(weights[key], own[key])]
    if wrong:
        given, wanted = weights[wrong[0]], own[wrong[0]]
        problem = f'{wrong[0]} is {_describe(given)} in the file, {_describe(wanted)} in the model'
    elif missing or unknown:
        problem = f'the file has no {missing[0]}' if missing else f'the model has no {unknown[0]}'
    else:
        return
    raise InputError(f'{name}: does not fit the config ({problem}); use the config that the model was trained with')


def check_first_weights(model: torch.nn.Module, weights: object, name: str) -> str:
    """Checks first weights of a model, of which a part may fit: a backbone, or layers for another number of classes.

    Args:
        model: What takes them: a detector, or a part of one.
        weights: A state dict.
        name: File of the weights, for messages.

    Returns:
        How many tensors fit, and which layers are of another shape, with the first lengths that differ: ``290 of the
        model's 295 tensors; at random, because their shapes differ: roi_head.bbox_head.fc_cls (81 to 4)``.

    Raises:
        InputError: There are no weights, none of them fits, or some are not finite.
    """
    check_finite(weights, name)
    own = model.state_dict()
    fitting, misfits = 0, {}
    for key, tensor in own.items():
        given = weights.get(key)
        if given is None:
            continue
        if _fits(given, tensor):
            fitting += 1
        elif given.shape != tensor.shape:
            before, after = next(
                (pair for pair in zip(given.shape, tensor.shape, strict=False) if pair[0] != pair[1]),
                (_describe(given), _describe(tensor)),
            )
            misfits.setdefault(key.rpartition('.')[0], f'{before} to {after}')
    if not fitting:
        raise InputError(f'{name}: none of its weights fits the model; give the weights of such a model')
    shapes = ', '.join(f'{layer} ({change})' for layer, change in misfits.items())
    random = f'; at random, because their shapes differ: {shapes}' if shapes else ''
    return f"{fitting} of the model's {len(own)} tensors{random}"


def spread_single_class(model: torch.nn.Module, weights: dict[str, Any]) -> list[str]:
    """Gives weights of a detector of one class the layers of a detector of several, which begins as sure of a cell.

    Every class gets the one class's scores, less the logarithm of the number of classes: the softmax over all classes
    and the background then gives the classes together the probability that the one had. Boxes and masks that are
    learnt for each class are not touched.

    Args:
        model: The detector that takes the weights.
        weights: A state dict of finite tensors; its classification layers are replaced.

    Returns:
        Names of these layers.
    """
    spread = []
    for key, own in model.state_dict().items():
        layer, _, part = key.rpartition('.')
        given = weights.get(key)
        # Scores of the classes come first, that of the background last.
        if not layer.endswith('fc_cls') or given is None or given.shape[0] != 2 or own.shape[0] <= 2:
            continue
        if given.shape[1:] != own.shape[1:]:
            continue
        classes = own.shape[0] - 1
        cell = given[:1] - math.log(classes) if part == 'bias' else given[:1]
        weights[key] = torch.cat([cell.repeat(classes, *(1,) * (given.dim() - 1)), given[1:]])
        spread.append(layer)
    return sorted(set(spread))


def repeat_single_head(model: torch.nn.Module, weights: dict[str, Any]) -> list[str]:
    """Gives each stage of a Cascade R-CNN the one head of a Mask R-CNN, where the weights are of such.

    Args:
        model: The detector that takes the weights.
        weights: A state dict; the heads of the stages take the place of the one head.

    Returns:
        Names of the heads that were repeated.
    """
    stages = {key: match for key in model.state_dict() if (match := _STAGE_HEAD.fullmatch(key))}
    singles = {key: f'{match["head"]}.{match["rest"]}' for key, match in stages.items()}
    found = {key: single for key, single in singles.items() if key not in weights and single in weights}
    weights.update({key: weights[single] for key, single in found.items()})
    for single in set(found.values()):
        del weights[single]
    return sorted({stages[key]['head'] for key in found})


def check_same_architecture(model: torch.nn.Module, weights: Mapping[str, Any], name: str) -> None:
    """Checks that weights fit a detector but for the layers whose shape follows from the number of classes.

    Raises:
        InputError: Another layer is missing in the file or of another shape there.
    """
    for key, tensor in model.state_dict().items():
        if key.split('.')[-2] in CLASS_LAYERS or (key in weights and _fits(weights[key], tensor)):
            continue
        given = f'is of shape {tuple(weights[key].shape)} there' if key in weights else 'is not there'
        raise InputError(
            f'{name}: is of another architecture than the config ({key}, of shape {tuple(tensor.shape)} in the model, '
            f'{given}); it fits configs on mask_rcnn_r18_small.py and cascade_mask_rcnn_r18_small.py of '
            'configs/_base_/models and, with --small, Mask R-CNNs and Cascades of a ResNet-50; name other weights with '
            '--load-from, or take none: --from-scratch'
        )


def check_finite(weights: object, name: str) -> None:
    """Checks that a state dict holds tensors, all of finite numbers.

    Raises:
        InputError: There are none, or some are not finite.
    """
    if not isinstance(weights, Mapping) or not weights:
        raise InputError(f'{name}: holds no weights (its state_dict is missing or empty)')
    for key, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(f'{name}: its entry {str(key)[:80]!r} is no weights')
        if not torch.isfinite(value).all():
            raise InputError(
                f'{name}: the weights {key} are not finite, as after a training that diverged; use an earlier '
                'checkpoint'
            )


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class CheckedPretrainedInit(PretrainedInit):
    """MMEngine's ``init_cfg=dict(type='Pretrained', checkpoint=...)``, which says what fits and refuses what does not.

    The original leaves a backbone at random without a word where no name fits.
    """

    def __call__(self, module: torch.nn.Module) -> None:
        """Loads the weights into a part of a model.

        Raises:
            InputError: The file cannot be read, its weights are not finite, or none fits.
        """
        weights = weights_of(load_from_file(self.checkpoint))
        if self.prefix and isinstance(weights, dict):
            start = self.prefix.removesuffix('.') + '.'
            weights = {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}
        fit = check_first_weights(module, weights, display_path(self.checkpoint))
        print_log(f'{type(module).__name__} starts from {display_path(self.checkpoint)}: {fit}', logger='current')
        load_state_dict(module, weights, strict=False, logger='silent')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


def fetch_weights(source: str) -> str:
    """Local path of pre-trained weights, a file, an address or a name of MMEngine's lists; what is there can be read.

    Raises:
        InputError: The download failed, the address is of a kind that is not supported, or the file is missing or no
            checkpoint.
    """
    path = download(weights_address(source)) if '://' in source else Path(source).expanduser()
    read_checkpoint(path)
    return str(path)


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """MMEngine's local files, but a full disk or a kill in the middle leaves no torn checkpoint behind.

    Named by ``backend_args=dict(backend='atomic')`` of ``CheckpointHook``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes beside ``filepath`` and renames them into place."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)


def _check_extent(path: Path, archive: bool) -> None:
    """Checks that a file's content is no larger than the file, before anything is built of it.

    Raises:
        UnpicklingError: It is larger, or takes too many steps to build.
        Exception: Of the readers of pickles and zip files, where the file is damaged.
    """
    if not archive:
        with path.open('rb') as file:
            check_length(file, _LEGACY_PICKLES)
        return
    with zipfile.ZipFile(path) as source:
        entries = source.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise pickle.UnpicklingError('compressed entries, which torch does not write')
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise pickle.UnpicklingError('entries that overlap')
        if len({entry.filename.lower() for entry in entries}) < len(entries):
            raise pickle.UnpicklingError('two entries of one name')
        for entry in entries:
            if entry.filename.endswith('/data.pkl'):
                with source.open(entry) as file:
                    check_length(file, 1)


def _check_sums(path: Path) -> None:
    """Compares the checksums of an archive, which torch does not: a damaged file would give other weights.

    Raises:
        UnpicklingError: One is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        if part := archive.testzip():
            raise pickle.UnpicklingError(f'the checksum of {part} is wrong')


def _fits(given: torch.Tensor, wanted: torch.Tensor) -> bool:
    return given.shape == wanted.shape and given.is_floating_point() == wanted.is_floating_point()


def _describe(tensor: torch.Tensor) -> str:
    return f'{str(tensor.dtype).removeprefix("torch.")} of shape {tuple(tensor.shape)}'


def weights_address(name: str) -> str:
    """Address of weights; those of MMEngine's lists have names such as ``torchvision://resnet50``.

    Raises:
        InputError: There is no such name, or the address is of another kind, ``file://`` and ``s3://`` among them.
    """
    scheme, _, key = name.partition('://')
    if scheme in ('http', 'https'):
        return name
    if scheme not in MODEL_LISTS:
        raise InputError(f'weights {name}: such addresses are not supported; fetch the file and name its path')
    addresses = json.loads((Path(mmengine.__file__).parent / 'hub' / MODEL_LISTS[scheme]).read_text(encoding='utf-8'))
    if key not in addresses:
        near = closest(key, addresses)
        raise InputError(f'weights {name}: no such name{f"; did you mean {near!r}?" if near else ""}')
    return addresses[key]


def _reason(error: Exception) -> str:
    """First line of an error; of torch's reader what it refused, without its advice to trust the file."""
    text = str(error).split('WeightsUnpickler error:', 1)[-1].strip()
    return text.splitlines()[0].split('. ')[0][:200] if text else type(error).__name__
