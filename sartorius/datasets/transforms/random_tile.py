"""Small tiles of an image, enlarged."""

import math
from typing import Any, ClassVar

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from numpy.typing import NDArray

from sartorius.datasets.transforms.cells import set_cells
from sartorius.datasets.transforms.random_cell_crop import cut_window, draw_corner
from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError

INTERPOLATIONS = ('bilinear', 'bicubic')


@TRANSFORMS.register_module()
class RandomTile(BaseTransform):
    """Cuts a tile out of the image at its own size, and enlarges the tile alone.

    The same samples as from enlarging the whole image and cropping, without the pixels that the crop throws away. The
    defaults are those of the competition's 6th place: 16 overlapping tiles of 281x208 pixels of a 704x520
    image, enlarged to a width of 800 to 1333. Cells at the tile's border are treated as in :class:`RandomCellCrop`.

    Modified keys: ``img``, ``img_shape``, ``gt_masks``, ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``,
    ``scale_factor`` (width's and height's factor; an existing one is multiplied).

    Args:
        tile_size: ``(height, width)`` of the tile in pixels, before it is enlarged.
        scale_range: The factor is drawn evenly between these two; height and width are rounded to whole pixels.
        log_scale: Whether its logarithm is drawn evenly instead, so that half and twice a size are equally likely.
        stride: Tiles come from a regular grid, all equally likely: their distance in rows and columns in pixels, see
            :func:`tile_starts`. None for tiles at any place, of which few show the image's rim.
        interpolation: Of the image, 'bilinear' or 'bicubic'; masks take the nearest pixel.
        min_visible: Minimum fraction of a cell's pixels that must lie in the tile.
        min_area: Minimum number of pixels in the tile, before it is enlarged, of a cell that lies across its border.
        attempts: Maximum number of tiles that are drawn until one holds a cell.
        pad_value: Grey level of what an image smaller than the tile is padded with.

    Raises:
        InputError: A size, factor or stride that is not positive, or an unknown interpolation.
    """

    example: ClassVar[dict[str, Any]] = {'tile_size': (40, 50), 'stride': (10, 12)}

    def __init__(
        self,
        tile_size: Size = (208, 281),
        scale_range: tuple[float, float] = (2.85, 4.75),
        stride: Size | None = (104, 140),
        interpolation: str = 'bilinear',
        min_visible: float = 0.25,
        min_area: int = 16,
        attempts: int = 5,
        pad_value: int = 128,
        log_scale: bool = False,
    ) -> None:
        if min(tile_size) < 1 or (stride is not None and min(stride) < 1):
            raise InputError(f'RandomTile: tile_size {tile_size} and stride {stride} must be at least 1 pixel')
        low, high = scale_range
        if not 0 < low <= high:
            raise InputError(f'RandomTile: scale_range {scale_range} must be a lower and an upper factor above 0')
        if interpolation not in INTERPOLATIONS:
            raise InputError(f'RandomTile: interpolation {interpolation!r} is not one of {INTERPOLATIONS}')
        self.tile_size = tuple(tile_size)
        self.scale_range = (low, high)
        self.stride = None if stride is None else tuple(stride)
        self.interpolation = interpolation
        self.min_visible = min_visible
        self.min_area = min_area
        self.attempts = attempts
        self.pad_value = pad_value
        self.log_scale = log_scale

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = cut_window(
            results,
            self.tile_size,
            self._draw_corner,
            min_visible=self.min_visible,
            min_area=self.min_area,
            attempts=self.attempts,
            pad_value=self.pad_value,
        )
        height, width = self.tile_size
        wide, high = mmcv.rescale_size((width, height), self._draw_scale())
        results['img'] = mmcv.imresize(results['img'], (wide, high), interpolation=self.interpolation)
        results['img_shape'] = (high, wide)
        before = results.get('scale_factor', (1.0, 1.0))
        results['scale_factor'] = (before[0] * wide / width, before[1] * high / height)
        # A factor below 1 may leave a cell without pixels.
        set_cells(results, results['gt_masks'].resize((high, wide)))
        return results

    @cache_randomness
    def _draw_corner(self, margins: Size) -> tuple[int, int]:
        """Row and column of the tile's top left corner."""
        if self.stride is None:
            return draw_corner(margins)
        starts = (
            tile_starts(margin + tile, tile, stride)
            for margin, tile, stride in zip(margins, self.tile_size, self.stride, strict=True)
        )
        row, column = (int(np.random.choice(places)) for places in starts)
        return row, column

    @cache_randomness
    def _draw_scale(self) -> float:
        if self.log_scale:
            return float(np.exp(np.random.uniform(*np.log(self.scale_range))))
        return float(np.random.uniform(*self.scale_range))


def tile_starts(length: int, tile: int, stride: int) -> NDArray[np.int64]:
    """Where tiles begin along one side of an image, so that all of it is covered.

    The first tile begins at 0 and the last one ends at ``length``; the distances between are equal but for rounding to
    whole pixels, and as near to ``stride`` as that allows, but never larger than a tile.

    Args:
        length: Side of the image in pixels, at least ``tile``.
        tile: Side of a tile in pixels.
        stride: Wanted distance in pixels between one tile and the next.
    """
    margin = length - tile
    steps = max(round(margin / stride), math.ceil(margin / tile))
    return np.rint(np.linspace(0, margin, steps + 1)).astype(np.int64)
