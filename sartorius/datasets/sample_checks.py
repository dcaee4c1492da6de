"""Checks for ground-truth instances that make a loss NaN or meaningless."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BaseInstanceMasks
from mmengine.structures import InstanceData
from numpy.typing import NDArray

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.masks.crop import MaskCrop, Size

NAMED_CELLS = 5


def find_problems(sample: DetDataSample, size: Size, num_classes: int) -> list[str]:
    """Finds cells of a packed sample that would make a loss NaN or meaningless.

    Args:
        sample: What ``PackDetInputs`` made; only cells that the loss uses are checked, not ``ignored_instances``.
        size: ``(height, width)`` of the image.
        num_classes: Number of classes.

    Returns:
        One sentence per kind of problem, with the cells' numbers counted from 1; none for a sound sample, with or
        without cells.
    """
    cells = sample.gt_instances
    boxes = boxes_of(cells)
    finite = np.isfinite(boxes).all(axis=1)
    x1, y1, x2, y2 = np.where(finite[:, None], boxes, 0).T
    problems_found = {
        'box with a coordinate that is not a number': ~finite,
        'box without width or height': finite & ((x2 <= x1) | (y2 <= y1)),
        'box outside the image': finite & ((x2 <= 0) | (y2 <= 0) | (x1 >= size[1]) | (y1 >= size[0])),
    }
    if 'labels' in cells:
        labels = cells.labels.numpy()
        problems_found['label that is not a class'] = (labels < 0) | (labels >= num_classes)
    problems = [f'{name}: {_numbers(found)}' for name, found in problems_found.items() if found.any()]
    if 'masks' in cells:
        problems += _mask_problems(cells.masks, size)
    return problems


def boxes_of(cells: InstanceData) -> NDArray[np.float32]:
    """Boxes ``(N, 4)``: ``x1, y1, x2, y2`` in pixels, from a tensor or any of MMDetection's box types."""
    boxes = cells.get('bboxes', torch.zeros((0, 4)))
    return getattr(boxes, 'tensor', boxes).numpy().astype(np.float32).reshape(-1, 4)


def crops_of(cells: InstanceData) -> list[MaskCrop]:
    """Masks as crops, from any of MMDetection's mask types; empty ones where masks were not loaded."""
    masks = cells.get('masks')
    if masks is None:
        return [MaskCrop(np.zeros((0, 0), dtype=bool), 0, 0)] * len(cells)
    return masks.crops if isinstance(masks, CroppedMasks) else [MaskCrop.from_full(mask) for mask in masks.to_ndarray()]


def _mask_problems(masks: BaseInstanceMasks, size: Size) -> list[str]:
    problems = []
    if (masks.height, masks.width) != tuple(size):
        problems.append(f'masks of {masks.width}x{masks.height} px on an image of {size[1]}x{size[0]} px')
    empty = np.asarray(masks.areas) == 0
    if empty.any():
        problems.append(f'mask without pixels: {_numbers(empty)}')
    return problems


def _numbers(found: NDArray[np.bool_]) -> str:
    """'cell 3', or 'cells 1, 2, 3, 4, 5 and 7 more'."""
    numbers = (np.flatnonzero(found) + 1).tolist()
    named = ', '.join(map(str, numbers[:NAMED_CELLS]))
    more = f' and {len(numbers) - NAMED_CELLS} more' if len(numbers) > NAMED_CELLS else ''
    return f'cell{"s" if len(numbers) > 1 else ""} {named}{more}'
