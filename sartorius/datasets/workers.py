"""How the data loader's worker processes start."""

import signal

from mmengine.registry import FUNCTIONS


@FUNCTIONS.register_module()
def leave_interrupts_to_the_main_process(worker_id: int) -> None:
    """Keeps Ctrl-C from printing a traceback a worker; the main process ends them.

    Seeding is not needed here: :class:`sartorius.datasets.draws.SeededDraws` seeds every sample.

    Args:
        worker_id: Number of the worker; torch passes it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
