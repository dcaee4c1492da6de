"""Ends of a run on several processes: one sentence that says what to do, and the exit code of the tool."""

import logging

import pytest
import torch.distributed.run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from sartorius.engine import launch
from sartorius.engine.launch import plain_worker_errors
from sartorius.utils.errors import InputError


def test_worker_traceback_becomes_its_sentence() -> None:
    wrapped = 'Caught InputError in DataLoader worker process 0.\nTraceback ...\na.b.InputError: x.png: is cut short'
    with pytest.raises(InputError, match=r'^x\.png: is cut short$'), plain_worker_errors():
        raise InputError(wrapped)


@pytest.mark.parametrize(
    ('error', 'code'),
    [
        (ChildFailedError('test.py', {1: ProcessFailure(1, 999, 2, 'none')}), 2),
        # Ended by SIGKILL, as for lack of memory.
        (ChildFailedError('test.py', {0: ProcessFailure(0, 999, -9, 'none')}), 137),
        (SignalException('Ctrl-C', 2), 130),
    ],
)
def test_exit_code_without_messages_of_torchrun(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    def torchrun() -> None:
        raise error

    elastic = logging.getLogger('torch.distributed.elastic.multiprocessing.api')
    monkeypatch.setattr(elastic, 'level', logging.INFO)
    monkeypatch.setattr(torch.distributed.run, 'main', torchrun)
    with pytest.raises(SystemExit) as end:
        launch.main()
    assert end.value.code == code
    assert elastic.level == logging.CRITICAL
