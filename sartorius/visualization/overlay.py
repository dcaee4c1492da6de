"""Cells drawn on their image, and image, truth and prediction side by side."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray

from sartorius.evaluation.matching import match
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.visualization.outlines import neighbour_colors

# Bright enough to stand out from mid-grey, and far enough apart in hue or lightness for colour-blind eyes that
# neighbours are told from each other.
CELL_COLORS: tuple[tuple[int, int, int], ...] = (
    (255, 214, 10),
    (64, 224, 255),
    (255, 110, 199),
    (140, 255, 90),
    (255, 140, 46),
    (176, 156, 255),
    (240, 244, 255),
    (58, 134, 255),
)
TP_COLOR = (53, 217, 130)
MISSED_COLOR = (70, 150, 255)
EXTRA_COLOR = (255, 77, 77)

TITLE_HEIGHT = 32
BELOW_BASELINE = 11
TEXT_SIZE = 16
TEXT_COLOR = (20, 24, 33)
GUTTER = 8


def draw_cells(
    image: NDArray[np.uint8],
    crops: Sequence[MaskCrop],
    colors: NDArray[np.uint8] | None = None,
    alpha: float = 0.22,
    thickness: int = 1,
) -> NDArray[np.uint8]:
    """An image with its cells filled lightly and outlined.

    Args:
        image: uint8 ``(height, width)`` or RGB ``(height, width, 3)``.
        crops: Cells; what lies outside the image is left out. Later cells are drawn over earlier ones.
        colors: uint8 RGB ``(N, 3)``, or None for :data:`CELL_COLORS` such that cells that touch differ.
        alpha: Opacity of the filling in [0, 1].
        thickness: Width of the outline in pixels; 0 for none.

    Returns:
        uint8 RGB ``(height, width, 3)``; a new array.

    Raises:
        InputError: The image is not uint8, or ``colors`` does not fit the cells.
    """
    canvas = _as_rgb(image)
    if colors is None:
        colors = np.array(CELL_COLORS, dtype=np.uint8)[neighbour_colors(crops, len(CELL_COLORS))]
    elif colors.shape != (len(crops), 3):
        raise InputError(f'colors has shape {colors.shape}; {len(crops)} cells need ({len(crops)}, 3)')
    inside = [crop.clipped(canvas.shape[:2]) for crop in crops]
    for crop, color in zip(inside, colors, strict=True):
        x1, y1, x2, y2 = crop.window
        window = canvas[y1:y2, x1:x2]
        window[crop.mask] = (1 - alpha) * window[crop.mask] + alpha * color + 0.5
    # Outlines come after all fillings, so that no cell dulls its neighbour's.
    for crop, color in zip(inside, colors.tolist(), strict=True):
        if thickness and crop.mask.size:
            # OpenCV writes into the array of the given image only when its memory is contiguous: no window of it.
            contours, _ = cv2.findContours(crop.mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(canvas, contours, -1, color, thickness, offset=(crop.x, crop.y))
    return canvas


def compare(
    image: NDArray[np.uint8],
    gt: Sequence[MaskCrop] | None,
    pred: Sequence[MaskCrop],
) -> NDArray[np.uint8]:
    """Image, truth, prediction and their differences side by side, each under its title.

    In the last picture cells with an IoU above 0.5 are green, missed cells (false negatives) blue and extra ones (false
    positives) red.

    Args:
        image: uint8 ``(height, width)`` or RGB ``(height, width, 3)``.
        gt: True cells; None leaves out the second and the fourth picture.
        pred: Predicted cells.

    Returns:
        uint8 RGB, as high as the image and its title, one picture's width and a gutter a picture.
    """
    pictures = [('Image', _as_rgb(image)), (f'Found: {len(pred)} cells', draw_cells(image, pred))]
    if gt is not None:
        matches = match(gt, pred, image.shape[:2])
        missed = [crop for crop, hit in zip(gt, matches.gt_matched, strict=True) if not hit]
        colors = [TP_COLOR if hit else EXTRA_COLOR for hit in matches.pred_matched] + [MISSED_COLOR] * len(missed)
        differences = draw_cells(image, [*pred, *missed], np.array(colors, dtype=np.uint8).reshape(-1, 3))
        pictures.insert(1, (f'Truth: {len(gt)} cells', draw_cells(image, gt)))
        extra = len(pred) - matches.tp
        pictures.append((f'{matches.tp} hit, {len(missed)} missed, {extra} extra', differences))
    return side_by_side([picture for _, picture in pictures], [title for title, _ in pictures])


def side_by_side(pictures: Sequence[NDArray[np.uint8]], titles: Sequence[str]) -> NDArray[np.uint8]:
    """RGB pictures of one size in a row on white, each under its title; uint8 RGB."""
    height, width = pictures[0].shape[:2]
    page_width = len(pictures) * (width + GUTTER) - GUTTER
    page = np.full((height + TITLE_HEIGHT, page_width, 3), 255, dtype=np.uint8)
    for index, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left = index * (width + GUTTER)
        page[TITLE_HEIGHT:, left : left + width] = picture
        ink = draw_text(title)[:TITLE_HEIGHT, :width]
        page[: ink.shape[0], left : left + ink.shape[1]] = ink
    return page


def draw_text(text: str) -> NDArray[np.uint8]:
    """A line of dark text on white as RGB, :data:`TITLE_HEIGHT` pixels high and as wide as the text."""
    font = _font()
    font.set_size(TEXT_SIZE, 72)
    font.set_text(text, 0.0)
    font.draw_glyphs_to_bitmap(antialiased=True)
    ink = np.asarray(font.get_image(), dtype=np.float32)
    # Lines stand on one height whether or not a letter reaches below: FreeType counts the descent in 1/64 pixels.
    top = TITLE_HEIGHT - BELOW_BASELINE - ink.shape[0] + round(font.get_descent() / 64)
    page = np.zeros((TITLE_HEIGHT, ink.shape[1]), dtype=np.float32)
    page[top : top + ink.shape[0]] = ink
    return (255 - page[..., None] * (1 - np.array(TEXT_COLOR) / 255) + 0.5).astype(np.uint8)


def _as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError(
            f'cells are drawn on uint8 (height, width) or (height, width, 3), not {image.dtype} {image.shape}; '
            'see sartorius.images.display.for_display'
        )
    rgb = image[..., None].repeat(3, axis=2) if image.ndim == 2 else image
    return np.array(rgb, order='C')


@cache
def _font() -> FT2Font:
    # The file that matplotlib ships: asking its font manager would search the whole system at the first call.
    return FT2Font(str(Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf'))
