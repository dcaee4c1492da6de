"""Errors of data loader workers: one sentence that says what to do."""

import pytest

from sartorius.engine.launch import plain_worker_errors
from sartorius.utils.errors import InputError


def test_worker_traceback_becomes_its_sentence() -> None:
    wrapped = 'Caught InputError in DataLoader worker process 0.\nTraceback ...\na.b.InputError: x.png: is cut short'
    with pytest.raises(InputError, match=r'^x\.png: is cut short$'), plain_worker_errors():
        raise InputError(wrapped)
