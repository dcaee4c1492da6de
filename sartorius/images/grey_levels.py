"""Grey levels of any depth brought to 8 bits, in the same way for models, pages, tiles and all frames of a movie."""

import cv2
import numpy as np
from numpy.typing import NDArray

STRETCH_PERCENTILES = (0.1, 99.9)
"""Grey levels at these percentiles of an image become 0 and 255."""

MAX_SORTED = 1 << 26
"""Values of more than 16 bits that are looked at for percentiles; of larger arrays every n-th value is."""

_CHUNK = 1 << 20


def to_uint8(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Values as uint8 of the same shape: uint8 as they are, others stretched.

    Deeper images (12 or 16 bits, floats) use only a part of their range, so that a division by 256 would leave them
    black.
    """
    return image if image.dtype == np.uint8 else stretch(image)


def stretch(image: NDArray[np.generic], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Values as uint8 of the same shape, spread linearly so that ``limits`` become 0 and 255; what lies beyond is cut.

    Args:
        image: Any shape. One of a single value becomes black, and so do values that are no numbers (NaN).
        limits: Two values, for example another image's :func:`stretch_limits`; the image's own if None.
    """
    low, high = stretch_limits(image) if limits is None else limits
    # Whole numbers that differ by less than 1 would become noise.
    span = max(high - low, 1) if image.dtype.kind in 'iub' else (high - low) or 1

    def spread(values: NDArray[np.generic]) -> NDArray[np.uint8]:
        # Infinite values and those too far away for a float lie beyond the limits.
        with np.errstate(over='ignore', invalid='ignore'):
            scaled = (values.astype(np.float64) - low) * (255 / span)
        return np.rint(np.nan_to_num(np.clip(scaled, 0, 255))).astype(np.uint8)

    image = np.ascontiguousarray(image)
    if image.dtype == np.uint16 and image.size > 1 << 16:
        convert = spread(np.arange(1 << 16, dtype=np.uint16)).take
    else:
        convert = spread
    # In chunks, because float64 and indices take eight times the memory of the result.
    stretched = np.empty(image.shape, np.uint8)
    values, results = image.reshape(-1), stretched.reshape(-1)
    for start in range(0, values.size, _CHUNK):
        results[start : start + _CHUNK] = convert(values[start : start + _CHUNK])
    return stretched


def stretch_limits(image: NDArray[np.generic]) -> tuple[float, float]:
    """The values at the percentiles of :data:`STRETCH_PERCENTILES`, as :func:`numpy.percentile` interpolates them.

    Values of 8 and 16 bits are counted, which is exact and takes no memory; of others, at most :data:`MAX_SORTED` are
    looked at, and those that are not finite do not count.
    """
    if image.dtype in (np.uint8, np.uint16):
        low, high = _percentiles_by_counts(image)
    else:
        values = image.reshape(-1)
        values = values[:: 1 + (values.size - 1) // MAX_SORTED]
        if values.dtype.kind == 'f':
            # In float64, whose differences of two values of a smaller type are finite.
            values = values[np.isfinite(values)].astype(np.float64)
        if not values.size:
            return 0.0, 0.0
        low, high = np.percentile(values, STRETCH_PERCENTILES)
    return float(low), float(high)


def luminance(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """Grey levels ``(..., H, W)`` of blue, green and red ``(..., H, W, 3)``, of the same depth.

    As :func:`cv2.cvtColor` weighs them (ITU-R BT.601), to which values of 8 and 16 bits and of float32 go.
    """
    if image.dtype in (np.uint8, np.uint16, np.float32):
        rows = np.ascontiguousarray(image).reshape(-1, image.shape[-2], 3)
        return cv2.cvtColor(rows, cv2.COLOR_BGR2GRAY).reshape(image.shape[:-1])
    with np.errstate(invalid='ignore'):
        grey = image @ np.array([0.114, 0.587, 0.299])
    if image.dtype.kind not in 'iu':
        return grey.astype(image.dtype)
    # The largest integers of 64 bits are no floats; the next ones would not fit.
    limits = np.iinfo(image.dtype)
    top = float(limits.max) if int(float(limits.max)) <= limits.max else np.nextafter(float(limits.max), 0)
    return np.clip(np.rint(grey), limits.min, top).astype(image.dtype)


def three_channels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image as models take it, ``(H, W, 3)``: grey ``(H, W)`` three times, blue, green and red as they are."""
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def _percentiles_by_counts(image: NDArray[np.generic]) -> NDArray[np.float64]:
    values = image.reshape(-1)
    counts = np.zeros(np.iinfo(image.dtype).max + 1, np.int64)
    for start in range(0, values.size, _CHUNK):
        counts += np.bincount(values[start : start + _CHUNK], minlength=len(counts))
    ranks = (values.size - 1) * (np.array(STRETCH_PERCENTILES) / 100)
    below = np.floor(ranks)
    ends = np.cumsum(counts)
    lower = np.searchsorted(ends, below, side='right').astype(np.float64)
    upper = np.searchsorted(ends, np.minimum(below + 1, values.size - 1), side='right').astype(np.float64)
    part = ranks - below
    # The two forms of numpy's own interpolation, so that no last bit differs.
    return np.where(part >= 0.5, upper - (upper - lower) * (1 - part), lower + (upper - lower) * part)
