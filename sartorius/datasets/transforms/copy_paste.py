"""Pastes cells of other training images."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.base_det_dataset import BaseDetDataset
from mmdet.registry import TRANSFORMS
from mmengine.dataset import Compose
from numpy.random import Generator

from sartorius.datasets.transforms.cells import cropped_masks_of
from sartorius.datasets.transforms.pasting import (
    CellPatch,
    CellSource,
    PasteCanvas,
    commonest_label,
    labels_of_names,
    training_set_of,
)
from sartorius.utils.errors import InputError

LOAD = (dict(type='LoadCellImage'), dict(type='LoadCellAnnotations'), dict(type='FillMaskHoles'))
PLACEMENTS = ('free', 'anywhere')
TURNS = ('none', 'quarter', 'any')


@TRANSFORMS.register_module()
class CellCopyPaste(BaseTransform):
    """Pastes cells of other images of the training set onto the sample.

    1. With probability ``1 - prob`` the sample is returned as it is.
    2. The number of cells is drawn from ``cells``, and ``sources`` classes are drawn by the chances of ``classes``. For
       each of them one image of the data set that has such cells is drawn; one that is drawn twice is one source.
    3. The sources are loaded by ``load`` and resized to the sample's magnification (``scale_factor``). Their cells of
       the class are candidates, except those at the image's border, which may be halves. The drawn number of them is
       pasted in random order, each once at most.
    4. A cell is cut out as a patch with its surroundings, rotated by quarter turns (``turn``) and mirrored (``flip``),
       then rotated by any angle and resized (``turn``, ``scale``).
    5. Up to ``attempts`` random places are tried. There is room where the part of the cell inside the image that no
       other cell hides is at least ``min_visible`` of it; with ``placement`` 'free' it must touch no cell at all. With
       'anywhere' it may cover the sample's own cells, and lies under those that were pasted before. A cell without room
       is skipped, so that fewer than drawn may be pasted.
    6. The patch's grey levels are shifted by the difference of the two backgrounds (``match_background``). The cell's
       pixels are opaque; around them, its halo fades out over ``rim`` pixels.
    7. The sample's cells lose the pixels that are covered; those that show less than ``min_visible`` are dropped.
       Boxes are recomputed, and pasted cells follow the sample's own.

    The other images come from the data set that the sample itself comes from, so that no cell of another fold is used.
    It must be a :class:`sartorius.datasets.sartorius.SartoriusDataset` with this transform in its own pipeline; the
    best place there is right after loading, where nothing has to be resized.

    Required keys: ``dataset``, which SartoriusDataset adds. Modified keys: ``img``, ``gt_masks``, ``gt_bboxes``,
    ``gt_bboxes_labels``, ``gt_ignore_flags``.

    Args:
        cells: Minimum and maximum number of cells to paste; both can be drawn.
        classes: Classes of the pasted cells: 'same' for the class that most of the sample's cells have, None for any,
            or chances by class name, for example ``{'cort': 3, 'astro': 1}``; classes without images have none.
        sources: Number of images that the cells of one sample are taken from.
        placement: 'free' leaves the sample's own cells as they are; 'anywhere' pastes on top of them and cuts them.
        flip: Whether half of the cells are mirrored.
        turn: 'none', 'quarter' for random quarter turns, which are exact, or 'any' for random angles.
        scale: Minimum and maximum factor of a cell's size, one as likely as its inverse.
        rim: Width in pixels over which the paste fades out around the cell.
        match_background: Whether a cell is made brighter or darker by the difference between the background at its new
            place and that where it comes from.
        min_visible: Minimum fraction of its pixels that a cell must show: a cell that shows less is not pasted, and a
            cell of the sample of which less remains is dropped.
        attempts: Maximum number of places that are tried for a cell.
        prob: Probability that cells are pasted at all.
        load: Transforms that load another image with its cells.
    """

    def __init__(
        self,
        cells: tuple[int, int] = (10, 50),
        classes: str | Mapping[str, float] | None = 'same',
        sources: int = 1,
        placement: str = 'free',
        flip: bool = True,
        turn: str = 'quarter',
        scale: tuple[float, float] = (1.0, 1.0),
        rim: int = 3,
        match_background: bool = True,
        min_visible: float = 0.25,
        attempts: int = 20,
        prob: float = 0.5,
        load: Sequence[dict[str, Any]] = LOAD,
    ) -> None:
        if isinstance(classes, str) and classes != 'same':
            raise InputError(f"classes is {classes!r}; it must be 'same', None, or chances by name: {{{classes!r}: 1}}")
        if placement not in PLACEMENTS:
            raise InputError(f'placement {placement!r} is not one of {PLACEMENTS}')
        if turn not in TURNS:
            raise InputError(f'turn {turn!r} is not one of {TURNS}')
        if not 0 <= cells[0] <= cells[1]:
            raise InputError(f'cells is {tuple(cells)}; it must be a least and a greatest number')
        if not 0 < scale[0] <= scale[1]:
            raise InputError(f'scale is {tuple(scale)}; it must be a least and a greatest factor above 0')
        self.cells = tuple(cells)
        self.classes = classes
        self.sources = sources
        self.placement = placement
        self.flip = flip
        self.turn = turn
        self.scale = tuple(scale)
        self.rim = rim
        self.match_background = match_background
        self.min_visible = min_visible
        self.attempts = attempts
        self.prob = prob
        self.load = Compose([TRANSFORMS.build(transform) for transform in load])
        self._index: tuple[BaseDetDataset | None, dict[int, list[int]]] = (None, {})

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        masks = cropped_masks_of(results)
        seed = self._draw_seed()
        if seed is None:
            return results
        rng = np.random.default_rng(seed)
        canvas = PasteCanvas(results, self.rim, self.placement == 'anywhere', self.min_visible, self.match_background)
        cells = self._draw_cells(results, rng)
        centres = rng.random((len(cells), self.attempts, 2)) * (masks.width, masks.height)
        for (source, index), places in zip(cells, centres.astype(int).tolist(), strict=True):
            patch = self._draw_patch(source, index, rng)
            height, width = patch.cell.shape
            for x, y in places:
                if canvas.paste(patch, x - width // 2, y - height // 2):
                    break
        return canvas.finish()

    @cache_randomness
    def _draw_seed(self) -> int | None:
        """Seed of all that is random in one sample, or None to leave the sample as it is."""
        if np.random.random() >= self.prob:
            return None
        return int(np.random.randint(2**31))

    def _draw_cells(self, results: dict[str, Any], rng: Generator) -> list[tuple[CellSource, int]]:
        """Other images and which of their cells to paste, in the order of pasting."""
        wanted = int(rng.integers(self.cells[0], self.cells[1] + 1))
        dataset = training_set_of(results)
        images = self._images_by_label(dataset)
        chances = self._chances(results, dataset)
        labels = [label for label, chance in chances.items() if chance > 0 and label in images]
        if wanted == 0 or not labels:
            return []
        weights = np.array([chances[label] for label in labels], dtype=np.float64)
        drawn = [labels[number] for number in rng.choice(len(labels), size=self.sources, p=weights / weights.sum())]
        cells = []
        # An image that is drawn twice is one source.
        for label, image in dict.fromkeys((label, int(rng.choice(images[label]))) for label in drawn):
            source = CellSource(self.load(dataset.get_data_info(image)), results.get('scale_factor', (1.0, 1.0)))
            cells += [(source, index) for index in source.whole_cells(label)]
        return [cells[position] for position in rng.permutation(len(cells))[:wanted].tolist()]

    def _chances(self, results: dict[str, Any], dataset: BaseDetDataset) -> dict[int | None, float]:
        """Chances of the labels to take cells of; the label None stands for all."""
        if self.classes is None:
            return {None: 1.0}
        if self.classes == 'same':
            return {commonest_label(results): 1.0}
        return dict(zip(labels_of_names(self.classes, dataset), self.classes.values(), strict=True))

    def _images_by_label(self, dataset: BaseDetDataset) -> dict[int | None, list[int]]:
        """Indices of the images that have cells of a label; under None, of those that have any cells."""
        if self._index[0] is not dataset:
            images = defaultdict(list)
            for index in range(len(dataset)):
                labels = set(dataset.get_cat_ids(index))
                for label in [*labels, None] if labels else []:
                    images[label].append(index)
            self._index = (dataset, dict(images))
        return self._index[1]

    def _draw_patch(self, source: CellSource, index: int, rng: Generator) -> CellPatch:
        """A cell as it will be pasted."""
        limits = np.log(self.scale)
        scale = math.exp(rng.uniform(*limits))
        quarters = int(rng.integers(4)) if self.turn == 'quarter' else 0
        angle = float(rng.uniform(0, 360)) if self.turn == 'any' else 0.0
        flip = self.flip and rng.random() < 0.5
        patch, _, _ = source.cut(index, margin=math.ceil(self.rim / scale) + 1)
        patch = patch.turned(quarters, flip)
        return patch if scale == 1 and angle == 0 else patch.warped(angle, scale)
