"""LIVECell's official JSONs, fixed: what tools/data/prepare_livecell.py does.

Source: https://github.com/sartorius-research/LIVECell (layout in its README; known defects in its issues 14, 21, 26 and
30). The data are CC BY-NC 4.0.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from sartorius.annotations.coco import cells_from_counts, write_coco
from sartorius.annotations.coco_index import IMAGE_KEYS, coco_entries, index_images, is_id, naming, read_coco_json
from sartorius.annotations.info import LIVECELL, origin_of_folder
from sartorius.annotations.segmentation import compressed_counts
from sartorius.annotations.structures import CocoCell, CocoImage
from sartorius.annotations.summary import class_table, note
from sartorius.images.files import images_below
from sartorius.images.reading import image_size
from sartorius.masks.crop import Size
from sartorius.utils.classes import LIVECELL_LINES
from sartorius.utils.cli import progress
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import files_below, sha256_of, staged_folder, write_text
from sartorius.utils.input_files import check_memory
from sartorius.utils.tables import markdown_table

# Test first: an image that stands in two splits is kept where it is not trained on (issue 26).
SPLITS = ('test', 'val', 'train')
SINGLE_CLASS = ('cell',)
# Of the official images those with fewer annotated cells are the nine with one to nine of dozens annotated (issue 21).
COMPLETE_FROM = 10
# Neighbours in a monolayer never overlap this much; two outlines of one cell do (issue 30).
DUPLICATE_IOU = 0.7

CROWD = 'crowd regions (iscrowd 1) kept: neither cells nor background'
UNLISTED = 'annotations of images that are not listed dropped'
TWICE = 'second annotations of an image dropped (the one with fewer cells)'
OTHER_LINE = 'images of an unknown cell line dropped'
OTHER_SPLIT = 'images of another split dropped'
INCOMPLETE = f'images with fewer than {COMPLETE_FROM} annotated cells dropped'
NO_FILE = 'images without a file dropped'
SEVERAL = 'images with several files, of which the last by its path is used'
MALFORMED = 'malformed polygons dropped'
SLIVERS = 'slivers dropped'
DUPLICATES = f'duplicate contours (IoU {DUPLICATE_IOU} and more) dropped'
FIXES = (
    *(UNLISTED, CROWD, TWICE, OTHER_LINE, OTHER_SPLIT, INCOMPLETE),
    *(NO_FILE, SEVERAL, MALFORMED, SLIVERS, DUPLICATES),
)
"""What is dropped or fixed, in the order of the summary."""


@dataclass(frozen=True)
class LivecellOptions:
    """What to prepare, and how.

    Attributes:
        data_root: Folder with the official ``annotations/`` and ``images/``.
        single_class: Whether all lines become one class, ``cell``.
        keep_incomplete: Whether images with fewer than :data:`COMPLETE_FROM` annotated cells are kept.
        min_area: Cells of fewer pixels are slivers.
        skip_missing_images: Whether images without a file are dropped; otherwise they are an error.
    """

    data_root: Path
    single_class: bool = False
    keep_incomplete: bool = False
    min_area: int = 30
    skip_missing_images: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return SINGLE_CLASS if self.single_class else LIVECELL_LINES


@dataclass
class _Entry:
    """One image of the official JSON: ``masks`` has the ``segmentation`` of each cell, ``crowd`` of crowd regions."""

    name: str
    size: Size
    masks: list[Any] = field(default_factory=list)
    crowd: list[Any] = field(default_factory=list)

    @property
    def line(self) -> str:
        return self.name.split('_')[0]

    @property
    def well(self) -> str:
        # <line>_Phase_<well>_<location>_<time>_<crop>
        return '_'.join(self.name.split('_')[0:3:2])


@dataclass
class _Report:
    """Number of times each fix was made, and the images."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, what: str, entry: _Entry) -> None:
        self.counts[what] += 1
        self.names.setdefault(what, []).append(entry.name)


