"""Error category of each cell of an image: what is wrong with every ground-truth cell and every prediction.

Cells that belong to one error form a group (a matched pair, a prediction that merges cells and the ground-truth cells
it covers, ...), and a group has one category. To correct a group is to remove its predictions and to put its
ground-truth cells in their place. Where the predictions do not overlap each other, as post-processing leaves them,
this never lowers the image's score: a prediction then has to cover more than half of a ground-truth cell to match it,
so that the ground-truth cells that a prediction may match are matched by no other, and each true positive that is
removed comes back as an exact one. With all groups corrected, predictions and ground truth are the same and the score
is 1.

The categories follow the field: near misses and the IoU of .1 below which cells have nothing to do with each other are
TIDE's (Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020); a cell is covered by
another that holds more than half of it, from which merges and splits follow, in the detection measure of the Cell
Tracking Challenge (Matula et al., PLoS ONE 10(12), 2015).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sartorius.evaluation.matching import matched_pairs
from sartorius.evaluation.metric import IOU_THRESHOLDS, count_tp, image_score
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.overlap import Overlaps, mask_iou, overlaps
from sartorius.masks.packed import PackedMasks

NEAR_IOU = 0.1
POOR_IOU = 0.75
EXACT_IOU = IOU_THRESHOLDS[-1]

CATEGORIES: dict[str, str] = {
    'correct': 'matched with an IoU above .95: a true positive at every threshold',
    'spurious': 'a prediction that stands for no ground-truth cell and for no part of one',
    'duplicate': 'a prediction of which more than half lies on a ground-truth cell that another prediction stands for',
    'split': 'an unmatched ground-truth cell that is divided: more than half of each of several predictions lies on it',
    'merged': 'a prediction that covers more than half of each of several ground-truth cells',
    'missed': 'a ground-truth cell that no prediction stands for, alone or together with others',
    'near miss': 'a ground-truth cell and a prediction that meet with an IoU above .1, but not above .5',
    'wrong holes': 'a pair of which the IoU comes at least half-way to 1 when holes are filled on either side',
    'poor outline': 'matched with an IoU above .5, but not above .75',
    'inexact outline': 'matched with an IoU above .75, but not above .95',
    'double label': 'an unmatched ground-truth cell of which more than half lies on another ground-truth cell',
}
"""Name and meaning of each category, in the order in which the errors are corrected one after another."""

ERRORS: tuple[str, ...] = tuple(name for name in CATEGORIES if name != 'correct')


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """The cells of an image by their error.

    Attributes:
        gt_group: int64 ``(n_gt,)``: group of each ground-truth cell.
        pred_group: int64 ``(n_pred,)``: group of each prediction.
        category: ``(G,)``: name in :data:`CATEGORIES` of each group.
        iou: float64 ``(n_gt, n_pred)``: IoU of every ground-truth cell with every prediction.
        gt_ious: float64 ``(n_gt, n_gt)``: IoU of the ground-truth cells with each other.
        tp_iou: float64 ``(n_pred,)``: IoU of each prediction with the ground-truth cell it is matched to, 0 without a
            match.
    """

    gt_group: NDArray[np.int64]
    pred_group: NDArray[np.int64]
    category: NDArray[np.str_]
    iou: NDArray[np.float64]
    gt_ious: NDArray[np.float64]
    tp_iou: NDArray[np.float64]

    @property
    def gt_category(self) -> NDArray[np.str_]:
        """``(n_gt,)``: category of each ground-truth cell."""
        return self.category[self.gt_group]

    @property
    def pred_category(self) -> NDArray[np.str_]:
        """``(n_pred,)``: category of each prediction."""
        return self.category[self.pred_group]

    def score_with(self, corrected: NDArray[np.bool_]) -> float:
        """The image's score if some groups were corrected and all else stayed as it is.

        Args:
            corrected: bool ``(G,)``: the groups whose predictions are replaced by their ground-truth cells.
        """
        kept = self.iou[:, ~corrected[self.pred_group]]
        return image_score(np.hstack([kept, self.gt_ious[:, corrected[self.gt_group] & self._can_match]]))

    def losses(self) -> NDArray[np.float64]:
        """What each group costs: by how much the image's score would rise if it alone were corrected.

        Exact where the predictions do not overlap each other: at each threshold, removing a group's predictions loses
        its own true positives and no other, and each ground-truth cell put in their place makes one.

        Returns:
            float64 ``(G,)``, 0 for correct groups.
        """
        groups, n_gt, n_pred = len(self.category), len(self.gt_group), len(self.pred_group)
        if not groups:
            return np.zeros(0)
        removed = np.bincount(self.pred_group, minlength=groups)
        added = np.bincount(self.gt_group[self._can_match], minlength=groups)
        losses = np.zeros(groups)
        for threshold, tp in zip(IOU_THRESHOLDS, count_tp(self.iou).tolist(), strict=True):
            lost = np.bincount(self.pred_group[self.tp_iou > threshold], minlength=groups)
            tp_after = tp - lost + added
            cells_after = n_gt + n_pred - removed + added - tp_after
            # An image with neither ground truth nor predictions scores 1.
            after = np.where(cells_after > 0, tp_after / np.maximum(cells_after, 1), 1)
            losses += after - tp / (n_gt + n_pred - tp)
        return losses / len(IOU_THRESHOLDS)

    @property
    def _can_match(self) -> NDArray[np.bool_]:
        """``(n_gt,)``: whether a ground-truth cell has pixels; nothing matches one without, not even itself."""
        return self.gt_ious.diagonal() > 0


def classify_cells(gt: Sequence[MaskCrop], pred: Sequence[MaskCrop], size: Size) -> ImageErrors:
    """Gives every cell of an image its group and category.

    A cell without pixels inside the image is missed (ground truth, which nothing can match) or spurious (a
    prediction). The order of the cells makes no difference, except that of equal cells any may stand for the others.

    Args:
        gt: Ground-truth cells; they may overlap each other.
        pred: Predicted cells, no two of which should share a pixel.
        size: Image ``(height, width)``.
    """
    gt_order, pred_order = _geometric_order(gt, size), _geometric_order(pred, size)
    scene = _scene_of([gt[index] for index in gt_order], [pred[index] for index in pred_order], size)
    groups = _Groups(np.full(len(gt), -1), np.full(len(pred), -1))
    _add_merged(groups, scene)
    _add_tp(groups, scene)
    _add_splits(groups, scene)
    _add_near_misses(groups, scene)
    taken = ~groups.free_gt
    for cell in np.flatnonzero(groups.free_pred).tolist():
        groups.add('duplicate' if (scene.lies_on[:, cell] & taken).any() else 'spurious', [], cell)
    for cell in np.flatnonzero(groups.free_gt).tolist():
        groups.add('double label' if scene.doubles[cell] else 'missed', cell, [])

    back_gt, back_pred = np.argsort(gt_order), np.argsort(pred_order)
    tp_iou = np.zeros(len(pred))
    tp_iou[scene.tp_pred] = scene.iou[scene.tp_gt, scene.tp_pred]
    return ImageErrors(
        gt_group=groups.gt[back_gt],
        pred_group=groups.pred[back_pred],
        category=np.array(groups.categories, dtype=f'<U{max(map(len, CATEGORIES))}'),
        iou=scene.iou[np.ix_(back_gt, back_pred)],
        gt_ious=scene.gt_ious[np.ix_(back_gt, back_gt)],
        tp_iou=tp_iou[back_pred],
    )


@dataclass(frozen=True, eq=False)
class _Scene:
    """Overlaps of the cells of an image.

    Attributes:
        iou: float64 ``(n_gt, n_pred)``.
        filled_iou: float64 ``(n_gt, n_pred)``: the best IoU of each pair as it is and with the holes of one or of both
            filled.
        shared: int64 ``(n_gt, n_pred)``: pixels in common.
        gt_areas: int64 ``(n_gt,)``, pixels.
        pred_areas: int64 ``(n_pred,)``, pixels.
        gt_ious: float64 ``(n_gt, n_gt)``.
        tp_gt: int64 ``(P,)``: ground-truth cell of each matched pair.
        tp_pred: int64 ``(P,)``: its prediction.
        doubles: bool ``(n_gt,)``: unmatched ground-truth cells that lie on another one.
    """

    iou: NDArray[np.float64]
    filled_iou: NDArray[np.float64]
    shared: NDArray[np.int64]
    gt_areas: NDArray[np.int64]
    pred_areas: NDArray[np.int64]
    gt_ious: NDArray[np.float64]
    tp_gt: NDArray[np.int64]
    tp_pred: NDArray[np.int64]
    doubles: NDArray[np.bool_]

    @property
    def covered(self) -> NDArray[np.bool_]:
        """``(n_gt, n_pred)``: whether more than half of the ground-truth cell lies on the prediction."""
        return self.shared * 2 > self.gt_areas[:, None]

    @property
    def wrong_holes(self) -> NDArray[np.bool_]:
        """``(n_gt, n_pred)``: whether filling holes closes at least half of the gap from the IoU to 1."""
        return (self.filled_iou > self.iou) & (self.filled_iou - self.iou >= 1 - self.filled_iou)

    @property
    def lies_on(self) -> NDArray[np.bool_]:
        """``(n_gt, n_pred)``: whether more than half of the prediction lies on the ground-truth cell."""
        return self.shared * 2 > self.pred_areas


@dataclass(eq=False)
class _Groups:
    """Groups while they are made; -1 for the cells that have none yet."""

    gt: NDArray[np.int64]
    pred: NDArray[np.int64]
    categories: list[str] = field(default_factory=list)

    def add(self, category: str, gt: Sequence[int] | int, pred: Sequence[int] | int) -> None:
        self.gt[gt] = self.pred[pred] = len(self.categories)
        self.categories.append(category)

    @property
    def free_gt(self) -> NDArray[np.bool_]:
        return self.gt < 0

    @property
    def free_pred(self) -> NDArray[np.bool_]:
        return self.pred < 0


def _geometric_order(crops: Sequence[MaskCrop], size: Size) -> NDArray[np.int64]:
    """Indices of the cells in an order that depends on their pixels alone, by which ties are broken."""
    tight = PackedMasks.from_crops(crops).clipped(size).tight().crops
    keys = [(crop.y, crop.x, crop.mask.shape, crop.mask.tobytes()) for crop in tight]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def _scene_of(gt: Sequence[MaskCrop], pred: Sequence[MaskCrop], size: Size) -> _Scene:
    between, among = overlaps(gt, pred, size), overlaps(gt, gt, size)
    shared, iou = _matrices(between)
    gt_shared, gt_ious = _matrices(among)
    tp_gt, tp_pred = matched_pairs(iou)
    return _Scene(
        iou=iou,
        filled_iou=_iou_with_holes_filled(gt, pred, iou, size),
        shared=shared,
        gt_areas=between.areas,
        pred_areas=between.other_areas,
        gt_ious=gt_ious,
        tp_gt=tp_gt,
        tp_pred=tp_pred,
        doubles=_doubles(gt_shared, between.areas, tp_gt),
    )


def _matrices(pairs: Overlaps) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Shared pixels and IoU of all pairs of cells."""
    shape = len(pairs.areas), len(pairs.other_areas)
    shared, iou = np.zeros(shape, dtype=np.int64), np.zeros(shape)
    shared[pairs.rows, pairs.columns] = pairs.shared
    iou[pairs.rows, pairs.columns] = pairs.iou
    return shared, iou


