"""A checkpoint is whole or the one before it."""

from pathlib import Path

import pytest
from mmengine.fileio import get_file_backend

from sartorius.engine.storage import AtomicBackend


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