def prepare_livecell(options: LivecellOptions, out: Path) -> str:
    """Writes ``train.json``, ``val.json`` and ``test.json``, each where its official JSON is, and ``summary.md``.

    Returns:
        The summary, in Markdown.

    Raises:
        UsageError: The data root is missing, or holds no annotations.
        InputError: A JSON is malformed, an image is missing or of another size than the JSON says, or nothing is left.
    """
    sources = _find_sources(options.data_root)
    files = _find_images(options.data_root)
    reports: dict[str, _Report] = {}
    statistics: dict[str, list[tuple[str, list[int]]]] = {}
    taken: set[str] = set()
    for path in chain.from_iterable(sources.values()):
        # Before gigabytes are hashed.
        check_memory(path, path.stat().st_size)
    set_id = _set_id(options, sources)
    with staged_folder(out, stale=[f'{split}.json' for split in SPLITS].__contains__) as new:
        for split in SPLITS:
            if split not in sources:
                continue
            reports[split] = _Report()
            entries = _read_entries(sources[split], reports[split])
            chosen = _choose(entries, taken, files, options, reports[split])
            taken.update(entry.name for entry in entries)
            images = [
                _convert(entry, files[entry.name][-1], options, reports[split])
                for entry in progress(chosen, f'preparing {split}')
            ]
            if not any(not cell.iscrowd for image in images for cell in image.cells):
                raise InputError(f'{sources[split][0]}: no cell is left; {_describe(reports[split])}')
            info = {**_info(options, split, sources[split]), 'set_id': set_id}
            write_coco(new / f'{split}.json', images, options.classes, info)
            statistics[split] = [
                (image.details['cell_type'], [cell.area for cell in image.cells if not cell.iscrowd])
                for image in images
            ]
        summary = _summary(statistics, reports)
        write_text(new / 'summary.md', summary + '\n')
    return summary


def _find_sources(root: Path) -> dict[str, list[Path]]:
    """JSONs of each split: the one for all lines, or else those of the single lines."""
    if not root.is_dir():
        raise UsageError(f'{root}: no such folder; docs/data.md says how to get LIVECell, --data-root where it is')
    sources = {}
    jsons = [path for path in files_below(root) if path.suffix == '.json']
    for split in SPLITS:
        found = [path for path in jsons if path.name == f'livecell_coco_{split}.json'][:1]
        found = found or [path for path in jsons if path.match(f'LIVECell_single_cells/*/{split}.json')]
        if found:
            sources[split] = found
    if not sources:
        raise UsageError(
            f'{root}: holds neither livecell_coco_train.json (or val, test) nor LIVECell_single_cells/*/train.json; '
            'docs/data.md says how to get them'
        )
    return sources


def _find_images(root: Path) -> dict[str, list[str]]:
    """Paths of each image below the root, by name: the JSONs name no folders, and may name another suffix."""
    return {name: [path.relative_to(root).as_posix() for path in paths] for name, paths in images_below(root).items()}


def _read_entries(paths: Sequence[Path], report: _Report) -> list[_Entry]:
    """Images of a split with their masks, each image once."""
    best: dict[str, _Entry] = {}
    for path in paths:
        content = read_coco_json(path)
        with naming(path):
            images = index_images(coco_entries(content, 'images', IMAGE_KEYS))
            annotations = coco_entries(content, 'annotations', ('image_id', 'segmentation'))
        entries = {number: _Entry(PurePosixPath(image.file_name).stem, image.size) for number, image in images.items()}
        for annotation in annotations:
            entry = entries.get(annotation['image_id']) if is_id(annotation['image_id']) else None
            if entry is None:
                report.counts[UNLISTED] += 1
            elif annotation.get('iscrowd'):
                report.counts[CROWD] += 1
                entry.crowd.append(annotation['segmentation'])
            else:
                entry.masks.append(annotation['segmentation'])
        for entry in entries.values():
            # Some images were annotated twice under two ids (issues 14 and 26).
            other = best.get(entry.name)
            if other is not None:
                report.drop(TWICE, entry)
            if other is None or len(entry.masks) > len(other.masks):
                best[entry.name] = entry
    return list(best.values())


def _choose(
    entries: Iterable[_Entry],
    taken: set[str],
    files: Mapping[str, Sequence[str]],
    options: LivecellOptions,
    report: _Report,
) -> list[_Entry]:
    """Images that are kept."""
    chosen = []
    for entry in entries:
        if entry.line not in LIVECELL_LINES and not options.single_class:
            report.drop(OTHER_LINE, entry)
        elif entry.name in taken:
            report.drop(OTHER_SPLIT, entry)
        elif len(entry.masks) < COMPLETE_FROM and not options.keep_incomplete:
            report.drop(INCOMPLETE, entry)
        elif entry.name not in files:
            report.drop(NO_FILE, entry)
        else:
            chosen.append(entry)
            report.counts[SEVERAL] += len(files[entry.name]) > 1
    missing = report.names.get(NO_FILE, [])
    if missing and not options.skip_missing_images:
        raise InputError(
            f'{options.data_root}: {len(missing)} annotated images are not there ({", ".join(missing[:3])}'
            f'{", ..." if len(missing) > 3 else ""}); unpack images.zip there, or drop them with '
            '--skip-missing-images'
        )
    return chosen


