"""Hooks: post-processing inside predict, seeds that survive a resume, bounded memory, progress bars."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from sartorius.datasets.sartorius import classes_of
from sartorius.engine.config import innermost
from sartorius.models.cpu_ops import give_back_freed_memory
from sartorius.models.outputs import to_image_predictions
from sartorius.postprocess.chain import Chain, build_chain
from sartorius.utils.errors import InputError


@HOOKS.register_module()
class PostprocessHook(Hook):
    """Attaches the post-processing chain to the model, so that it runs inside predict.

    MMEngine evaluates before its ``after_val_iter`` hooks run: a hook that edited outputs there would come too late.
    This one registers a forward hook on the detector before the run instead. Every predicted data sample gets
    ``cells``: an :class:`ImagePredictions` after the chain. ``pred_instances`` is not changed.

    Args:
        steps: The chain in config form; the config's own ``postprocess`` if None.
    """

    def __init__(self, steps: Sequence[dict[str, Any]] | None = None) -> None:
        self.steps = steps

    def before_run(self, runner: Runner) -> None:
        """Attaches the chain; outputs of training are not changed.

        Raises:
            InputError: The chain has numbers per class, and none for a class of the data.
        """
        chain = build_chain(self.steps if self.steps is not None else runner.cfg.postprocess)
        loader = runner.cfg.get('val_dataloader') or runner.cfg.test_dataloader
        attach_chain(runner.model, chain.for_classes(classes_of(innermost(loader.dataset))))


def attach_chain(model: torch.nn.Module, chain: Chain) -> None:
    """Makes every data sample that a detector predicts carry ``cells``, the output of the chain.

    Predicting raises an InputError if the detector predicts boxes without masks.
    """

    def run_chain(_module: torch.nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, list) and all(isinstance(sample, DetDataSample) for sample in output):
            for sample in output:
                pred = to_image_predictions(sample.to_dict())
                if len(pred) and not pred.has_masks:
                    raise InputError(
                        'post-processing needs masks, and the model predicts boxes alone; put _base_/boxes_only.py '
                        'into the config in place of default_runtime.py'
                    )
                sample.set_field(chain(pred), 'cells')
        return output

    detector = model.module if is_model_wrapper(model) else model
    detector.register_forward_hook(run_chain)


@HOOKS.register_module()
class SeedEachIterationHook(Hook):
    """Seeds torch before each training iteration from the run's seed, the rank and the iteration.

    The samplers of anchors and proposals are random; with this, a resumed run samples what an uninterrupted one would.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seeds the generators of all devices."""
        state = np.random.SeedSequence((runner.seed, get_rank(), runner.iter)).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))


@HOOKS.register_module()
class FreedMemoryHook(Hook):
    """Gives freed memory back to the system now and then; a training on a CPU keeps it from one step to the next.

    Args:
        interval: Training iterations between two times.
    """

    def __init__(self, interval: int = 100) -> None:
        self.interval = interval

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Gives it back after every ``interval`` iterations."""
        if self.every_n_train_iters(runner, self.interval):
            give_back_freed_memory()


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows progress bars with ETA for training and prediction, where standard error is a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def before_train(self, runner: Runner) -> None:
        """Opens the bar at the iteration at which the run starts or resumes."""
        self._open('training', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Advances the bar and shows the loss."""
        if self._bar is not None:
            self._bar.update()
            if outputs and 'loss' in outputs:
                self._bar.set_postfix(loss=f'{float(outputs["loss"]):.3f}')

    def after_train(self, runner: Runner) -> None:
        """Closes the bar."""
        self._close()

    def before_test(self, runner: Runner) -> None:
        """Opens the bar."""
        self._open('predicting', len(runner.test_dataloader), 0)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Advances the bar."""
        if self._bar is not None:
            self._bar.update()

    def after_test(self, runner: Runner) -> None:
        """Closes the bar."""
        self._close()

    def _open(self, description: str, total: int, initial: int) -> None:
        from tqdm import tqdm

        if is_main_process() and sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=initial, desc=description, dynamic_ncols=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