def _iou_with_holes_filled(
    gt: Sequence[MaskCrop], pred: Sequence[MaskCrop], iou: NDArray[np.float64], size: Size
) -> NDArray[np.float64]:
    sides = []
    for cells in (gt, pred):
        packed = PackedMasks.from_crops(cells).clipped(size)
        filled = packed.filled()
        hollow = np.flatnonzero(filled.areas > packed.areas)
        sides.append((hollow, filled.select(hollow).crops))
    (rows, solid_gt), (columns, solid_pred) = sides
    best = iou.copy()
    best[rows] = np.maximum(best[rows], mask_iou(solid_gt, pred, size))
    best[:, columns] = np.maximum(best[:, columns], mask_iou(gt, solid_pred, size))
    both = np.ix_(rows, columns)
    best[both] = np.maximum(best[both], mask_iou(solid_gt, solid_pred, size))
    return best


def _doubles(shared: NDArray[np.int64], areas: NDArray[np.int64], matched: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which ground-truth cells are unmatched and lie for more than half on another that is no double itself.

    Of cells that lie on each other the matched one is kept, then the larger, then the earlier one.
    """
    lies_on = shared * 2 > areas[:, None]
    np.fill_diagonal(lies_on, False)
    kept = ~lies_on.any(axis=1)
    kept[matched] = True
    doubles = np.zeros(len(areas), dtype=bool)
    for cell in np.lexsort((np.arange(len(areas)), -areas)).tolist():
        if not kept[cell]:
            doubles[cell] = (lies_on[cell] & kept).any()
            kept[cell] = not doubles[cell]
    return doubles


def _largest(shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the largest number in each column; -1 where none is above 0."""
    if not len(shared):
        return np.full(shared.shape[1], -1)
    return np.where(shared.any(axis=0), shared.argmax(axis=0), -1)


def _add_merged(groups: _Groups, scene: _Scene) -> None:
    """Predictions that cover several ground-truth cells, of which none is a double of another."""
    covered = scene.covered & ~scene.doubles[:, None]
    owner = _largest(np.where(covered, scene.shared, 0).T)
    owner[scene.tp_gt] = scene.tp_pred
    counts = np.bincount(owner[owner >= 0], minlength=scene.shared.shape[1])
    for cell in np.flatnonzero(counts > 1).tolist():
        groups.add('merged', np.flatnonzero(owner == cell), cell)


def _add_tp(groups: _Groups, scene: _Scene) -> None:
    """Matched pairs that are no part of a merge, by their IoU."""
    wrong_holes = scene.wrong_holes
    for pair in zip(scene.tp_gt.tolist(), scene.tp_pred.tolist(), strict=True):
        if groups.pred[pair[1]] >= 0:
            continue
        iou = scene.iou[pair]
        if iou > EXACT_IOU:
            category = 'correct'
        elif wrong_holes[pair]:
            category = 'wrong holes'
        else:
            category = 'inexact outline' if iou > POOR_IOU else 'poor outline'
        groups.add(category, *pair)


def _add_splits(groups: _Groups, scene: _Scene) -> None:
    """Ground-truth cells that several predictions lie on and together cover with an IoU above :data:`NEAR_IOU`."""
    pieces = scene.lies_on & (groups.free_gt & ~scene.doubles)[:, None] & groups.free_pred
    # Where ground-truth cells overlap, a piece belongs to the one that holds most of it.
    owner = _largest(np.where(pieces, scene.shared, 0))
    counts = np.bincount(owner[owner >= 0], minlength=len(pieces))
    for cell in np.flatnonzero(counts > 1).tolist():
        parts = np.flatnonzero(owner == cell)
        common = scene.shared[cell, parts].sum()
        if common > NEAR_IOU * (scene.gt_areas[cell] + scene.pred_areas[parts].sum() - common):
            groups.add('split', cell, parts)


def _add_near_misses(groups: _Groups, scene: _Scene) -> None:
    """Pairs of the remaining cells, with the largest sum of IoU; a prediction on a taken gt cell is in none."""
    wrong_holes = scene.wrong_holes
    weights = np.where(wrong_holes, scene.filled_iou, scene.iou)
    candidates = (weights > NEAR_IOU) & groups.free_gt[:, None] & groups.free_pred
    candidates &= ~(scene.lies_on & ~groups.free_gt[:, None]).any(axis=0)
    rows, columns = np.flatnonzero(candidates.any(axis=1)), np.flatnonzero(candidates.any(axis=0))
    weights = np.where(candidates, weights, 0)[np.ix_(rows, columns)]
    for row, column in zip(*linear_sum_assignment(weights, maximize=True), strict=True):
        if weights[row, column] > 0:
            pair = int(rows[row]), int(columns[column])
            groups.add('wrong holes' if wrong_holes[pair] else 'near miss', *pair)
