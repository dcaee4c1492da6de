"""Checkpoints that are written whole or not at all."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from sartorius.utils.files import atomic_path


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """MMEngine's local files, but a full disk or a kill in the middle leaves no torn checkpoint behind.

    Named by ``backend_args=dict(backend='atomic')`` of ``CheckpointHook``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes beside ``filepath`` and renames them into place."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)
