"""Weights and worker errors: one sentence that says what to do."""

from pathlib import Path

import pytest
import torch

from sartorius.engine.launch import fetch_weights, plain_worker_errors, read_checkpoint
from sartorius.utils.errors import InputError


def test_weights_that_cannot_be_downloaded_name_both_ways_round(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    # Port 9 of this machine: nothing listens there.
    with pytest.raises(InputError, match='--load-from FILE.*--from-scratch'):
        fetch_weights('http://127.0.0.1:9/weights.pth')
    assert not list(tmp_path.rglob('*.pth'))


def test_weights_that_were_downloaded_are_taken_from_the_disk(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'weights.pth').write_bytes(b'there')
    assert fetch_weights('http://127.0.0.1:9/weights.pth') == str(tmp_path / 'checkpoints' / 'weights.pth')


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 cut short'])
def test_broken_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'broken\.pth: cannot be read as a checkpoint'):
        read_checkpoint(path)


def test_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'cut.pth'
    torch.save({'state_dict': {'weight': torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r'cut\.pth: cannot be read'):
        read_checkpoint(path)


def test_missing_checkpoint_and_other_content(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such checkpoint'):
        read_checkpoint(tmp_path / 'nothing.pth')
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(InputError, match='holds a list'):
        read_checkpoint(tmp_path / 'list.pth')


def test_worker_traceback_becomes_its_sentence() -> None:
    wrapped = 'Caught InputError in DataLoader worker process 0.\nTraceback ...\na.b.InputError: x.png: is cut short'
    with pytest.raises(InputError, match=r'^x\.png: is cut short$'), plain_worker_errors():
        raise InputError(wrapped)
