"""Pictures as arrays: cells drawn on their image, and image, ground truth and predictions side by side."""

import colorsys
import importlib.util
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sartorius.evaluation.matching import match
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.visualization.outlines import neighbour_colors

# Bright enough to stand out from mid-grey, and far enough apart in hue or lightness to distinguish neighbours with
# any colour vision.
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
# Of the class colours after those.
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
LIGHTNESSES = (0.72, 0.55, 0.85)
TP_COLOR = (53, 217, 130)
FN_COLOR = (70, 150, 255)
FP_COLOR = (255, 77, 77)

TITLE_HEIGHT = 32
BELOW_BASELINE = 11
TEXT_SIZE = 16
TEXT_COLOR = (20, 24, 33)
GUTTER = 8


def class_color(label: int) -> tuple[int, int, int]:
    """RGB colour of a class by its number among the classes of the data; no two of a hundred classes share one.

    The first are :data:`CELL_COLORS`. Further hues are multiples of the golden angle, which keeps any number of them
    apart, in three lightnesses that stand out from mid-grey.
    """
    if label < len(CELL_COLORS):
        return CELL_COLORS[label]
    hue, lightness = label * GOLDEN_RATIO % 1, LIGHTNESSES[label % len(LIGHTNESSES)]
    return tuple(round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 1))


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
        crops: Cells; parts outside the image are dropped. Later cells are drawn over earlier ones.
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
    # Outlines after all fillings, so that no filling covers the outline of a neighbour.
    for crop, color in zip(inside, colors.tolist(), strict=True):
        if thickness and crop.mask.size:
            # OpenCV draws in place only if the memory is contiguous, which a window of the image is not.
            contours, _ = cv2.findContours(crop.mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(canvas, contours, -1, color, thickness, offset=(crop.x, crop.y))
    return canvas


def compare(
    image: NDArray[np.uint8],
    gt: Sequence[MaskCrop] | None,
    pred: Sequence[MaskCrop],
) -> NDArray[np.uint8]:
    """Image, ground truth, predictions and their comparison side by side, each under its title.

    In the last picture true positives (IoU above 0.5) are green, false negatives blue and false positives red.

    Args:
        image: uint8 ``(height, width)`` or RGB ``(height, width, 3)``.
        gt: Ground-truth cells; None omits the second and the fourth picture.
        pred: Predicted cells.

    Returns:
        uint8 RGB, as high as the image and its title; the pictures have a gutter between them.
    """
    pictures = [('Image', _as_rgb(image)), (f'Predictions: {len(pred)} cells', draw_cells(image, pred))]
    if gt is not None:
        matching = match(gt, pred, image.shape[:2])
        missed = [crop for crop, matched in zip(gt, matching.gt_matched, strict=True) if not matched]
        colors = [TP_COLOR if matched else FP_COLOR for matched in matching.pred_matched] + [FN_COLOR] * len(missed)
        comparison = draw_cells(image, [*pred, *missed], np.array(colors, dtype=np.uint8).reshape(-1, 3))
        pictures.insert(1, (f'Ground truth: {len(gt)} cells', draw_cells(image, gt)))
        pictures.append((f'{matching.tp} TP, {matching.fn} FN, {matching.fp} FP', comparison))
    return side_by_side([picture for _, picture in pictures], [title for title, _ in pictures])


def side_by_side(pictures: Sequence[NDArray[np.uint8]], titles: Sequence[str]) -> NDArray[np.uint8]:
    """RGB pictures of equal size in a row on white, each under its title; uint8 RGB."""
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
    ink = Image.new('L', (math.ceil(font.getlength(text)), TITLE_HEIGHT))
    # Anchored at the baseline, so that lines align whether or not a letter has a descender.
    ImageDraw.Draw(ink).text((0, TITLE_HEIGHT - BELOW_BASELINE), text, fill=255, font=font, anchor='ls')
    coverage = np.asarray(ink, dtype=np.float32)[..., None] / 255
    return (255 - coverage * (255 - np.array(TEXT_COLOR)) + 0.5).astype(np.uint8)


def _as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError(
            f'cells are drawn on uint8 (height, width) or (height, width, 3), not {image.dtype} {image.shape}; '
            'see sartorius.images.grey_levels.to_uint8'
        )
    rgb = image[..., None].repeat(3, axis=2) if image.ndim == 2 else image
    return np.array(rgb, order='C')


@cache
def _font() -> ImageFont.FreeTypeFont:
    # The font that matplotlib ships: Pillow's own has Latin letters only, and image ids are file names.
    (package,) = importlib.util.find_spec('matplotlib').submodule_search_locations
    path = Path(package) / 'mpl-data/fonts/ttf/DejaVuSans.ttf'
    return ImageFont.truetype(path, TEXT_SIZE, layout_engine=ImageFont.Layout.BASIC)
