"""Share of the cells that an anchor fits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.registry import TASK_UTILS
from mmengine.config import Config
from numpy.typing import NDArray

from sartorius.engine.config import innermost
from sartorius.engine.config_check.data import SplitBoxes
from sartorius.engine.config_check.report import OK, WARNING, Report
from sartorius.engine.config_check.shown_sizes import ENDS, Shown, shown_sizes

TOPIC = 'anchors'
# Below this share of fitting anchors the RPN does not learn to propose some of the cells.
MIN_RECALL = 0.95
MIN_CLASS_RECALL = 0.9
FITTING_IOU = 0.5


def check_anchors(config: Config, split: SplitBoxes, report: Report) -> None:
    """Reports the share of training cells whose best anchor has an IoU of .5 or more, and the assigner's threshold.

    Args:
        config: The whole config.
        split: Training cells.
        report: Gets the messages.
    """
    head, assigner = find_anchor_head(config.model)
    if head is None:
        report.add(OK, TOPIC, 'the model has no anchors')
        return
    if len(split.boxes) == 0:
        return
    generator = TASK_UTILS.build(dict(head['anchor_generator']))
    positive = float(assigner.get('pos_iou_thr', 0.7))
    pipeline = innermost(config.train_dataloader['dataset'])['pipeline']
    lines = {}
    for end, name in enumerate(ENDS):
        boxes, grids = enlarge(split, pipeline, end)
        lines[name] = boxes, best_ious(boxes, grids, generator)
    shares = [
        f'{name} {_percent(ious >= FITTING_IOU)} and {_percent(ious >= positive)}' for name, (_, ious) in lines.items()
    ]
    message = (
        f'cells with an anchor of IoU {FITTING_IOU:g} and of {positive:g} (pos_iou_thr), by training scale: '
        f'{", ".join(shares)}'
    )
    worst = min(lines, key=lambda name: float((lines[name][1] >= FITTING_IOU).mean()))
    boxes, ious = lines[worst]
    fitting = ious >= FITTING_IOU
    low_classes = [
        f'{name} {_percent(fitting[split.labels == label])}'
        for label, name in enumerate(split.classes)
        if (split.labels == label).any() and fitting[split.labels == label].mean() < MIN_CLASS_RECALL
    ]
    if fitting.mean() >= MIN_RECALL and not low_classes:
        report.add(OK, TOPIC, message)
        return
    of_classes = f'; low at the {worst}: {", ".join(low_classes)}' if low_classes else ''
    report.add(WARNING, TOPIC, f'{message}{of_classes}; {_fix(boxes[~fitting], generator)}')


def find_anchor_head(model: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """The head whose anchors have sizes, and the config of its assigner; None where there is no such head."""
    train = model.get('train_cfg') or {}
    for name, settings in (('rpn_head', train.get('rpn') or {}), ('bbox_head', train)):
        head = model.get(name)
        if isinstance(head, Mapping) and 'AnchorGenerator' in str((head.get('anchor_generator') or {}).get('type')):
            return head, settings.get('assigner') or {}
    return None, {}


def enlarge(
    split: SplitBoxes, pipeline: Sequence[Mapping[str, Any]], end: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes at one of the scales of a pipeline, before it cuts windows.

    Args:
        split: Cells.
        pipeline: Transforms in config form.
        end: 0, 1 or 2: smallest, middle or largest scale.

    Returns:
        Boxes ``(N, 4)``, and height and width ``(N, 2)`` of the whole image of each at this scale.
    """
    factors = np.ones((len(split.sizes), 2))
    for size in split.different_sizes():
        shown: Shown = shown_sizes(pipeline, size)[end]
        factors[(split.sizes == size).all(axis=1)] = shown.factors
    of_boxes = factors[split.images]
    return split.boxes * of_boxes[:, [1, 0, 1, 0]], split.sizes[split.images] * of_boxes


def best_ious(boxes: NDArray[np.float64], sizes: NDArray[np.float64], generator: Any) -> NDArray[np.float64]:
    """IoU of each box with the best of all anchors.

    Anchors of one shape lie on a grid, and the overlap with a box falls with the distance of the centres along either
    axis. So the best of a shape is the one nearest along both; no other is computed.

    Args:
        boxes: ``(N, 4)``: ``x1, y1, x2, y2`` in pixels.
        sizes: ``(N, 2)``: height and width of each box's image, which bound the grid.
        generator: MMDetection's ``AnchorGenerator``.

    Returns:
        ``(N,)`` in [0, 1].
    """
    best = np.zeros(len(boxes))
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for anchor, stride in _shapes(generator):
        sides, centre = anchor[2:] - anchor[:2], (anchor[:2] + anchor[2:]) / 2
        last = np.ceil(sizes[:, ::-1] / stride) - 1
        cell = np.clip(np.round(((boxes[:, :2] + boxes[:, 2:]) / 2 - centre) / stride), 0, last)
        low = centre + cell * stride - sides / 2
        common = np.minimum(boxes[:, 2:], low + sides) - np.maximum(boxes[:, :2], low)
        shared = common.clip(min=0).prod(axis=1)
        union = areas + sides.prod() - shared
        best = np.maximum(best, shared / np.where(union > 0, union, 1))
    return best


def _shapes(generator: Any) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Each anchor at the origin, and its grid's stride along x and y."""
    for anchors, stride in zip(generator.base_anchors, generator.strides, strict=True):
        for anchor in anchors.double().numpy():
            yield anchor, np.asarray(stride, dtype=np.float64)


def _fix(missed: NDArray[np.float64], generator: Any) -> str:
    """The change that helps boxes that no anchor fits."""
    shapes = np.concatenate([anchors.double().numpy() for anchors in generator.base_anchors])
    anchors = np.sqrt((shapes[:, 2:] - shapes[:, :2]).prod(axis=1))
    sides = missed[:, 2:] - missed[:, :2]
    typical = float(np.median(np.sqrt(sides.prod(axis=1))))
    sizes = f'the cells without are {typical:.0f} px across at that scale (median), anchors {anchors.min():.0f} to '
    sizes += f'{anchors.max():.0f} px; '
    key = 'model.rpn_head.anchor_generator'
    if typical < anchors.min():
        return f'{sizes}lower {key}.scales or enlarge the images more'
    if typical > anchors.max():
        return f'{sizes}raise {key}.scales or enlarge the images less'
    ratio = float(np.median(sides.max(axis=1) / sides.min(axis=1).clip(min=1e-6)))
    return f'{sizes}their sides are {ratio:.1f} to 1: add to {key}.ratios, or scales in between'


def _percent(chosen: NDArray[np.bool_]) -> str:
    return f'{100 * float(chosen.mean()):.1f} %'
