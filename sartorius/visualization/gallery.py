"""Cards of a page: an image, its ground truth, its predictions and their comparison side by side.

The picture is embedded once; cells are vector outlines along the edges of their pixels. So a card of a crowded image
weighs about 0.1 MB, stays sharp at any zoom, and the page's viewer can address single cells.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.evaluation.matching import Matching, match
from sartorius.images.grey_levels import stretch
from sartorius.masks.crop import MaskCrop
from sartorius.utils.errors import InputError
from sartorius.visualization.html import chip
from sartorius.visualization.outlines import neighbour_colors, svg_path
from sartorius.visualization.overlay import CELL_COLORS

IMAGE_QUALITY = 80
MAX_SIDE = 1600
"""Larger pictures are embedded at this size; the outlines stay in full resolution."""

# True positives, false negatives and false positives have the colours of the comparison; the others lie between or
# apart.
ERROR_COLORS: dict[str, str] = {
    'correct': '#35d982',
    'spurious': '#ff4d4d',
    'duplicate': '#ff9e9e',
    'split': '#1fd5e8',
    'merged': '#ff63d8',
    'missed': '#4696ff',
    'near miss': '#ff9124',
    'wrong holes': '#b48cff',
    'poor outline': '#ffd60a',
    'inexact outline': '#c3e86b',
    'double label': '#b9c2c9',
}
"""Colour of each of :data:`sartorius.evaluation.cell_errors.CATEGORIES`."""


@dataclass(frozen=True, eq=False)
class Example:
    """One image of a page with its cells.

    Attributes:
        title: Heading of its card, usually the image id.
        image: uint8 ``(height, width)``.
        pred: Predicted cells.
        gt: Ground-truth cells, or None without annotations.
        pred_scores: Scores in [0, 1] of the predictions, or None.
        cell_type: Name of the class, or an empty string.
        score: The image's competition score, or None.
        note: Why the image is shown, for example 'best', or an empty string.
        gt_errors: Category of each ground-truth cell (:data:`sartorius.evaluation.cell_errors.CATEGORIES`), or None.
        pred_errors: Category of each prediction, or None.
    """

    title: str
    image: NDArray[np.uint8]
    pred: Sequence[MaskCrop]
    gt: Sequence[MaskCrop] | None = None
    pred_scores: NDArray[np.floating] | None = None
    cell_type: str = ''
    score: float | None = None
    note: str = ''
    gt_errors: Sequence[str] | None = None
    pred_errors: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 2 or self.image.dtype != np.uint8:
            raise InputError(f'{self.title}: the picture must be uint8 (height, width), not {self.image.dtype}')
        if self.pred_scores is not None and len(self.pred_scores) != len(self.pred):
            raise InputError(f'{self.title}: {len(self.pred_scores)} scores for {len(self.pred)} predictions')


def error_key(category: str) -> str:
    """CSS class of the cells of a category and, as ``var(--...)`` inside ``.errors``, its colour."""
    return 'x-' + category.replace(' ', '-')


def swatch(category: str) -> str:
    """A square in the category's colour, for use inside ``.errors``."""
    return f'<i class="swatch" style="--own: var(--{error_key(category)})"></i>'


def swatches(categories: Iterable[str]) -> str:
    """Categories with their colours, for a legend inside ``.errors``."""
    return ''.join(f'<span>{swatch(category)}{category}</span>' for category in categories)


def open_button(image_id: str, numbers: Mapping[str, int]) -> str:
    """An image id; a button that opens the image's card in the viewer if it has one.

    Args:
        image_id: Plain text.
        numbers: Number of the card of each image that is shown.
    """
    name = escape(image_id)
    if image_id not in numbers:
        return name
    return f'<button type="button" class="open" data-card="#i{numbers[image_id]}">{name}</button>'


def color_rules() -> str:
    """CSS rules of :data:`CELL_COLORS` and :data:`ERROR_COLORS`."""
    # Outside .errors these variables are not set, so that the cells keep the colours of the other pictures.
    errors = ' '.join(f'--{error_key(name)}: {color};' for name, color in ERROR_COLORS.items())
    return '\n'.join(
        (
            *(f'.c{number} {{ --own: rgb({" ".join(map(str, color))}); }}' for number, color in enumerate(CELL_COLORS)),
            f'.errors {{ {errors} }}',
            *(f'.{error_key(name)} {{ --kind: var(--{error_key(name)}); }}' for name in ERROR_COLORS),
        )
    )


def legend(with_gt: bool, with_errors: bool = False) -> str:
    """What the colours of the pictures mean, as HTML."""
    if not with_gt:
        return '<p class="legend">Colours distinguish neighbouring cells and have no other meaning.</p>'
    entries = (
        ('tp', 'true positive: IoU with a ground-truth cell above .5'),
        ('fn', 'false negative: missed ground-truth cell'),
        ('fp', 'false positive: prediction without a match'),
    )
    spans = ''.join(f'<span><i style="--own: var(--{name})"></i>{text}</span>' for name, text in entries)
    errors = f'<p class="legend errors"><span>Errors:</span>{swatches(ERROR_COLORS)}</p>' if with_errors else ''
    compared = f'<span>Comparison:</span>{spans}<span>Elsewhere colours only distinguish cells.</span>'
    return f'<p class="legend">{compared}</p>{errors}'


