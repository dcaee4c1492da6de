"""What a convex fill did to a mask, seen and undone as far as the pixels tell.

``cv2.fillConvexPoly`` draws the whole outline, and between it one run of pixels a row, from one side of the polygon to
the other. Both sides are followed downward from the topmost vertex. So

- a branch that points up keeps its outline alone: the mask is hollow there, and filling its holes brings it back;
- a bay that opens down is filled to one row above the tip of the shorter of its two legs. The fill ends in a straight
  run, and the outline that bounded the bay is covered.

All masks of the competition were drawn so. Of the 41,073 rows tried, holes filled, 52 have an IoU below .99 with the
convex fill of their own outline, and 1 below .95; turned upside down, 2,435 and 1,182 have.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.crop import MaskCrop
from sartorius.masks.holes import fill_holes

LEAST_RUN = 12
"""Shortest run in pixels that is taken for the end of a fill. Outlines have flat notches one pixel deep as well: turned
upside down, 10,175 astrocytes have 65 from 12 to 14 px and 9 from 25 px on, where upright they have 326 and 748. After
all checks 1,360 masks are mended upright, and 67 upside down, which lose 158,000 and 1,100 px."""

LEAST_LIKENESS = 0.99
"""Least IoU of a solid mask with the convex fill of its own outline, from which on it is taken for such a fill. The
masks of the competition that end in a run keep .992 in 99 of 100 cases; of those that do so upside down, every second
one comes out below .95."""

_DEPTH = 11.0
"""How far from the visible outline a bay begins; see :func:`_bay_of`. Found on the outlines of 10,175 astrocytes,
turned upside down and filled: 10 brings back a little more (IoU .9458, not .9455), and takes from more cells what was
theirs (IoU falls by .01 or more for 7 in 100 of those that a fill changes, not 5)."""

_MARGIN = 3


@dataclass(frozen=True)
class FillEnd:
    """The straight lower end of a filled bay.

    Attributes:
        y: Row of the run, within the crop.
        x1: First column.
        x2: Column after the last.
    """

    y: int
    x1: int
    x2: int

    @property
    def length(self) -> int:
        """In pixels."""
        return self.x2 - self.x1


def find_fill_ends(crop: MaskCrop, least_run: int = LEAST_RUN) -> list[FillEnd]:
    """Straight runs along the lower border of a cell where a convex fill of a bay may have ended.

    Such a run has background below it, the cell goes on below both of its ends, and at one end it does so for a single
    row: the outline of the shorter leg's tip.

    Args:
        crop: A cell without holes.
        least_run: Shortest run in pixels.

    Returns:
        The runs, top to bottom, within the crop.
    """
    mask = np.pad(crop.mask, ((1, 2), (1, 1)))
    open_below = mask[:-2] & ~mask[1:-1]
    steps = np.diff(open_below.view(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    stops = np.nonzero(steps == -1)[1]
    long_enough = stops - starts >= least_run
    found = []
    for y, left, stop in zip(rows[long_enough], starts[long_enough], stops[long_enough], strict=True):
        right = stop + 1
        if not (mask[y + 1, left] and mask[y + 1, right]):
            continue
        if _ends_below(mask, y + 1, left, -1) or _ends_below(mask, y + 1, right, 1):
            found.append(FillEnd(int(y) - 1, int(left), int(stop)))
    return found


def mend_convex_fill(
    crop: MaskCrop, least_run: int = LEAST_RUN, least_likeness: float = LEAST_LIKENESS
) -> tuple[MaskCrop, list[FillEnd]]:
    """Cuts away what the outline of a convex-filled cell did not hold, as well as the outline can be guessed.

    Above each end of a fill the hidden outline is guessed from the visible one: legs have about the thickness that the
    cell has elsewhere, and grow thicker towards the body (:func:`_bay_of`). The visible outline always stays. Branches
    that the fill left hollow are not filled here: :func:`sartorius.masks.holes.fill_holes` does that, before or after.

    On the outlines of 2,611 astrocytes that a fill changes upside down, IoU with the truth rises from .928 to .946
    (.830 to .878 for those below .95). On 1,011 of them that it had not learnt from, a gradient-boosted model of 13
    features reached .949 (.890), this formula .943 (.874).

    Args:
        crop: Any crop; holes count as filled for what is looked at, and stay as they are.
        least_run: Shortest run in pixels that is taken for the end of a fill.
        least_likeness: Least IoU, in [0, 1], of the solid cell with the convex fill of its own outline.

    Returns:
        A crop of the same window, and the ends of fills above which something was cut; the cell itself, not a copy, and
        no end where nothing was.
    """
    solid = fill_holes([crop])[0]
    ends = find_fill_ends(solid, least_run)
    if not ends or _likeness(solid) < least_likeness:
        return crop, []
    depth, half_width = _depth_below_outline(solid, ends)
    bays = [_bay_of(end, solid, depth, half_width) for end in ends]
    cut = np.any(bays, axis=0)
    if not (cut & crop.mask).any():
        return crop, []
    return MaskCrop(crop.mask & ~cut, crop.x, crop.y), [end for end, bay in zip(ends, bays, strict=True) if bay.any()]


def _ends_below(mask: NDArray[np.bool_], y: int, x: int, step: int) -> bool:
    """Whether the stretch of row ``y`` that begins at ``x`` and goes on by ``step`` has nothing below it."""
    last = x
    while mask[y, last + step]:
        last += step
    low, high = min(x, last), max(x, last)
    return not mask[y + 1, max(0, low - 1) : high + 2].any()


def _likeness(solid: MaskCrop) -> float:
    """IoU of a solid cell with the convex fill of its own outline, made solid."""
    again = fill_holes([fill_as_convex(solid)])[0].mask
    return np.count_nonzero(solid.mask & again) / max(np.count_nonzero(solid.mask | again), 1)


def _depth_below_outline(solid: MaskCrop, ends: list[FillEnd]) -> tuple[NDArray[np.float32], float]:
    """Distance of every pixel from the outline pixels that no fill made, and the cell's mean half width, in pixels."""
    around = np.pad(solid.mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    outline = solid.mask & ~inner
    for end in ends:
        outline[end.y, end.x1 : end.x2] = False
    hidden = np.pad((~outline).view(np.uint8), _MARGIN, constant_values=1)
    depth = cv2.distanceTransform(hidden, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return depth, np.count_nonzero(solid.mask) / max(np.count_nonzero(outline), 1)


def _bay_of(end: FillEnd, solid: MaskCrop, depth: NDArray[np.float32], half_width: float) -> NDArray[np.bool_]:
    """Pixels above the end of a fill that are taken for the bay.

    A pixel ``h`` rows above the run belongs to the bay if it lies deeper below the visible outline than
    ``11 * sqrt((h + 1) * w / L) - 1``, with ``w`` the mean half width of the cell and ``L`` the length of the run: a
    thick cell has thick legs, wide openings lead to deep bays, and bays grow narrower the higher they reach. A bay is
    no higher than its opening is wide. (The form is that of a logistic regression on the logarithms of the four; its
    exponents came out as .44, .42 and .40.)
    """
    top = max(0, end.y - end.length)
    heights = end.y - np.arange(top, end.y + 1)[:, None]
    bound = _DEPTH * np.sqrt((heights + 1) * half_width / end.length) - 1
    window = depth[top : end.y + 1]
    deep = solid.mask[top : end.y + 1] & (window > np.maximum(bound, 1))
    _, pieces = cv2.connectedComponents(deep.view(np.uint8), connectivity=4)
    touching = np.unique(pieces[-1, end.x1 : end.x2])
    bay = np.zeros_like(solid.mask)
    bay[top : end.y + 1] = np.isin(pieces, touching[touching > 0])
    return bay
