"""The baseline that any model has to beat: Otsu's threshold and connected components."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sartorius.masks.crop import MaskCrop


def threshold_and_components(
    image: NDArray[np.uint8], smoothing: float = 2.0, min_area: int = 50
) -> tuple[MaskCrop, ...]:
    """Segments cells as connected regions that differ from the background.

    In phase contrast a cell is both brighter and darker than its surroundings, so the threshold is on the smoothed
    deviation from the median grey level (Otsu 1979).

    Args:
        image: uint8 ``(H, W)``.
        smoothing: Standard deviation in pixels of the Gaussian that smooths the deviation.
        min_area: Smaller regions are dropped; px.

    Returns:
        Tight, disjoint crops with their holes filled.
    """
    deviation = ndimage.gaussian_filter(np.abs(image.astype(np.float32) - np.median(image)), smoothing)
    regions, _ = ndimage.label(ndimage.binary_fill_holes(deviation > _otsu(deviation)))
    crops = []
    for number, window in enumerate(ndimage.find_objects(regions), start=1):
        mask = regions[window] == number
        if np.count_nonzero(mask) >= min_area:
            crops.append(MaskCrop(mask, window[1].start, window[0].start))
    return tuple(crops)


def _otsu(values: NDArray[np.float32], bins: int = 256) -> float:
    """Threshold with the largest variance between the two classes that it makes (Otsu 1979)."""
    counts, edges = np.histogram(values, bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    total = (counts * centres).cumsum()
    with np.errstate(divide='ignore', invalid='ignore'):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(centres[np.nanargmax(between)])
