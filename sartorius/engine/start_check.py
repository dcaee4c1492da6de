"""What a training starts or goes on from is checked against what was built, before MMEngine takes what fits of it.

MMEngine leaves at random what a checkpoint lacks, and takes over counters, logs and schedules as they come.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sartorius.models.checkpoints import (
    check_finite,
    check_first_weights,
    check_same_architecture,
    check_weights,
    read_checkpoint,
    repeat_single_head,
    spread_single_class,
    weights_of,
)
from sartorius.models.model_file import is_shipped
from sartorius.utils.checkpoint_files import REPLACED_CHECKPOINTS
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path


@HOOKS.register_module()
class StartCheckHook(Hook):
    """Refuses weights that do not fit the model, and the state of another training; says how many weights fit.

    Of the model of the package all must fit but the layers that follow from the number of classes.
    """

    # EMAHook takes the weights over as well, and must see what this hook makes of them.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Checks what was read, before any of it is taken over.

        Raises:
            InputError: Weights are not finite, do not fit the model (of first weights, none does), or the state of a
                resumed run is not that of such a run.
        """
        name = display_path(runner.cfg.load_from)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not runner.cfg.resume:
            weights = weights_of(checkpoint)
            check_finite(weights, name)
            weights = dict(weights)
            repeated = repeat_single_head(model, weights)
            spread = spread_single_class(model, weights)
            # A file may be nothing but weights; hooks and runner take these.
            checkpoint['state_dict'] = weights
            fit = check_first_weights(model, weights, name)
            if repeated:
                fit += f'; every stage begins with the one {" and ".join(repeated)} of the weights'
            if spread:
                fit += f'; every class begins as the one class of the weights ({", ".join(spread)})'
            if is_shipped(runner.cfg.load_from):
                check_same_architecture(model, weights, name)
                name = f'the model of the package, {name} (--from-scratch for random weights)'
            runner.logger.info(f'starts from {name}: {fit}')
            return
        check_weights(model, weights_of(checkpoint), name)
        if isinstance(averages := checkpoint.get('ema_state_dict'), Mapping):
            # Of an averaging model around the detector, which counts its steps.
            prefix = 'module.'
            own = {key.removeprefix(prefix): value for key, value in averages.items() if str(key).startswith(prefix)}
            check_weights(model, own, name)
        try:
            _check_optimizer(checkpoint['optimizer'], runner.optim_wrapper.optimizer)
            _check_schedulers(checkpoint.get('param_schedulers'), runner.param_schedulers)
        except _OtherRunError as error:
            raise InputError(
                f'{name}: cannot be resumed from: {error}; use the config of that training, or start from its weights '
                'with --load-from'
            ) from None


class _OtherRunError(Exception):
    """What differs between the state in a checkpoint and the run that should take it over."""


def check_resumable(path: str | Path) -> None:
    """Checks that a checkpoint holds the state of a training: counters, log, optimizer.

    Raises:
        InputError: It cannot be read, or lacks one of them.
    """
    content, name = read_checkpoint(path), display_path(path)
    if 'optimizer' not in content:
        raise InputError(f'{name}: has no optimizer state to resume from; start from its weights with --load-from')
    meta, log = content.get('meta'), content.get('message_hub')
    counters = [meta.get(key) for key in ('iter', 'epoch')] if isinstance(meta, dict) else [None]
    if not all(type(counter) is int and counter >= 0 for counter in counters):
        problem = 'its meta has no counts of iterations and epochs'
    elif not isinstance(log, dict) or not all(
        isinstance(log.get(key), dict) for key in ('log_scalars', 'runtime_info', 'resumed_keys')
    ):
        problem = 'its message_hub is none'
    elif not all(isinstance(buffer, HistoryBuffer) for buffer in log['log_scalars'].values()):
        problem = 'its log_scalars hold more than numbers'
    elif not all(isinstance(log['runtime_info'].get(key, []), list) for key in ('keep_ckpt_ids', REPLACED_CHECKPOINTS)):
        problem = 'its runtime_info names no checkpoints'
    else:
        return
    raise InputError(f'{name}: cannot be resumed from: {problem}; start from its weights with --load-from')


def _check_optimizer(state: object, optimizer: torch.optim.Optimizer) -> None:
    """Checks groups, shapes and values of an optimizer's state.

    Raises:
        _OtherRunError: They are those of other weights, or not finite.
    """
    groups = state.get('param_groups') if isinstance(state, Mapping) else None
    values = state.get('state') if isinstance(state, Mapping) else None
    if not isinstance(groups, list) or not isinstance(values, dict):
        raise _OtherRunError('its optimizer has no state')
    own = optimizer.param_groups
    numbers = [group.get('params') if isinstance(group, dict) else None for group in groups]
    if [len(group) if isinstance(group, list) else -1 for group in numbers] != [len(group['params']) for group in own]:
        raise _OtherRunError('its optimizer is one of other weights')
    if any((set(group) ^ set(given)) - {'initial_lr'} for group, given in zip(own, groups, strict=True)):
        raise _OtherRunError('its optimizer is of another kind')
    parameters = [parameter for group in own for parameter in group['params']]
    for number, parameter in zip((number for group in numbers for number in group), parameters, strict=True):
        for key, value in (values.get(number) or {}).items():
            if isinstance(value, torch.Tensor):
                if value.dim() and value.shape != parameter.shape:
                    raise _OtherRunError(f'{key} of its optimizer is of shape {tuple(value.shape)}')
                if not torch.isfinite(value).all():
                    raise _OtherRunError(f'{key} of its optimizer is not finite, as after a training that diverged')


def _check_schedulers(states: object, schedulers: object) -> None:
    """Checks that the states of schedules are of such schedules, which take over whatever stands there.

    Raises:
        _OtherRunError: They are of others.
    """
    if not isinstance(schedulers, list):
        return
    if not isinstance(states, list) or len(states) != len(schedulers):
        raise _OtherRunError(f'it has no state of {len(schedulers)} schedules')
    for state, scheduler in zip(states, schedulers, strict=True):
        own = scheduler.state_dict()
        if not isinstance(state, dict) or set(state) != set(own):
            raise _OtherRunError(f'it has no state of a {type(scheduler).__name__}')
