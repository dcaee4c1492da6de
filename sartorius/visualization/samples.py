"""Pictures of training samples as the model gets them, and one page with all of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.images.grey_levels import stretch, stretch_limits
from sartorius.masks.crop import MaskCrop
from sartorius.visualization.gallery import embedded
from sartorius.visualization.outlines import svg_path
from sartorius.visualization.overlay import GUTTER, TITLE_HEIGHT, class_color, draw_cells, draw_text
from sartorius.visualization.page import figures, render_page, source_list

SMALLEST_PICTURE = 512
"""Smaller pictures are enlarged to about this many pixels, so that outlines and title find room."""
SWATCH = 12
NAMED_PROBLEMS = 12


@dataclass(frozen=True, eq=False)
class Sample:
    """An image and its cells.

    Attributes:
        title: For example 'Raw' or 'Sample 17'.
        image: uint8, grey ``(height, width)`` or RGB ``(height, width, 3)``.
        crops: One mask per cell, without pixels where masks were not loaded.
        labels: int ``(N,)``: index of each cell's class.
        boxes: float ``(N, 4)``: ``x1, y1, x2, y2`` in pixels.
        ignored: bool ``(N,)``: cells that the loss ignores.
        problems: Faults that make the loss wrong or NaN, one sentence each.
        number: Number of the sample in the run, None for a raw image.
    """

    title: str
    image: NDArray[np.uint8]
    crops: Sequence[MaskCrop]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]
    ignored: NDArray[np.bool_]
    problems: tuple[str, ...] = ()
    number: int | None = None

    def counts(self, classes: Sequence[str]) -> dict[str, int]:
        """Number of cells by class name, in the order of the classes; those without cells are dropped."""
        numbers = Counter(self.labels.tolist())
        return {name: numbers[label] for label, name in enumerate(classes) if numbers[label]}


@dataclass(frozen=True, eq=False)
class SampleRow:
    """One image before and after augmentation.

    Attributes:
        image_id: Its id.
        raw: Image and cells as they are on disk.
        samples: The same after the pipeline.
    """

    image_id: str
    raw: Sample
    samples: Sequence[Sample]

    def stretched(self) -> 'SampleRow':
        """The same with grey levels stretched by the same limits, so that changes of brightness stay visible."""
        limits = stretch_limits(self.raw.image)
        raw, *samples = (replace(one, image=stretch(one.image, limits)) for one in (self.raw, *self.samples))
        return replace(self, raw=raw, samples=samples)


def class_colors(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """RGB ``(N, 3)`` of classes by their index."""
    return np.array([class_color(label) for label in labels.tolist()], dtype=np.uint8).reshape(-1, 3)


def draw_sample(
    sample: Sample, image_id: str, classes: Sequence[str], with_boxes: bool = False, alpha: float = 0.12
) -> NDArray[np.uint8]:
    """Picture of a sample, cells coloured by class, under a line with its name and the number of cells.

    Args:
        sample: The sample.
        image_id: Id of its image.
        classes: All class names, for colours and legend.
        with_boxes: Draws boxes too.
        alpha: Opacity of the filling.

    Returns:
        uint8 RGB; samples below :data:`SMALLEST_PICTURE` are enlarged by a whole number.
    """
    factor = max(1, -(-SMALLEST_PICTURE // max(sample.image.shape[:2])))
    image = sample.image.repeat(factor, axis=0).repeat(factor, axis=1)
    crops = [
        MaskCrop(crop.mask.repeat(factor, axis=0).repeat(factor, axis=1), crop.x * factor, crop.y * factor)
        for crop in sample.crops
    ]
    colors = class_colors(sample.labels)
    picture = draw_cells(image, crops, colors, alpha)
    if with_boxes:
        finite = np.isfinite(sample.boxes).all(axis=1)
        corners = np.rint(sample.boxes[finite] * factor).astype(int).tolist()
        for (x1, y1, x2, y2), color in zip(corners, colors[finite].tolist(), strict=True):
            cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), color, 1)
    return np.concatenate([_title_line(sample, image_id, classes, picture.shape[1]), picture])


def sample_page(
    rows: Sequence[SampleRow], classes: Sequence[str], source: Mapping[str, object], with_boxes: bool = False
) -> str:
    """HTML page, one self-contained file: each image before and after the pipeline.

    Args:
        rows: Images in the order of the page; at least one with at least one sample.
        classes: All class names.
        source: Where the samples come from, JSON types.
        with_boxes: Draws boxes too.
    """
    samples = [sample for row in rows for sample in row.samples]
    flagged = sum(bool(sample.problems) for sample in samples)
    lead = f'{len(samples)} samples of {len(rows)} images, as the model gets them.'
    sections = [
        ('summary', 'Summary', _summary(rows, samples, flagged)),
        ('samples', 'Samples', _legend(classes) + '\n'.join(
            _card(row, number, classes, with_boxes) for number, row in enumerate(rows)
        )),
        ('source', 'Source', source_list(source)),
    ]  # fmt: skip
    return render_page('Training samples', lead, sections)


def _title_line(sample: Sample, image_id: str, classes: Sequence[str], width: int) -> NDArray[np.uint8]:
    space = np.full((TITLE_HEIGHT, GUTTER, 3), 255, dtype=np.uint8)
    parts = [space, draw_text(image_id), space, space, draw_text(sample.title.lower())]
    for name, count in sample.counts(classes).items():
        swatch = np.full((TITLE_HEIGHT, SWATCH, 3), 255, dtype=np.uint8)
        top = (TITLE_HEIGHT - SWATCH) // 2
        swatch[top : top + SWATCH] = class_colors(np.array([classes.index(name)]))[0]
        parts += [space, space, swatch, space, draw_text(f'{count} {name}')]
    if not len(sample.labels):
        parts += [space, space, draw_text('no cells')]
    if sample.problems:
        parts += [space, space, draw_text('PROBLEMS, see the page')]
    ink = np.concatenate(parts, axis=1)[:, :width]
    line = np.full((TITLE_HEIGHT, width, 3), 255, dtype=np.uint8)
    line[:, : ink.shape[1]] = ink
    return line


def _summary(rows: Sequence[SampleRow], samples: Sequence[Sample], flagged: int) -> str:
    counts = [len(sample.labels) for sample in samples]
    raw_counts = [len(row.raw.labels) for row in rows]
    empty = counts.count(0)
    entries = [
        ('Samples', f'{len(samples)}', f'of {len(rows)} images'),
        ('Cells per sample', f'{np.median(counts):.0f}', f'median; {min(counts)} to {max(counts)}'),
        ('Cells per raw image', f'{np.median(raw_counts):.0f}', f'median; {min(raw_counts)} to {max(raw_counts)}'),
        ('Side of a box', _side(samples), f'px, median; raw {_side([row.raw for row in rows])}'),
        ('Without cells', f'{empty}', 'samples, which are valid'),
        ('With problems', f'{flagged}', 'samples with faults for the loss' if flagged else 'samples'),
    ]
    listed = [
        f'<li><a href="#i{number}">{escape(row.image_id)}</a>, {escape(sample.title.lower())}: {escape(problem)}</li>'
        for number, row in enumerate(rows)
        for sample in row.samples
        for problem in sample.problems
    ]
    more = f'<li>and {len(listed) - NAMED_PROBLEMS} more</li>' if len(listed) > NAMED_PROBLEMS else ''
    problems = f'<ul class="problems">{"".join(listed[:NAMED_PROBLEMS])}{more}</ul>' if listed else ''
    return figures(entries) + problems


def _side(samples: Sequence[Sample]) -> str:
    """Median of the square root of the boxes' areas, the size that anchors are compared with."""
    boxes = np.concatenate([sample.boxes[~sample.ignored] for sample in samples])
    sides = np.sqrt(np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None))
    return f'{np.median(sides):.0f}' if len(sides) else '-'