def _convert(entry: _Entry, file_name: str, options: LivecellOptions, report: _Report) -> CocoImage:
    size = image_size(options.data_root / file_name)
    if size != entry.size:
        raise InputError(
            f'{options.data_root / file_name}: the image is {size[1]}x{size[0]} pixels, '
            f'its JSON says {entry.size[1]}x{entry.size[0]}'
        )
    label = 0 if options.single_class else LIVECELL_LINES.index(entry.line)
    found, crowd = (_read_masks(entry, label, report, iscrowd) for iscrowd in (False, True))
    cells = [cell for cell in found if cell.area >= max(options.min_area, 1)]
    report.counts[SLIVERS] += len(found) - len(cells)
    distinct = _distinct(cells)
    report.counts[DUPLICATES] += len(cells) - len(distinct)
    regions = [cell for cell in crowd if cell.area]
    details = {'cell_type': entry.line, 'group': entry.well}
    return CocoImage(file_name, entry.size, [*distinct, *regions], details, entry.name)


def _read_masks(entry: _Entry, label: int, report: _Report, iscrowd: bool) -> list[CocoCell]:
    """The cells of an image, or its crowd regions; malformed masks are counted."""
    counts = []
    for segmentation in entry.crowd if iscrowd else entry.masks:
        try:
            counts.append(compressed_counts(segmentation, entry.size))
        except InputError:
            report.counts[MALFORMED] += 1
    with naming(f'image {entry.name}'):
        return cells_from_counts(counts, [label] * len(counts), entry.size, [iscrowd] * len(counts))[0]


def _distinct(cells: Sequence[CocoCell]) -> list[CocoCell]:
    """The cells without those that repeat an earlier one."""
    if not cells:
        return []
    codes = [cell.segmentation for cell in cells]
    iou = coco_mask.iou(codes, codes, [0] * len(codes))
    kept = np.ones(len(cells), dtype=bool)
    for first, second in np.argwhere(np.triu(iou, 1) >= DUPLICATE_IOU):
        if kept[first]:
            kept[second] = False
    return [cell for cell, keep in zip(cells, kept, strict=True) if keep]


def _info(options: LivecellOptions, split: str, sources: Iterable[Path]) -> dict[str, Any]:
    return {
        'description': 'LIVECell (CC BY-NC 4.0), fixed by tools/data/prepare_livecell.py',
        'sources': [{'file': path.name, 'sha256': sha256_of(path)} for path in sources],
        'min_area': options.min_area,
        'keep_incomplete': options.keep_incomplete,
        'origin': origin_of_folder(options.data_root, LIVECELL),
        'split': split,
    }


def _set_id(options: LivecellOptions, sources: Mapping[str, Sequence[Path]]) -> str:
    """Hash of all that decides the JSONs: the same input and options give the same."""
    infos = [[_info(options, split, paths), list(options.classes)] for split, paths in sources.items()]
    return hashlib.sha256(json.dumps(infos).encode()).hexdigest()[:16]


def _describe(report: _Report) -> str:
    return '; '.join(f'{what}: {count}' for what, count in report.counts.items() if count) or 'it lists none'


def _summary(statistics: Mapping[str, list[tuple[str, list[int]]]], reports: Mapping[str, _Report]) -> str:
    splits = [split for split in reversed(SPLITS) if split in statistics]
    parts = ['# LIVECell']
    for split in splits:
        others = sorted({line for line, _ in statistics[split]} - set(LIVECELL_LINES))
        parts += [f'## {split}', class_table(statistics[split], (*LIVECELL_LINES, *others))]
    rows = [[what, *(f'{reports[split].counts[what]:,}' for split in splits)] for what in FIXES]
    parts += ['## Dropped and fixed', markdown_table(['what', *splits], rows)]
    named = [note(f'{split}, {what}', names) for split in splits for what, names in reports[split].names.items()]
    return '\n\n'.join([*parts, '\n'.join(named)]).rstrip()
