"""Prediction of large and dense images in overlapping tiles.

:class:`TiledModel` cuts an image into tiles, predicts each as an image of its own, and keeps every cell once::

    model = TiledModel(detector, tile_size=(520, 704), overlap=256, pipeline=pipeline)
    sample = model.test_step(data)[0]

The seam rule. Neighbouring tiles share a strip at least ``overlap`` wide, whose middle line is the seam. The core of a
tile is its part up to the seams around it; cores are half-open and partition the plane. A cell that is at most
``overlap`` high and wide lies whole in the tile whose core contains the centre of its box, and the parts of it in other
tiles have their centres outside those tiles' cores: the core alone keeps such a cell once and whole.

But two tiles never predict exactly the same for one cell, and some cells are larger:

- A centre near a seam may lie on its own side for both tiles, or for neither. So a tile also proposes the uncut cells
  with centres up to an eighth of the overlap outside its core, and cells of two tiles that are the same are kept once.
- Cells of two tiles are the same if they have the same class, an IoU of at least 0.5, and each is the other tile's best
  match. Where a tile cuts a cell, the other tile's box is compared as far as it lies inside that tile.
- Of the same cells the one kept is one that its tile does not cut, then one in its tile's core, then the one whose
  centre lies deepest in the core; of a cell that every tile cuts, the largest piece.
- Of the remaining cells, two of different tiles and one class that overlap by more than the model's own NMS allows
  would not both have come out of the whole image: the better score is kept.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose, pseudo_collate
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sartorius.inference.tta import DetectorWrapper
from sartorius.masks.crop import Size
from sartorius.masks.nms import box_iou
from sartorius.models.outputs import max_cells
from sartorius.utils.errors import InputError

SAME_CELL_IOU = 0.5
# Tiles begin at multiples of so many pixels. Feature maps have strides of up to 32 and 64 pixels: at whole scales, all
# tiles sample a place on the same grid, and boxes come out as they do from the whole image.
ALIGNMENT = 32
# Fraction of the overlap: how far outside its core a tile still proposes cells that it contains whole.
BAND = 0.125
# Pixels from a border inside the image up to which a box counts as cut by it.
CUT_SLACK = 2.0


@MODELS.register_module()
class TiledModel(DetectorWrapper):
    """Predicts an image in overlapping tiles, each enlarged, and keeps every cell once.

    Each tile passes through the pipeline and the model as an image of its own, one after another: the memory that the
    network takes does not grow with the image, and the model's limit on cells holds for each tile. Which of the tiles'
    cells are kept is the seam rule of this module (:func:`choose_cells`).

    Args:
        module: The detector, or its config.
        tile_size: ``(height, width)`` of a tile in pixels of the image file.
        overlap: Pixels that neighbouring tiles share at least; cells up to that height and width are never cut.
        pipeline: Transforms from a tile (``img``, uint8 ``(H, W, 3)``) to the model's input.
        nms_iou: The detector's NMS threshold for boxes; None if it has none.
        predictor: Config of the model that predicts the tiles, such as :class:`CellTTAModel`, without its ``module``;
            the detector itself if None.
        data_preprocessor: As in MMEngine's base class.
    """

    def __init__(
        self,
        module: Any,
        tile_size: Size,
        overlap: int,
        pipeline: list[dict[str, Any]],
        nms_iou: float | None = None,
        predictor: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(module, data_preprocessor)
        self.tile_size = tile_size
        self.overlap = overlap
        self.nms_iou = nms_iou
        self.pipeline = Compose(pipeline)
        # Built around the detector and not in its place: checkpoints are loaded into ``module``.
        self.predictor = self.module if predictor is None else MODELS.build(dict(predictor, module=self.module))

    @torch.no_grad()
    def test_step(self, data: dict[str, list[Any]]) -> list[DetDataSample]:
        """Predicts one image.

        Args:
            data: ``inputs``: one image, uint8 ``(3, H, W)``, as in the file, or grey ``(1, H, W)``, of which tiles get
                three equal channels; ``data_samples``: its sample. If that has
                ``box_prompts``, as in :class:`BoxPromptedModel`, the mask of each is predicted in one tile.

        Returns:
            One data sample with ``pred_instances`` in pixels of the image, whose soft ``masks`` are uint8, 255 times
            the probability; all on the CPU. Its meta information holds ``max_cells``,
            the largest number of cells in one tile, and ``cut_cells``, the number of cells that no tile contains whole.

        Raises:
            InputError: More than one image in the batch, or an overlap that does not fit the tiles.
        """
        if len(data['inputs']) != 1:
            raise InputError(f'tiles are merged for one image per batch, not {len(data["inputs"])}')
        image, result = data['inputs'][0].permute(1, 2, 0).cpu().numpy(), data['data_samples'][0].clone()
        tiles = cut_tiles(image.shape[:2], self.tile_size, self.overlap)
        prompts: InstanceData | None = result.get('box_prompts')
        # Every prompt is in the core of one tile.
        chosen = [None if prompts is None else np.flatnonzero(tile.holds(prompts.bboxes.numpy())) for tile in tiles]
        samples = [
            self._predict_tile(tile, image, result, None if rows is None else prompts[rows])
            for tile, rows in zip(tiles, chosen, strict=True)
        ]
        cells = _join([sample.pred_instances for sample in samples], tiles)
        owners = np.repeat(np.arange(len(tiles)), [len(sample.pred_instances) for sample in samples])
        boxes, scores, labels = (cells[name].cpu().numpy() for name in ('bboxes', 'scores', 'labels'))
        if prompts is None:
            rows = choose_cells(tiles, owners, boxes, scores, labels, self.overlap, self.nms_iou)
        else:
            rows = np.argsort(np.concatenate(chosen))
        result.pred_instances = cells[torch.as_tensor(rows, device=cells.bboxes.device)]
        if prompts is not None:
            # Exactly as given; subtracting and adding the tile's offset would change the last bit.
            result.pred_instances.bboxes = prompts.bboxes.to(cells.bboxes.device)
        cut = count_cut(tiles, owners[rows], boxes[rows])
        result.set_metainfo({'max_cells': max(max_cells(sample.to_dict()) for sample in samples), 'cut_cells': cut})
        return [result]

    def _predict_tile(
        self, tile: 'Tile', image: NDArray[np.uint8], sample: DetDataSample, prompts: InstanceData | None
    ) -> DetDataSample:
        """The predictor's output for a tile, in the tile's pixels; ``prompts`` are in the image's."""
        crop = tile.crop(image)
        if crop.shape[2] == 1:
            crop = np.repeat(crop, 3, axis=2)
        shape = crop.shape[:2]
        packed = self.pipeline({**sample.metainfo, 'img': crop, 'img_shape': shape, 'ori_shape': shape})
        if prompts is not None:
            prompts.bboxes = prompts.bboxes - torch.as_tensor(tile.offset)
            packed['data_samples'][0].box_prompts = prompts
        predicted = self.predictor.test_step(pseudo_collate([packed]))[0]
        # Off the GPU and with masks as predictions files keep them: large images hold hundreds of thousands of cells.
        cells = predicted.pred_instances.cpu()
        if 'masks' in cells and len(cells):
            cells.masks = (cells.masks.float() * 255).round().to(torch.uint8)
        predicted.pred_instances = cells
        return predicted


