"""The summary of a folder of own images: what was read, how it was grouped, what was dropped."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sartorius.annotations.label_files import FORMATS, LabelledFolder
from sartorius.annotations.summary import fold_table, note
from sartorius.masks.overlap import overlaps
from sartorius.utils.paths import display_path
from sartorius.utils.tables import markdown_table

if TYPE_CHECKING:
    from sartorius.annotations.image_preparation import ImagePreparationOptions, PreparedImage

OVERLAPPING = 'cells that share pixels with another, kept as they are'


def pixel_sizes(images: Sequence['PreparedImage']) -> list[float]:
    """The different pixel sizes in micrometres that the images tell, to four digits."""
    return sorted({float(f'{image.pixel_size_um:.4g}') for image in images if image.pixel_size_um})


def summary_of(
    folder: LabelledFolder,
    kept: Sequence['PreparedImage'],
    unlabelled: Sequence['PreparedImage'],
    fold_of: Sequence[int],
    classes: Sequence[str],
    options: 'ImagePreparationOptions',
) -> str:
    labelled = [image for image in kept if image.labels is not None]
    formats = Counter(file.format for file in folder.files.values())
    sources = [f'{count} by {FORMATS[name].tools} ({name})' for name, count in formats.items()]
    sources += [f'{len(labelled)} by {", ".join(map(display_path, folder.coco))} (coco)'] if folder.coco else []
    parts = [
        '# Own images',
        f'{len(folder.images)} images below {display_path(options.files.root)}; labelled: {"; ".join(sources)}.',
        _class_table(labelled, classes),
    ]
    if fold_of:
        counts = [len(image.names) for image in kept]
        table = fold_table(fold_of, [image.group for image in kept], [image.main_class for image in kept], counts)
        parts += ['## Folds', _how_grouped(kept, fold_of, options), table]
    else:
        parts.append('No folds, as all images are of one group: train on all of them with --fold all.')
    notes = _notes(folder, labelled, unlabelled, options)
    return '\n\n'.join([*parts, '## Dropped, kept, noticed', '\n'.join(notes) or '- nothing'])


def _class_table(images: Sequence['PreparedImage'], classes: Sequence[str]) -> str:
    rows = []
    for name in classes:
        areas = [
            crop.area
            for image in images
            for crop, own in zip(image.labels.crops, image.names, strict=True)
            if own == name
        ]
        holding = sum(name in image.names for image in images)
        sizes = f'{np.median(areas):,.0f} ({min(areas):,}-{max(areas):,})' if areas else '-'
        rows.append([name, f'{holding:,}', f'{len(areas):,}', sizes])
    return markdown_table(['class', 'images', 'cells', 'area px: median (min-max)'], rows)


def _how_grouped(images: Sequence['PreparedImage'], fold_of: Sequence[int], options: 'ImagePreparationOptions') -> str:
    groups = len({image.group for image in images})
    start = f'{max(fold_of) + 1} folds of {len(images)} images, seed {options.seed}'
    if groups == len(images) and options.group_by is None:
        return (
            f'{start}, **each image a group of its own**. If several show one well, dish or time series, scores will '
            'look better than they are: give --group-by.'
        )
    return f'{start}, in {groups} groups, none of which is in two folds (such as {images[0].group}).'


def _notes(
    folder: LabelledFolder,
    labelled: Sequence['PreparedImage'],
    unlabelled: Sequence['PreparedImage'],
    options: 'ImagePreparationOptions',
) -> list[str]:
    counts: Counter[str] = Counter()
    for image in labelled:
        counts.update(image.labels.counts)
        counts[OVERLAPPING] += _overlapping(image)
    notes = [note(what, count) for what, count in counts.items() if count]
    empty = [image.file_name for image in labelled if not image.names]
    if empty:
        notes.append(note('images whose label file has no cell, kept without cells', empty))
    if unlabelled:
        what = 'kept as images without cells' if options.keep_unlabelled else 'in unlabelled.json, not in training'
        notes.append(note(f'images without labels, {what}', [image.file_name for image in unlabelled]))
    if len(sizes := pixel_sizes(labelled)) > 1:
        notes.append(note('different pixel sizes in µm, between which training makes no difference', sizes))
    if folder.without_image:
        notes.append(note('labels without an image, ignored', [display_path(path) for path in folder.without_image]))
    return notes


def _overlapping(image: 'PreparedImage') -> int:
    """Number of cells that share pixels with another."""
    crops = image.labels.crops
    if not crops:
        return 0
    pairs = overlaps(crops, crops, image.size)
    rows = pairs.rows
    return len(np.unique(rows[(pairs.shared > 0) & (rows != pairs.columns)]))
