"""Cells cut out of one image and pasted onto another, each as a small patch around it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from mmdet.datasets.base_det_dataset import BaseDetDataset
from numpy.typing import NDArray

from sartorius.datasets.cropped_masks import CroppedMasks
from sartorius.datasets.transforms.cells import PER_CELL_KEYS, cropped_masks_of, set_cells
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError

# The background is looked at in steps of 8 pixels and averaged over windows of 25 steps. Smaller windows follow halos
# and neurites rather than the lighting: over 9 steps, flat images of the competition come out up to 20 levels off.
BACKGROUND_STEP = 8
BACKGROUND_WINDOW = 25
# Where less than this share of a window is background, the image's mean counts for more than the window's.
BACKGROUND_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class CellPatch:
    """A cell with what surrounds it.

    Attributes:
        image: uint8 ``(h, w, 3)``.
        cell: bool ``(h, w)``: the cell's pixels.
        others: bool ``(h, w)``: pixels of other cells alone, which are never pasted.
        background: float32 ``(3,)``: grey levels of the background around the cell.
        label: Class of the cell.
    """

    image: NDArray[np.uint8]
    cell: NDArray[np.bool_]
    others: NDArray[np.bool_]
    background: NDArray[np.float32]
    label: int

    def turned(self, quarters: int, flip: bool = False) -> 'CellPatch':
        """Turned by ``quarters`` times 90 degrees counter-clockwise, then mirrored left to right; exact."""
        # Views of the arrays, as from numpy.rot90, which takes ten times as long for something this small.
        rows = slice(None, None, -1 if quarters % 4 in (1, 2) else 1)
        columns = slice(None, None, -1 if (quarters % 4 in (2, 3)) != flip else 1)
        planes = self.image, self.cell, self.others
        if quarters % 2:
            planes = [plane.swapaxes(0, 1) for plane in planes]
        return CellPatch(*(plane[rows, columns] for plane in planes), self.background, self.label)

    def warped(self, angle: float, scale: float) -> 'CellPatch':
        """Turned by ``angle`` degrees counter-clockwise and resized by ``scale``, bilinearly."""
        height, width = self.cell.shape
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
        reach = np.abs(matrix[:, :2])
        # Rounding errors must not make a patch larger: its pixels would fall between those of a quarter turn.
        new_width, new_height = np.ceil(reach @ np.array([width, height]) - 1e-6).astype(int).tolist()
        matrix[:, 2] += (new_width - width) / 2, (new_height - height) / 2
        size = (new_width, new_height)
        image = cv2.warpAffine(np.ascontiguousarray(self.image), matrix, size, borderMode=cv2.BORDER_REPLICATE)
        planes = np.stack([self.cell, self.others], axis=2).astype(np.uint8) * 255
        # What lies beyond the patch is unknown: it counts as another cell's.
        cell, others = cv2.split(cv2.warpAffine(planes, matrix, size, borderValue=(0, 255)))
        return CellPatch(image, cell >= 128, (others >= 128) & (cell < 128), self.background, self.label)


class CellSource:
    """An image whose cells can be cut out.

    Args:
        results: A sample with ``img``, ``gt_masks``, ``gt_bboxes_labels`` and ``gt_ignore_flags``; only read.
        scale_factor: Image and cells are resized to this ``(x, y)`` magnification of the image's file, as MMDetection's
            ``Resize`` does; as the sample is if None.
    """

    def __init__(self, results: dict[str, Any], scale_factor: tuple[float, float] | None = None) -> None:
        self.image = results['img']
        self.masks = cropped_masks_of(results)
        if scale_factor is not None:
            self._resize(scale_factor, results.get('scale_factor', (1.0, 1.0)))
        self.labels = results['gt_bboxes_labels']
        self.usable = (self.masks.windows[:, 2] > 0) & ~results['gt_ignore_flags']
        self.occupied = occupied_pixels(self.masks)
        self.background = local_background(self.image, self.occupied)

    def whole_cells(self, label: int | None) -> list[int]:
        """Indices of the cells of a class (of all, if None) that the image's border does not cut."""
        x1, y1, x2, y2 = self.masks.windows.T
        inside = (x1 > 0) & (y1 > 0) & (x2 < self.masks.width) & (y2 < self.masks.height)
        chosen = self.usable & inside
        return np.flatnonzero(chosen if label is None else chosen & (self.labels == label)).tolist()

    def cut(self, index: int, margin: int) -> tuple[CellPatch, int, int]:
        """One cell with what lies within ``margin`` pixels around its box, as far as the image goes.

        Returns:
            The patch, and the column and the row of its top left pixel.
        """
        height, width = self.occupied.shape
        x1, y1, x2, y2 = self.masks.windows[index].tolist()
        left, top = max(x1 - margin, 0), max(y1 - margin, 0)
        right, bottom = min(x2 + margin, width), min(y2 + margin, height)
        cell = np.zeros((bottom - top, right - left), dtype=bool)
        cell[y1 - top : y2 - top, x1 - left : x2 - left] = self.masks.cells[index]
        others = self.occupied[top:bottom, left:right] & ~cell
        background = _level_at(self.background, (x1 + x2) // 2, (y1 + y2) // 2)
        patch = CellPatch(self.image[top:bottom, left:right], cell, others, background, int(self.labels[index]))
        return patch, left, top

    def _resize(self, wanted: tuple[float, float], present: tuple[float, float]) -> None:
        height, width = self.image.shape[:2]
        new_width, new_height = round(width * wanted[0] / present[0]), round(height * wanted[1] / present[1])
        if (new_height, new_width) != (height, width):
            self.image = cv2.resize(self.image, (new_width, new_height))
            self.masks = self.masks.resize((new_height, new_width))


class PasteCanvas:
    """A sample that cells are pasted onto.

    A pasted cell's own pixels are taken as they are; around them, what is pasted fades over ``rim`` pixels, so that the
    cell keeps its halo. The rim brings no pixels of other cells along, and covers none of the cells that the pasted one
    must not hide.

    Args:
        results: The sample; its arrays are not written into.
        rim: Width in pixels over which the paste fades; 0 for a hard edge.
        on_top: Whether pasted cells may hide the sample's own; those pasted later then lie under those pasted before.
            If not, no pasted cell may touch a pixel of another cell.
        min_visible: Minimum fraction of its pixels that a cell, pasted or hidden, must show.
        match_background: Whether a pasted cell is made brighter or darker by the difference between the two
            backgrounds.
    """

    def __init__(
        self, results: dict[str, Any], rim: int, on_top: bool, min_visible: float, match_background: bool
    ) -> None:
        self.results = dict(results)
        self.masks = cropped_masks_of(results)
        self.image = results['img'].copy()
        self.rim = rim
        self.on_top = on_top
        self.min_visible = min_visible
        originals = occupied_pixels(self.masks)
        self.background = local_background(self.image, originals) if match_background else None
        # Pixels that no cell pasted from now on may cover.
        self.taken = np.zeros_like(originals) if on_top else originals
        self.crops: list[MaskCrop] = []
        self.labels: list[int] = []

    def paste(self, patch: CellPatch, x: int, y: int) -> bool:
        """Pastes a patch with its top left corner at ``(x, y)``, unless there is no room for its cell.

        There is room where enough of the cell shows and, unless cells may lie on top of each other, nothing is hidden.
        """
        height, width = self.taken.shape
        patch_height, patch_width = patch.cell.shape
        rows, columns = slice(max(y, 0), min(y + patch_height, height)), slice(max(x, 0), min(x + patch_width, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return False
        inside = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
        here = rows, columns
        taken = self.taken[here]
        cell = patch.cell[inside]
        hidden = cell & taken
        if not self.on_top and hidden.any():
            return False
        visible = cell ^ hidden
        if np.count_nonzero(visible) < max(1, self.min_visible * np.count_nonzero(patch.cell)):
            return False
        levels = patch.image[inside].astype(np.float32)
        if self.background is not None:
            levels += _level_at(self.background, x + patch_width // 2, y + patch_height // 2) - patch.background
        _blend(self.image[here], levels, visible, patch.others[inside] | taken, self.rim)
        taken |= visible
        self.crops.append(MaskCrop(visible, columns.start, rows.start))
        self.labels.append(patch.label)
        return True

    def finish(self) -> dict[str, Any]:
        """The sample with its own cells, cut to what shows of them, followed by the pasted ones."""
        results = self.results
        results['img'] = self.image
        if self.on_top:
            self._cut_originals(results)
        pasted = CroppedMasks(self.crops, self.masks.height, self.masks.width)
        masks = CroppedMasks.cat([results['gt_masks'], pasted])
        results['gt_masks'] = masks
        if 'gt_bboxes' in results:
            results['gt_bboxes'] = masks.get_bboxes(type(results['gt_bboxes']))
        added = {'gt_bboxes_labels': self.labels, 'gt_ignore_flags': [False] * len(pasted)}
        for key in PER_CELL_KEYS:
            if key in results:
                values = np.array(added[key], dtype=results[key].dtype)
                results[key] = np.concatenate([results[key], values])
        return results

    def _cut_originals(self, results: dict[str, Any]) -> None:
        crops = self.masks.crops
        keep = np.ones(len(crops), dtype=bool)
        for index, (crop, (x1, y1, x2, y2)) in enumerate(zip(crops, self.masks.windows.tolist(), strict=True)):
            under = self.taken[y1:y2, x1:x2]
            if not under.any():
                continue
            crops[index] = MaskCrop(crop.mask & ~under, crop.x, crop.y)
            keep[index] = crops[index].area >= self.min_visible * crop.area
        set_cells(results, CroppedMasks(crops, self.masks.height, self.masks.width), keep)


def training_set_of(results: dict[str, Any]) -> BaseDetDataset:
    """The data set that a sample comes from.

    Raises:
        InputError: The sample does not say.
    """
    if 'dataset' not in results:
        raise InputError(
            'the sample does not say which data set it comes from; put the transform into the pipeline of a '
            'SartoriusDataset that is not in test mode, not into that of a wrapper'
        )
    return results['dataset']()


def commonest_label(results: dict[str, Any]) -> int | None:
    """The class that most of a sample's cells have; None without cells."""
    labels = results['gt_bboxes_labels']
    return int(np.bincount(labels).argmax()) if len(labels) else None


def labels_of_names(names: Iterable[str], dataset: BaseDetDataset) -> list[int]:
    """Labels of some classes of a data set.

    Raises:
        InputError: A name is not among the classes.
    """
    classes = list(dataset.metainfo['classes'])
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise InputError(f'class {unknown[0]!r} is not one of {", ".join(classes)}')
    return [classes.index(name) for name in names]


def occupied_pixels(masks: CroppedMasks) -> NDArray[np.bool_]:
    """bool ``(height, width)``: where any cell is."""
    occupied = np.zeros((masks.height, masks.width), dtype=bool)
    for cell, (x1, y1, x2, y2) in zip(masks.cells, masks.windows.tolist(), strict=True):
        occupied[y1:y2, x1:x2] |= cell
    return occupied


def local_background(image: NDArray[np.uint8], occupied: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean grey levels of the background between the cells, in a coarse grid.

    Args:
        image: uint8 ``(height, width, 3)``.
        occupied: bool ``(height, width)``: pixels of cells, which are excluded.

    Returns:
        float32 ``(ceil(height / BACKGROUND_STEP), ceil(width / BACKGROUND_STEP), 3)``: means over a window, drawn
        towards that of the whole image where the window has little background. Without any, the mean of the image.
    """
    steps = slice(None, None, BACKGROUND_STEP)
    free = (~occupied[steps, steps]).astype(np.float32)[:, :, None]
    levels = image[steps, steps].astype(np.float32)
    overall = (levels * free).sum(axis=(0, 1)) / free.sum() if free.any() else levels.mean(axis=(0, 1))
    window = (BACKGROUND_WINDOW, BACKGROUND_WINDOW)
    differences = cv2.blur((levels - overall) * free, window, borderType=cv2.BORDER_REFLECT)
    share = cv2.blur(free, window, borderType=cv2.BORDER_REFLECT)[:, :, None]
    return overall + differences / (share + BACKGROUND_SHARE)


def _level_at(background: NDArray[np.float32], x: int, y: int) -> NDArray[np.float32]:
    """The background's grey levels at a pixel, or at the nearest one inside the image."""
    rows, columns = background.shape[:2]
    row, column = y // BACKGROUND_STEP, x // BACKGROUND_STEP
    return background[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)]


def _blend(
    view: NDArray[np.uint8],
    levels: NDArray[np.float32],
    cell: NDArray[np.bool_],
    blocked: NDArray[np.bool_],
    rim: int,
) -> None:
    """Paints ``levels`` into ``view``: wholly where the cell is, and ever less within ``rim`` pixels around it."""
    if rim > 0:
        distance = cv2.distanceTransform((~cell).view(np.uint8), cv2.DIST_L2, 5)
        weight = np.maximum(1 - distance / (rim + 1), 0)
        weight[blocked & ~cell] = 0
    else:
        weight = cell.astype(np.float32)
    mixed = view + weight[:, :, None] * (levels - view)
    view[:] = np.rint(mixed.clip(0, 255))
