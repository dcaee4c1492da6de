"""Checkpoints: read without running code from them, downloaded once, and written whole or not at all."""

import json
import pickle
import urllib.error
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine import dist
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import CheckpointLoader

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
# Of files before PyTorch 1.6, which are no zip files.
_LEGACY_PICKLES = 5


def read_checkpoint(path: str | Path, mapped: bool = True) -> dict[str, Any]:
    """Reads the contents of a checkpoint onto the CPU; the only way by which files of weights come into a process.

    Runs nothing that the file says: it may hold tensors, plain values, and the log buffers of MMEngine.

    Args:
        path: The file.
        mapped: Whether tensors stay on the disk until they are used; for what is read once.

    Raises:
        InputError: The file is missing, cut short, holds no checkpoint, or asks for more than the above.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{display_path(path)}: no such checkpoint')
    try:
        archive = zipfile.is_zipfile(path)
        _check_extent(path, archive)
        with trusted_names_only():
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
    path = fetch_weights(_address(filename)) if '://' in filename else Path(filename).expanduser()
    return read_checkpoint(path, mapped=False)


# In place of all of MMEngine's, which read what torch's safe reader refuses without it.
CheckpointLoader.register_scheme(prefixes=list(CheckpointLoader._schemes), loader=load_from_file, force=True)


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
    wrong = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    if wrong:
        shapes = f'{tuple(weights[wrong[0]].shape)} in the file, {tuple(own[wrong[0]].shape)} in the model'
        problem = f'{wrong[0]} is of shape {shapes}'
    elif missing or unknown:
        problem = f'the file has no {missing[0]}' if missing else f'the model has no {unknown[0]}'
    else:
        return
    raise InputError(f'{name}: does not fit the config ({problem}); use the config that the model was trained with')


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


def fetch_weights(source: str) -> str:
    """Local path of pre-trained weights; those at a URL are downloaded once, by the first process.

    Raises:
        InputError: The download failed, or the file is missing or no checkpoint.
    """
    if not source.startswith(('http://', 'https://')):
        read_checkpoint(source)
        return source
    target = Path(torch.hub.get_dir()) / 'checkpoints' / Path(source).name
    if dist.is_main_process() and not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(source, str(target))
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, 'reason', error)
            raise InputError(
                f'cannot download the pre-trained weights {source} ({reason}); either fetch that file elsewhere and '
                'give it with --load-from FILE, or train without it: --from-scratch'
            ) from None
    dist.barrier()
    return str(target)


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


def _address(name: str) -> str:
    """Address of weights; those of MMEngine's lists have names such as ``torchvision://resnet50``."""
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
