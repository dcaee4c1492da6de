"""Processes and weights: what must stand before MMEngine's runner is built."""

import os
import pickle
import urllib.error
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine import dist

from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.paths import display_path


def launcher_of_this_process() -> str:
    """``pytorch`` where torchrun started this process, ``none`` otherwise."""
    return 'pytorch' if 'LOCAL_RANK' in os.environ else 'none'


def join_processes() -> None:
    """Joins the group that torchrun started: NCCL with GPUs, gloo without.

    MMEngine's own start picks a GPU whether there is one or not.

    Raises:
        UsageError: More processes on this machine than GPUs.
    """
    if launcher_of_this_process() == 'none' or dist.is_distributed():
        return
    if not torch.cuda.is_available():
        torch.distributed.init_process_group(backend='gloo')
        return
    wanted, present = int(os.environ.get('LOCAL_WORLD_SIZE', '1')), torch.cuda.device_count()
    if wanted > present:
        raise UsageError(f'{wanted} processes were asked for, and this machine has {present} GPU(s); ask for {present}')
    dist.init_dist('pytorch', backend='nccl')


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


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Contents of a checkpoint, on the CPU.

    Raises:
        InputError: The file is missing, cut short, or holds no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{display_path(path)}: no such checkpoint')
    try:
        # MMEngine keeps its log buffers in checkpoints, which torch's safe loader has to be told of.
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


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Gives back the one sentence of an :class:`InputError` that torch wrapped in a worker's traceback."""
    try:
        yield
    except InputError as error:
        lines = str(error).strip().splitlines()
        if lines[0].startswith('Caught InputError in DataLoader worker'):
            raise InputError(lines[-1].split('InputError: ', 1)[-1]) from None
        raise


def _mmengine_globals() -> list[Any]:
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    # getattr, because a HistoryBuffer pickles its bound methods through it.
    plain_numpy = [np.ndarray, np.dtype, np.float64, *(type(np.dtype(kind)) for kind in ('f8', 'f4', 'i8', 'i4'))]
    return [HistoryBuffer, np._core.multiarray._reconstruct, np._core.multiarray.scalar, getattr, *plain_numpy]
