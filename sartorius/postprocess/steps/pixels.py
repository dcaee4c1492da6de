"""Steps on the pixels of each cell by itself."""

from dataclasses import dataclass, replace

from sartorius.masks.convex_fill import fill_as_convex
from sartorius.masks.pieces import drop_fragments, fill_holes, largest_piece
from sartorius.postprocess.per_class import PerClass, values_of
from sartorius.postprocess.steps.base import DEFAULT_MASK_THRESHOLD, Step, areas_of, change_crops, with_crops
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.classes import CELL_TYPES

ASTRO = CELL_TYPES.index('astro')


@dataclass(frozen=True)
class MaskThreshold(Step):
    """Binarises the soft masks in image pixels: a pixel belongs to a cell whose probability reaches the threshold.

    Predictions that have binary masks already keep them.
    """

    thresholds: PerClass = DEFAULT_MASK_THRESHOLD

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return with_crops(predictions, self.thresholds)


@dataclass(frozen=True)
class FillHoles(Step):
    """Fills the holes of every cell: pixels that its own pixels wall off from the outside."""

    on_pixels = True
    grows_cells = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        inside = [crop.clipped(predictions.size) for crop in predictions.crops]
        return replace(predictions, crops=fill_holes(inside))


@dataclass(frozen=True)
class BreakAstroMasks(Step):
    """Breaks the masks of astrocytes as the annotation tool broke the true ones, those of the hidden test set included.

    Bays are filled by straight horizontal runs, and branches that point up are left hollow
    (:func:`sartorius.masks.convex_fill.fill_as_convex`). It belongs after ``FillHoles``, which would close the branches
    again. Cells of the other classes keep their masks.
    """

    on_pixels = True
    grows_cells = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        cells = zip(predictions.crops, predictions.labels, strict=True)
        broken = (fill_as_convex(crop.clipped(predictions.size)) if label == ASTRO else crop for crop, label in cells)
        return replace(predictions, crops=tuple(broken))


@dataclass(frozen=True)
class KeepLargestComponent(Step):
    """Cuts every cell down to its largest connected piece.

    Pixels that touch at a corner are connected. Of equally large pieces the one with the topmost pixel stays.
    """

    on_pixels = True

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return change_crops(predictions, largest_piece)


@dataclass(frozen=True)
class DropFragments(Step):
    """Cuts the small pieces off every cell. Its largest piece always stays.

    Pixels that touch at a corner are connected.

    Attributes:
        min_fractions: A piece goes if it has less than this fraction of the pixels of the cell's largest piece.
        min_areas: A piece goes if it has fewer pixels.
    """

    min_fractions: PerClass = 0.1
    min_areas: PerClass = 0.0

    on_pixels = True
    unbounded = ('min_areas',)

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        return change_crops(predictions, drop_fragments, self.min_fractions, self.min_areas)


@dataclass(frozen=True)
class MinArea(Step):
    """Drops the cells that have fewer pixels inside the image than the least area of their class, or none at all."""

    areas: PerClass

    on_pixels = True
    unbounded = ('areas',)

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        areas = areas_of(predictions)
        return predictions.select((areas > 0) & (areas >= values_of(self.areas, predictions.labels)))


@dataclass(frozen=True)
class MaxArea(Step):
    """Drops the cells that have more pixels inside the image than the greatest area of their class."""

    areas: PerClass

    on_pixels = True
    unbounded = ('areas',)

    def __call__(self, predictions: ImagePredictions) -> ImagePredictions:
        predictions = with_crops(predictions)
        return predictions.select(areas_of(predictions) <= values_of(self.areas, predictions.labels))
