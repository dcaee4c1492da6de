"""Checkpoints are read safely, downloaded once, and whole or the one before it."""

import struct
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend

from sartorius.models.checkpoints import AtomicBackend, read_checkpoint
from sartorius.utils.errors import InputError


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


def test_a_changed_bit_of_the_weights_is_found(tmp_path: Path) -> None:
    path = tmp_path / 'flipped.pth'
    torch.save({'state_dict': {'weight': torch.full((1000,), 0.5)}}, path)
    content = bytearray(path.read_bytes())
    content[content.index(struct.pack('<f', 0.5) * 20) + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'flipped\.pth: cannot be read .*the checksum of .*data/0 is wrong'):
        read_checkpoint(path, mapped=False)


def test_missing_checkpoint_and_other_content(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such checkpoint'):
        read_checkpoint(tmp_path / 'nothing.pth')
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(InputError, match='holds a list'):
        read_checkpoint(tmp_path / 'list.pth')


def test_the_config_name_gives_the_backend(tmp_path: Path) -> None:
    backend = get_file_backend(str(tmp_path / 'x.pth'), backend_args={'backend': 'atomic'})
    backend.put(b'weights', str(tmp_path / 'new' / 'x.pth'))
    assert isinstance(backend, AtomicBackend)
    assert (tmp_path / 'new' / 'x.pth').read_bytes() == b'weights'


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / 'x.pth'
    target.write_bytes(b'old')

    def half_write(path: Path, content: bytes) -> int:
        with path.open('wb') as file:
            file.write(content[:2])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', half_write)
    with pytest.raises(OSError, match='No space'):
        AtomicBackend().put(b'new weights', target)
    assert target.read_bytes() == b'old'
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']
