"""How much memory a training step will take, from the shapes of the model and the data."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from sartorius.engine.config_check.data import SplitBoxes, innermost
from sartorius.engine.config_check.geometry import ENDS, shown_sizes
from sartorius.engine.config_check.limits import max_training_cells
from sartorius.engine.config_check.report import OK, WARNING, Report
from sartorius.engine.config_check.shapes import KeptMemory, run_roi_heads, run_trunk
from sartorius.masks.crop import Size

TOPIC = 'memory'
GIB = 2**30
FLOAT = 4
# Bytes an anchor and image beside the network's own outputs: labels, targets and weights of the loss, and their copies.
BYTES_AN_ANCHOR = 200
# MMDetection's IoU holds this many numbers a pair (docstring of ChunkedBboxOverlaps2D); the result itself is one.
NUMBERS_A_PAIR = 8.6
# Freed blocks that the allocator keeps, and moments when a gradient and its copy both live. Without it the estimate was
# .74 to 1.08 of what small trainings on a CPU really added, at the number of regions that they really had.
SLACK = 1.15
# DenseSoftLabelAssigner: IoUs, cost and the terms it is added up from.
MATRICES_OF_POINTS = 8


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the peak of a training step.

    Attributes:
        weights: Weights, their gradients, the optimiser's state and moving averages.
        trunk: What the backward pass needs of backbone, neck and dense head.
        heads: The same of the RoI heads.
        assignment: Giving anchors to cells, of one image, which ends before the RoI heads begin.
        backward: Gradients of the largest activations while the backward pass goes through them.
    """

    weights: float
    trunk: float
    heads: float
    assignment: float
    backward: float

    @property
    def total(self) -> float:
        """Bytes at the peak."""
        return self.weights + self.trunk + max(self.assignment, self.heads + self.backward)


def estimate_memory(config: Config, model: nn.Module, batch: int, size: Size, cells: int) -> MemoryEstimate:
    """Memory of a training step, without taking any.

    Activations are counted from shapes: what autograd would keep. RoI heads are taken to have all the positives that
    their sampler may draw, as on dense images once the proposals are good; a training takes less before that. With
    mixed precision (``AmpOptimWrapper``) activations and a copy of the weights take half.

    Args:
        config: The whole config.
        model: The model without numbers (:func:`shapes.build_shapes`).
        batch: Images a step and process.
        size: Height and width of the batch in pixels.
        cells: Greatest number of cells an image.
    """
    kept = KeptMemory(model)
    with kept.counting():
        features, outputs = run_trunk(model, batch, size)
    settings = config.model.get('train_cfg') or {}
    dense = getattr(model, 'rpn_head', None) or model.bbox_head
    anchors = sum(map_.shape[-2] * map_.shape[-1] for map_ in features[: len(dense.prior_generator.strides)])
    anchors *= getattr(dense, 'num_base_priors', 1)
    image = batch * 3 * math.prod(size) * FLOAT
    trunk = kept.total + image + 3 * _bytes(outputs) + anchors * batch * BYTES_AN_ANCHOR
    before, heads = kept.total, 0.0
    if hasattr(model, 'roi_head'):
        rois, positives = _regions(settings)
        with kept.counting():
            outputs = run_roi_heads(model, features, batch * rois, batch * positives)
        heads = kept.total - before + 2 * _bytes(outputs)
    mixed_precision = (config.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper'
    shrink = SLACK * (0.5 if mixed_precision else 1.0)
    return MemoryEstimate(
        weights=_weights(config, model) + (0.5 * _bytes(model.parameters()) if mixed_precision else 0),
        trunk=trunk * shrink,
        heads=heads * shrink,
        assignment=_assignment(settings, cells, anchors),
        backward=2 * kept.largest * shrink,
    )


def check_memory(config: Config, model: nn.Module, split: SplitBoxes, report: Report) -> None:
    """Holds the estimate against what the machine has left; too little is a warning, since it is an estimate.

    Args:
        config: The whole config.
        model: The model without numbers.
        split: Training cells.
        report: Gets the finding.
    """
    size, batch = batch_size(config, split), config.train_dataloader.batch_size
    try:
        estimate = estimate_memory(config, model, batch, size, max_training_cells(config, split))
    except (NotImplementedError, RuntimeError, AttributeError, TypeError) as error:
        # A part of another project's that torch cannot run without numbers: training may well work.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        report.add(WARNING, TOPIC, f'no estimate for this model ({reason})')
        return
    processes = 1
    if torch.cuda.is_available():
        place, free, own = 'on the GPU', torch.cuda.mem_get_info()[0], 0.0
    else:
        processes = int(os.environ.get('LOCAL_WORLD_SIZE', '1'))
        place, free, own = 'of the machine', free_memory(), float(own_memory())
    needed = processes * (estimate.total + own)
    parts = f'weights {_gib(estimate.weights)}, backbone to proposals {_gib(estimate.trunk)}, '
    parts += f'RoI heads {_gib(estimate.heads + estimate.backward)}, assignment {_gib(estimate.assignment)}'
    parts += f', this process so far {_gib(own)}' if own else ''
    message = (
        f'at most about {_gib(needed)} GiB {place} for {batch} images of {size[1]}x{size[0]} px'
        f'{f" in each of {processes} processes" if processes > 1 else ""} ({parts}); {_gib(free)} GiB are free'
    )
    if needed <= free:
        report.add(OK, TOPIC, message)
    else:
        report.add(
            WARNING, TOPIC, f'{message}; lower train_dataloader.batch_size, or train on smaller windows or scales'
        )


def batch_size(config: Config, split: SplitBoxes) -> Size:
    """Height and width of the largest training batch: each the most of any image, padded as the model pads."""
    pipeline = innermost(config.train_dataloader['dataset'])['pipeline']
    shown = [shown_sizes(pipeline, size)[len(ENDS) - 1].size for size in split.different_sizes()]
    divisor = (config.model.get('data_preprocessor') or {}).get('pad_size_divisor', 1)
    height, width = (max(size[axis] for size in shown) for axis in (0, 1))
    return math.ceil(height / divisor) * divisor, math.ceil(width / divisor) * divisor


def free_memory() -> int:
    """Bytes of memory that this machine, or the container, has left; cache that can be dropped counts as free."""
    lines = Path('/proc/meminfo').read_text().splitlines() if Path('/proc/meminfo').is_file() else []
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith('MemAvailable:')]
    free = available[0] if available else os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    limit, used = Path('/sys/fs/cgroup/memory.max'), Path('/sys/fs/cgroup/memory.current')
    if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
        free = min(free, max(0, int(limit.read_text()) - int(used.read_text())))
    return free


