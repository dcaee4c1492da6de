"""torchrun whose end is the tool's own: its message and exit code, without torchrun's tracebacks on top.

``python -m sartorius.engine.torchrun`` takes torchrun's arguments.
"""

import os
import sys


def main() -> None:
    """Runs torchrun; exits with the code of the first process that failed."""
    # Elastic's loggers read their level once, when torch.distributed is imported.
    os.environ.setdefault('LOGLEVEL', 'CRITICAL')
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # A process that a signal ended has a negative code.
        sys.exit(failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode)
    except SignalException as error:
        # Ctrl-C: the processes have been told, and each has said how to go on.
        sys.exit(128 + error.sigval)


if __name__ == '__main__':
    main()