def _join(predictions: Sequence[InstanceData], tiles: Sequence['Tile']) -> InstanceData:
    """The cells of all tiles, tile by tile, with boxes in pixels of the image."""
    parts = []
    for cells, tile in zip(predictions, tiles, strict=True):
        # Without cells, the masks may have any shape.
        if len(cells):
            offset = torch.as_tensor(tile.offset, device=cells.bboxes.device)
            masks = dict(masks=cells.masks) if 'masks' in cells else {}
            parts.append(InstanceData(bboxes=cells.bboxes + offset, scores=cells.scores, labels=cells.labels, **masks))
    return InstanceData.cat(parts) if parts else predictions[0]


@dataclass(frozen=True)
class Tile:
    """A window of an image and its core; all edges are left, top, right, bottom in pixels.

    Attributes:
        window: Part of the image that the model predicts; half-open, inside the image.
        core: Cells whose box centre lies here are this tile's; half-open. Infinite where the window ends at the rim of
            the image.
    """

    window: tuple[int, int, int, int]
    core: tuple[float, float, float, float]

    @property
    def offset(self) -> NDArray[np.float32]:
        """float32 ``(4,)``: from boxes in the window to boxes in the image."""
        return np.array(self.window[:2] * 2, dtype=np.float32)

    def crop(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """The window's part of an image ``(H, W)`` or ``(H, W, C)``."""
        left, top, right, bottom = self.window
        return np.ascontiguousarray(image[top:bottom, left:right])

    def holds(self, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether the centres of boxes ``(N, 4)`` in image pixels lie in the core."""
        left, top, right, bottom = self.core
        x, y = _centres(boxes)
        return (left <= x) & (x < right) & (top <= y) & (y < bottom)

    def depth(self, boxes: NDArray[np.float32]) -> NDArray[np.float64]:
        """Pixels from the centres of boxes to the core's nearest edge; negative outside the core."""
        left, top, right, bottom = self.core
        x, y = _centres(boxes)
        return np.min([x - left, right - x, y - top, bottom - y], axis=0)

    def cuts(self, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether boxes in image pixels reach a border of the window inside the image, up to the slack."""
        outer = np.isinf(self.core)
        distances = np.abs(boxes - np.array(self.window, dtype=np.float32))
        return ((distances <= CUT_SLACK) & ~outer).any(axis=1)


def cut_tiles(size: Size, tile_size: Size, overlap: int) -> tuple[Tile, ...]:
    """Cuts an image into overlapping tiles, row by row.

    Along each side, tiles begin at equal distances: the largest multiple of 32 px that leaves at least ``overlap``
    between neighbours, or, where a tile less its overlap is shorter than that, exactly that difference. The last ones
    end with the image.

    Args:
        size: Image ``(height, width)`` in pixels.
        tile_size: ``(height, width)`` of a tile.
        overlap: Pixels that neighbours share at least; a cell up to that height and width is never cut.

    Raises:
        InputError: An overlap under 2, or not shorter than a tile.
    """
    if overlap < 2 or overlap >= min(tile_size):
        raise InputError(
            f'tiles of {tuple(tile_size)} px with an overlap of {overlap} px; it must be at least 2 and less than a '
            'side of a tile'
        )
    rows, columns = (_cut_side(length, tile, overlap) for length, tile in zip(size, tile_size, strict=True))
    return tuple(
        Tile(window=(left, top, right, bottom), core=(core_left, core_top, core_right, core_bottom))
        for top, bottom, core_top, core_bottom in rows
        for left, right, core_left, core_right in columns
    )


def choose_cells(
    tiles: Sequence[Tile],
    owners: NDArray[np.integer],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.integer],
    overlap: int,
    nms_iou: float | None = None,
) -> NDArray[np.int64]:
    """Chooses which cells of all tiles of an image are kept, by the module's seam rule.

    Args:
        tiles: As :func:`cut_tiles` made them with ``overlap``.
        owners: ``(N,)``: index of the tile that predicted each cell.
        boxes: ``(N, 4)`` in pixels of the image.
        scores: ``(N,)``.
        labels: ``(N,)``.
        overlap: Pixels.
        nms_iou: IoU above which the model's own NMS keeps one box of two; None if it has no NMS.

    Returns:
        Indices of the cells that are kept, ascending.
    """
    held, cut, depth = np.zeros(len(boxes), bool), np.zeros(len(boxes), bool), np.zeros(len(boxes))
    for number, tile in enumerate(tiles):
        rows = np.flatnonzero(owners == number)
        held[rows], cut[rows], depth[rows] = tile.holds(boxes[rows]), tile.cuts(boxes[rows]), tile.depth(boxes[rows])
    candidate = held | ((depth > -BAND * overlap) & ~cut)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.lexsort([-np.where(cut, areas, depth), ~held, cut])
    same, rivals = _compare(tiles, owners, boxes, labels, cut, np.inf if nms_iou is None else nms_iou)
    kept = _best_of_each(same, candidate, order)
    ranks = np.empty(len(boxes), dtype=np.int64)
    ranks[np.argsort(-scores, kind='stable')] = np.arange(len(boxes))
    rivals = np.take_along_axis(rivals, ranks[rivals].argsort(axis=1), axis=1)
    # By rank of the better cell: when it suppresses another, everything that could suppress it has been decided.
    for better, worse in rivals[ranks[rivals[:, 0]].argsort(kind='stable')].tolist():
        if kept[better]:
            kept[worse] = False
    return np.flatnonzero(kept)


def count_cut(tiles: Sequence[Tile], owners: NDArray[np.integer], boxes: NDArray[np.float32]) -> int:
    """Number of boxes ``(N, 4)`` in pixels of the image that are cut by the tile that predicted them."""
    return sum(int(np.count_nonzero(tile.cuts(boxes[owners == number]))) for number, tile in enumerate(tiles))


def _best_of_each(
    pairs: NDArray[np.int64], candidate: NDArray[np.bool_], order: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Keeps the first in the order of the candidates that pairs link as one cell, and all others; bool ``(N,)``."""
    first, second = pairs[candidate[pairs].all(axis=1)].T
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(order), len(order)))
    # Linked through others, too: the end pieces of a cell that is longer than two tiles have no window in common.
    _, cells = connected_components(links, directed=False)
    order = order[candidate[order]]
    _, best = np.unique(cells[order], return_index=True)
    kept = np.zeros(len(candidate), dtype=bool)
    kept[order[best]] = True
    return kept


def _compare(
    tiles: Sequence[Tile],
    owners: NDArray[np.integer],
    boxes: NDArray[np.float32],
    labels: NDArray[np.integer],
    cut: NDArray[np.bool_],
    nms_iou: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs ``(P, 2)`` of indices of two tiles' cells: those that are the same cell, and those that NMS forbids."""
    same_cells, rivals = [np.zeros((0, 2), dtype=np.int64)], [np.zeros((0, 2), dtype=np.int64)]
    windows_of = np.array([tile.window for tile in tiles])
    rows_of = {number: np.flatnonzero(owners == number) for number in np.unique(owners).tolist()}
    for first, second in itertools.combinations(rows_of, 2):
        windows = windows_of[[first, second]]
        if (np.minimum(*windows[:, 2:]) <= np.maximum(*windows[:, :2])).any():
            continue
        ours, theirs = (
            rows_of[one][_meets(boxes[rows_of[one]], window)]
            for one, window in zip((first, second), windows[::-1], strict=True)
        )
        iou = _iou_inside_tiles(boxes, cut, ours, theirs, windows)
        iou *= labels[ours][:, None] == labels[theirs][None, :]
        if iou.size:
            rows, best = np.arange(len(ours)), iou.argmax(axis=1)
            same = (iou[rows, best] >= SAME_CELL_IOU) & (iou.argmax(axis=0)[best] == rows)
            same_cells.append(np.stack([ours[same], theirs[best[same]]], axis=1))
            rows, columns = np.nonzero(iou > nms_iou)
            rivals.append(np.stack([ours[rows], theirs[columns]], axis=1))
    return np.concatenate(same_cells), np.concatenate(rivals)


def _iou_inside_tiles(
    boxes: NDArray[np.float32],
    cut: NDArray[np.bool_],
    ours: NDArray[np.int64],
    theirs: NDArray[np.int64],
    windows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """IoU of the boxes at ``ours`` and ``theirs``, each clipped to the other's tile if that tile cuts the other."""
    iou = np.zeros((len(ours), len(theirs)))
    for our_cut, their_cut in itertools.product((False, True), repeat=2):
        rows, columns = np.flatnonzero(cut[ours] == our_cut), np.flatnonzero(cut[theirs] == their_cut)
        if not (rows.size and columns.size):
            continue
        one, other = boxes[ours[rows]], boxes[theirs[columns]]
        iou[np.ix_(rows, columns)] = box_iou(
            _clipped(one, windows[1]) if their_cut else one, _clipped(other, windows[0]) if our_cut else other
        )
    return iou


def _cut_side(length: int, tile: int, overlap: int) -> list[tuple[int, int, float, float]]:
    """Along one side: start and end of each window and of its core."""
    if length <= tile:
        return [(0, length, -np.inf, np.inf)]
    step = tile - overlap
    if step > ALIGNMENT:
        step -= step % ALIGNMENT
    starts = range(0, length - tile + step, step)
    seams = [(before + tile + after) / 2 for before, after in itertools.pairwise(starts)]
    edges = [-np.inf, *seams, np.inf]
    return [
        (start, min(start + tile, length), low, high)
        for start, low, high in zip(starts, edges[:-1], edges[1:], strict=True)
    ]


def _centres(boxes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    return (x1 + x2) / 2, (y1 + y2) / 2


def _meets(boxes: NDArray[np.float32], window: NDArray[np.int64]) -> NDArray[np.bool_]:
    return ((boxes[:, :2] < window[2:]) & (boxes[:, 2:] > window[:2])).all(axis=1)


def _clipped(boxes: NDArray[np.float32], window: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))