def own_memory() -> int:
    """Bytes that this process has taken already: libraries and annotations; 0 where the system does not say."""
    statm = Path('/proc/self/statm')
    return int(statm.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') if statm.is_file() else 0


def _regions(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Regions an image that the box heads and the mask heads learn from, of one stage."""
    stages = settings.get('rcnn') or {}
    sampler = (stages if isinstance(stages, Mapping) else stages[0]).get('sampler') or {}
    rois = int(sampler.get('num', 512))
    return rois, int(rois * sampler.get('pos_fraction', 0.25))


def _weights(config: Config, model: nn.Module) -> float:
    trained = _bytes(parameter for parameter in model.parameters() if parameter.requires_grad)
    optimizer = (config.get('optim_wrapper') or {}).get('optimizer') or {}
    # Momentum alone, or the two averages of Adam and its kin.
    without_momentum = optimizer.get('type') == 'SGD' and not optimizer.get('momentum')
    states = 0 if without_momentum else (1 if optimizer.get('type') == 'SGD' else 2)
    everything = _bytes([*model.parameters(), *model.buffers()])
    averages = sum(hook.get('type') == 'EMAHook' for hook in config.get('custom_hooks') or [])
    return everything * (1 + averages) + trained * (1 + states)


def _assignment(settings: Mapping[str, Any], cells: int, anchors: int) -> float:
    """Bytes that giving the anchors of one image to its cells takes for a moment."""
    assigner = (settings.get('rpn') or settings).get('assigner') or {}
    calculator = assigner.get('iou_calculator') or {}
    if assigner.get('type') != 'MaxIoUAssigner':
        return cells * anchors * FLOAT * MATRICES_OF_POINTS
    if calculator.get('type') == 'ChunkedBboxOverlaps2D':
        chunk = min(cells, calculator.get('chunk', 16))
        return (cells + chunk * NUMBERS_A_PAIR) * anchors * FLOAT
    return cells * anchors * FLOAT * NUMBERS_A_PAIR


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _gib(count: float) -> str:
    return f'{count / GIB:.1f}'