def _legend(classes: Sequence[str]) -> str:
    swatches = ''.join(
        f'<span style="{_own_color(label)}"><i></i>{escape(name)}</span>' for label, name in enumerate(classes)
    )
    return (
        f'<p class="legend">{swatches}<span>dashed white: ignored by the loss</span>'
        '<span>Grey levels of a row are stretched alike. Click a picture to enlarge it.</span></p>'
    )


def _card(row: SampleRow, number: int, classes: Sequence[str], with_boxes: bool) -> str:
    named = [('raw', row.raw), *((f'sample{place}', sample) for place, sample in enumerate(row.samples, start=1))]
    panels = ''.join(_panel(sample, name, f'{number}-{name}', classes) for name, sample in named)
    parts = ''.join(_definitions(sample, f'{number}-{name}', classes, with_boxes) for name, sample in named)
    problems = ''.join(
        f'<li>{escape(sample.title)}: {escape(problem)}</li>' for _, sample in named for problem in sample.problems
    )
    counts = ', '.join(f'{count} {name}' for name, count in row.raw.counts(classes).items()) or 'no cells'
    return (
        f'<article class="card sheet" id="i{number}" data-note="{escape(counts)}">'
        f'<div class="card-head"><h3>{escape(row.image_id)}</h3><span>{escape(counts)}</span></div>'
        f'<svg width="0" height="0" class="defs" aria-hidden="true"><defs>{parts}</defs></svg>'
        f'<div class="panels tops">{panels}</div>'
        + (f'<ul class="problems">{problems}</ul>' if problems else '')
        + '</article>'
    )