def card(example: Example, number: int, classes: Sequence[str]) -> str:
    """One example as HTML.

    Args:
        example: What to show.
        number: Its number on the page, from which the ids of its parts are made.
        classes: All class names of the page, for the colours.
    """
    height, width = example.image.shape
    matching = None if example.gt is None else match(example.gt, example.pred, (height, width))
    panels = [('image', 'Image', f'{width} × {height} px', ())]
    if matching is not None:
        panels.append(('gt', 'Ground truth', _cells(matching.n_gt), ('g',)))
    panels.append(('pred', 'Predictions', _cells(len(example.pred)), ('p',)))
    if matching is not None:
        panels.append(('compare', 'Comparison', _counts(matching), ('g', 'p')))
    if example.gt_errors is not None:
        panels.append(('errors', 'Errors', 'by kind; ground truth dashed', ('g', 'p')))
    view_box = f'0 0 {width} {height}'
    buttons = ''.join(
        f'<button type="button" class="panel" data-view="{view}" title="Enlarge">'
        f'<b>{name} <small>{detail}</small></b>'
        f'<svg class="{view}" viewBox="{view_box}" aria-hidden="true"><use href="#b{number}"/>'
        + ''.join(f'<use class="layer" href="#{group}{number}"/>' for group in groups)
        + '</svg></button>'
        for view, name, detail, groups in panels
    )
    return (
        f'<article class="card sheet" id="i{number}" data-image="#b{number}" data-note="{escape(_note(example))}">'
        f'{_head(example, classes)}'
        f'<svg width="0" height="0" class="defs" aria-hidden="true"><defs>'
        f'<image id="b{number}" width="{width}" height="{height}" href="{embedded(stretch(example.image))}"/>'
        f'{_cell_groups(example, number, matching)}</defs></svg>'
        f'<div class="panels">{buttons}</div></article>'
    )


def embedded(image: NDArray[np.uint8]) -> str:
    """Data URI of a picture, grey ``(height, width)`` or RGB ``(height, width, 3)``.

    WebP: half the size of a JPEG that looks the same.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    scale = MAX_SIDE / max(image.shape)
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, code = cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, IMAGE_QUALITY])
    return 'data:image/webp;base64,' + base64.b64encode(code).decode('ascii')


def _head(example: Example, classes: Sequence[str]) -> str:
    parts = [f'<h3>{escape(example.title)}</h3>']
    if example.cell_type:
        parts.append(chip(example.cell_type, classes))
    if example.score is not None:
        parts.append(f'<span class="score">score {example.score:.3f}</span>')
    if example.note:
        parts.append(f'<span>{escape(example.note)}</span>')
    return f'<div class="card-head">{"".join(parts)}</div>'


def _note(example: Example) -> str:
    score = '' if example.score is None else f'score {example.score:.3f}'
    return ' · '.join(part for part in (example.cell_type, score, example.note) if part)


def _counts(matching: Matching) -> str:
    counts = (('tp', matching.tp), ('fn', matching.fn), ('fp', matching.fp))
    return ' '.join(
        f'<span class="count"><i style="--own: var(--{name})"></i>{count} {name.upper()}</span>'
        for name, count in counts
    )


def _cells(count: int) -> str:
    return f'{count} cell' if count == 1 else f'{count} cells'


def _cell_groups(example: Example, number: int, matching: Matching | None) -> str:
    """The outlines: group ``p`` holds the predictions, ``g`` the ground truth."""
    scores = None if example.pred_scores is None else [f'{score:.2f}' for score in example.pred_scores]
    if matching is None:
        return f'<g id="p{number}" class="cells">{_paths("pred", example.pred, scores)}</g>'
    states = np.where(matching.pred_matched, 'tp', 'fp')
    pred = _paths('pred', example.pred, scores, matching.pred_iou, states, example.pred_errors)
    states = np.where(matching.gt_matched, 'tp', 'fn')
    gt = _paths('gt', example.gt, None, matching.gt_iou, states, example.gt_errors)
    return f'<g id="p{number}" class="cells">{pred}</g><g id="g{number}" class="cells">{gt}</g>'


def _paths(
    side: str,
    crops: Sequence[MaskCrop],
    scores: Sequence[str] | None = None,
    iou: NDArray[np.float64] | None = None,
    states: NDArray[np.str_] | None = None,
    errors: Sequence[str] | None = None,
) -> str:
    """Cells as one SVG path per colour, state and kind of error.

    ``data-cells`` has number, area, score and best IoU of each cell, and its kind of error if known.
    """
    outlines: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for index, color in enumerate(neighbour_colors(crops, len(CELL_COLORS)).tolist()):
        outline = svg_path(crops[index])
        if not outline:
            continue
        name = f'c{color}' if states is None else f'c{color} {states[index]}'
        score = '' if scores is None else scores[index]
        best = '' if iou is None else f'{iou[index]:.2f}'
        entry = f'{index + 1},{crops[index].area},{score},{best}'
        if errors is not None:
            name += f' {error_key(errors[index])}'
            entry += f',{errors[index].replace(" ", "-")}'
        outlines.setdefault(name, []).append(outline)
        values.setdefault(name, []).append(entry)
    return ''.join(
        f'<path class="{name}" data-set="{side}" data-cells="{" ".join(values[name])}" d="{"".join(outlines[name])}"/>'
        for name in sorted(outlines)
    )
