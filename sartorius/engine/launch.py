"""Starting processes: torchrun, the group that it forms, and the errors of data loader workers.

``python -m sartorius.engine.launch`` takes torchrun's arguments; its message and exit code are those of the tool that
runs, without torchrun's tracebacks on top.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine import dist

from sartorius.utils.errors import InputError, UsageError


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


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Restores the one sentence of an :class:`InputError` that torch wrapped in a worker's traceback."""
    try:
        yield
    except InputError as error:
        lines = str(error).strip().splitlines()
        if lines[0].startswith('Caught InputError in DataLoader worker'):
            raise InputError(lines[-1].split('InputError: ', 1)[-1]) from None
        raise


def main() -> None:
    """Runs torchrun; exits with the code of the first process that failed."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    # Each of elastic's loggers has a level of its own, read from LOGLEVEL when it was imported.
    for name in logging.root.manager.loggerDict:
        if name.startswith('torch.distributed.elastic'):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        torchrun()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # A process that a signal ended has a negative code.
        sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)
    except SignalException as error:
        # Ctrl-C: the processes have received it, and each has printed how to resume.
        sys.exit(128 + error.sigval)


if __name__ == '__main__':
    main()