def _panel(sample: Sample, view: str, key: str, classes: Sequence[str]) -> str:
    height, width = sample.image.shape[:2]
    flag = ' flagged' if sample.problems else ''
    counts = ', '.join(f'{count} {name}' for name, count in sample.counts(classes).items()) or 'no cells'
    return (
        f'<button type="button" class="panel{flag}" data-view="{view}" data-image="#b{key}" title="Enlarge">'
        f'<b>{escape(sample.title)} <small>{width} × {height} px, {escape(counts)}</small></b>'
        f'<svg class="{view}" viewBox="0 0 {width} {height}" aria-hidden="true"><use href="#b{key}"/>'
        f'<use class="layer" href="#c{key}"/></svg></button>'
    )


def _definitions(sample: Sample, key: str, classes: Sequence[str], with_boxes: bool) -> str:
    """Picture and cells, which page and viewer both use: one path per class, and one per class for ignored cells."""
    height, width = sample.image.shape[:2]
    kinds = sorted(set(zip(sample.labels.tolist(), sample.ignored.tolist(), strict=True)))
    paths = []
    for label, ignored in kinds:
        members = np.flatnonzero((sample.labels == label) & (sample.ignored == ignored)).tolist()
        name = classes[label] if 0 <= label < len(classes) else f'class {label}'
        look = f'class="shape{" ignored" * ignored}" style="{_own_color(label)}"'
        outlines = {index: svg_path(sample.crops[index]) for index in members}
        cells = ' '.join(f'{index + 1},{sample.crops[index].area},,' for index, line in outlines.items() if line)
        if cells:
            paths.append(
                f'<path {look} data-set="{escape(name)} cell{" (ignored)" * ignored}" '
                f'data-cells="{cells}" d="{"".join(outlines.values())}"/>'
            )
        if with_boxes:
            lines = ''.join(_box_path(box) for box in sample.boxes[members] if np.isfinite(box).all())
            paths.append(f'<path {look.replace("shape", "box")} d="{lines}"/>')
    return (
        f'<image id="b{key}" width="{width}" height="{height}" href="{embedded(sample.image)}"/>'
        f'<g id="c{key}" class="cells">{"".join(paths)}</g>'
    )


def _own_color(label: int) -> str:
    return f'--own: rgb({" ".join(map(str, class_color(label)))})'


def _box_path(box: NDArray[np.float32]) -> str:
    x1, y1, x2, y2 = (f'{value:g}' for value in np.round(box.astype(float), 1).tolist())
    return f'M{x1} {y1}H{x2}V{y2}H{x1}z'
