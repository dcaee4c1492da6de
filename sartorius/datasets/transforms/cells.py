"""Reading and replacing the cells of a sample, shared by all transforms that change them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.utils.errors import InputError

PER_CELL_KEYS = ('gt_bboxes_labels', 'gt_ignore_flags')


def cropped_masks_of(results: dict[str, Any]) -> CroppedMasks:
    """The sample's cells.

    Raises:
        InputError: The masks are not :class:`CroppedMasks`.
    """
    masks = results.get('gt_masks')
    if not isinstance(masks, CroppedMasks):
        raise InputError(
            f'gt_masks is {type(masks).__name__}, not CroppedMasks; load annotations with LoadCellAnnotations'
        )
    return masks


def set_cells(results: dict[str, Any], masks: CroppedMasks, keep: NDArray[np.bool_] | None = None) -> None:
    """Puts changed masks into a sample, with tight boxes; cells without pixels are dropped.

    Args:
        results: The sample; its entries for masks, boxes, labels and flags are replaced, not written into.
        masks: One mask per cell of the sample, in the same order.
        keep: bool ``(N,)``: cells to keep if they have pixels; all by default.
    """
    kept = masks.windows[:, 2] > 0
    if keep is not None:
        kept &= keep
    masks = masks[kept]
    results['gt_masks'] = masks
    if 'gt_bboxes' in results:
        results['gt_bboxes'] = masks.get_bboxes(type(results['gt_bboxes']))
    for key in PER_CELL_KEYS:
        if key in results:
            results[key] = results[key][kept]


def enough_left(before: CroppedMasks, after: CroppedMasks, min_visible: float, min_area: int) -> NDArray[np.bool_]:
    """Which cells to keep after the image's border has cut them; bool ``(N,)``.

    A cell is kept if both at least the fraction ``min_visible`` of its pixels and ``min_area`` pixels remain, or if it
    has lost none. Cells without pixels are dropped.
    """
    min_areas = np.minimum(np.maximum(before.areas * min_visible, min_area), before.areas)
    return (after.areas >= min_areas) & (after.areas > 0)
