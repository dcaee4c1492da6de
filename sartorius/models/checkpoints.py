"""Checkpoints: read without running code from them, downloaded once, and written whole or not at all."""

import pickle
import urllib.error
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.fileio import LocalBackend, register_backend

from sartorius.utils.errors import InputError
from sartorius.utils.files import atomic_path
from sartorius.utils.paths import display_path


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads the contents of a checkpoint onto the CPU.

    Raises:
        InputError: The file is missing, cut short, or holds no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{display_path(path)}: no such checkpoint')
    try:
        # MMEngine keeps its log buffers in checkpoints; torch's safe loader needs a list of such types.
        with torch.serialization.safe_globals(_mmengine_globals()):
            content = torch.load(path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f'{display_path(path)}: cannot be read as a checkpoint; it is cut short or of another kind ({reason})'
        ) from None
    if not isinstance(content, dict):
        raise InputError(f'{display_path(path)}: holds a {type(content).__name__}, not a checkpoint')
    return content


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


def _mmengine_globals() -> list[Any]:
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    # getattr, because a HistoryBuffer pickles its bound methods through it.
    plain_numpy = [np.ndarray, np.dtype, np.float64, *(type(np.dtype(kind)) for kind in ('f8', 'f4', 'i8', 'i4'))]
    return [HistoryBuffer, np._core.multiarray._reconstruct, np._core.multiarray.scalar, getattr, *plain_numpy]
