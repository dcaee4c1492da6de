"""Checkpoints: read without running code from them, downloaded once, and written whole or not at all."""

import pickle
import urllib.error
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_state_dict

from sartorius.models.safe_pickle import STAND_INS, plain_content
from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path
from sartorius.utils.paths import display_path


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
        with torch.serialization.safe_globals(list(STAND_INS)):
            content = torch.load(path, map_location='cpu', weights_only=True, mmap=mapped and zipfile.is_zipfile(path))
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
    """MMEngine's loader of local files and of URLs, for ``load_from``, resuming and ``init_cfg``, by our reader.

    Raises:
        InputError: The file cannot be read, or the scheme of the address is none of ours.
    """
    remote = filename.startswith(('http://', 'https://'))
    if '://' in filename and not remote:
        raise InputError(
            f'weights {filename}: only files and http(s) addresses are read; fetch the file and name its path'
        )
    return read_checkpoint(fetch_weights(filename) if remote else Path(filename).expanduser(), mapped=False)


# In place of all of MMEngine's, which read what torch's safe reader refuses without it.
CheckpointLoader.register_scheme(prefixes=list(CheckpointLoader._schemes), loader=load_from_file, force=True)


def load_weights(model: torch.nn.Module, weights: Mapping[str, Any], name: str) -> None:
    """Puts weights into a model; every one must be there, of its shape, and finite.

    Args:
        model: Changed in place.
        weights: Its state dict.
        name: File of the weights, for messages.

    Raises:
        InputError: There are no weights, they are another model's, or some are not finite.
    """
    if not isinstance(weights, Mapping) or not any(isinstance(value, torch.Tensor) for value in weights.values()):
        raise InputError(f'{name}: holds no weights (its state_dict is missing or empty)')
    try:
        load_state_dict(model, weights, strict=True)
    except (RuntimeError, AttributeError, TypeError) as error:
        # The first line is a heading.
        lines = [line for line in str(error).splitlines()[1:] if line] or [str(error)]
        raise InputError(
            f'{name}: does not fit the config ({lines[0].strip()[:200]}); use the config that the model was trained '
            'with'
        ) from None
    # Now that all have the shapes of the model.
    for key, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise InputError(
                f'{name}: weights {key} are not finite, as after a training that diverged; use an earlier checkpoint'
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


def _reason(error: Exception) -> str:
    """First line of an error; of torch's reader what it refused, without its advice to trust the file."""
    text = str(error).split('WeightsUnpickler error:', 1)[-1].strip()
    return text.splitlines()[0].split('. ')[0][:200] if text else type(error).__name__
