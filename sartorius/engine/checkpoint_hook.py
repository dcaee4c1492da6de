"""Saving of checkpoints, so that a kill at any moment leaves the best one and one to go on from."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from sartorius.utils.checkpoint_files import LAST_CHECKPOINT, REPLACED_CHECKPOINTS
from sartorius.utils.files import write_text
from sartorius.utils.pending import sync


class _LaterBackend(LocalBackend):
    """Files of a run, of which those that are to be removed are only noted, in the next checkpoint as well."""

    def __init__(self, runner: Runner) -> None:
        self.removed: list[Path] = []
        self._runner = runner

    def remove(self, filepath: str | Path) -> None:
        """Notes that a file is to be removed."""
        self.removed.append(Path(filepath))
        self._runner.message_hub.update_info(REPLACED_CHECKPOINTS, [path.name for path in self.removed])


@HOOKS.register_module(name='CheckpointHook', force=True)
class KeepingCheckpointHook(CheckpointHook):
    """MMEngine's hook, except that an older checkpoint is removed after the one that replaces it is on the disk.

    MMEngine removes it first: a run that is killed in between has no best checkpoint any more. It has the original's
    name, so that every config gets it.
    """

    def before_train(self, runner: Runner) -> None:
        """Sets up saving; of a resumed run, names its checkpoint as the last one and removes those that it replaced.

        A run that was killed between its checkpoint and the note of it leaves a note of the one before, or an empty
        one, and with nothing left to train none would follow. Killed a little later, it leaves the older checkpoints.
        """
        super().before_train(runner)
        resumed = Path(runner.cfg.load_from) if runner.cfg.get('resume') else None
        if resumed and is_main_process() and resumed.parent.resolve() == Path(runner.work_dir).resolve():
            write_text(Path(runner.work_dir, LAST_CHECKPOINT), self.file_backend.join_path(self.out_dir, resumed.name))
            replaced = runner.message_hub.runtime_info.get(REPLACED_CHECKPOINTS, ())
            self._remove([Path(self.out_dir, Path(str(name)).name) for name in replaced], kept=[resumed])

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        with self._removing_afterwards(runner):
            super()._save_checkpoint_with_step(runner, step, meta)
        if is_main_process():
            # MMEngine writes this note without waiting for the disk.
            sync([Path(runner.work_dir, LAST_CHECKPOINT)])

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        with self._removing_afterwards(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removing_afterwards(self, runner: Runner) -> Iterator[None]:
        backend = self.file_backend
        # Saving the best one saves the latest one again; both are done before anything is removed.
        if not isinstance(backend, LocalBackend) or isinstance(backend, _LaterBackend):
            yield
            return
        self.file_backend = later = _LaterBackend(runner)
        try:
            yield
        finally:
            self.file_backend = backend
        self._remove(later.removed, kept=[Path(self.last_ckpt)] if self.last_ckpt else [])

    def _remove(self, checkpoints: Iterable[Path], kept: Iterable[Path]) -> None:
        """Removes checkpoints, except for some and for the best one, of several metrics the best one by each."""
        best = (getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values())
        spared = {path.name for path in (*kept, *(Path(path) for path in best if path))}
        for path in checkpoints:
            if path.name not in spared and path.suffix == '.pth':
                path.unlink(missing_ok=True)
