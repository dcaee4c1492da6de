"""Which files of a folder label which images, found by their names, and the cells in them.

The label file of an image ``A1.tif`` is called ``A1`` (or ``A1.tif``) with one of the endings of :data:`FORMATS` and
lies beside the image, in a folder ``masks`` or ``labels`` beside it or beside its folder ``images``, or at the same
place below a folder of labels. In a folder of labels alone, a label image may also be called like the image itself.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sartorius.annotations.label_images import read_label_image
from sartorius.annotations.label_outlines import read_geojson, read_labelme, read_rois
from sartorius.annotations.labelled_cells import LabelledCells
from sartorius.images.files import is_image
from sartorius.images.image_ids import image_id_of
from sartorius.masks.crop import Size
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import files_below
from sartorius.utils.input_text import read_json

IMAGE_FOLDER = 'images'
LABEL_FOLDERS = ('masks', 'labels')
"""Names of folders whose files are labels, not images."""

NAME = '{name}'
"""What stands for the name of the image, without suffix, in a pattern of names."""

_LABEL_IMAGES = ('.tif', '.tiff', '.png')
# What predict, Cellpose and QuPath put beside an image, and what is no image to train on.
_PICTURES = ('_overlay', '_cp_output', '_flows')


@dataclass(frozen=True)
class LabelFormat:
    """A kind of label file.

    Attributes:
        tools: Which programs write it.
        endings: What its files are called behind the name of their image, in lower case.
        read: Reads the cells of one: path, ``(height, width)`` of the image, and what becomes of pieces.
    """

    tools: str
    endings: tuple[str, ...]
    read: Callable[[Path, Size, str | None], LabelledCells]


FORMATS: dict[str, LabelFormat] = {
    'masks': LabelFormat(
        'label images of Cellpose, StarDist, ImageJ, napari',
        tuple(
            f'{name}{suffix}'
            for name in ('_masks', '_cp_masks', '_labels', '-labels', '_label', '.stardist', '_stardist')
            for suffix in _LABEL_IMAGES
        ),
        read_label_image,
    ),
    'seg': LabelFormat('_seg.npy of Cellpose', ('_seg.npy',), read_label_image),
    'rois': LabelFormat(
        'ROIs of ImageJ',
        ('_rois.zip', '_roiset.zip', '.zip', '.roi'),
        lambda path, size, _: read_rois(path, size),
    ),
    'geojson': LabelFormat('GeoJSON of QuPath', ('.geojson',), lambda path, size, _: read_geojson(path, size)),
    'labelme': LabelFormat('JSON of labelme', ('.json',), lambda path, size, _: read_labelme(path, size)),
}
"""Formats with a file for each image, by name."""

COCO = 'coco'
"""COCO JSON, one file for many images."""

# Endings that other files than labels have too: such a file without an image is nothing to speak of.
_COMMON = ('.zip', '.json')


@dataclass(frozen=True)
class LabelFile:
    """A label file and its format, a key of :data:`FORMATS`."""

    path: Path
    format: str


@dataclass(frozen=True)
class LabelOptions:
    """Where the labels are.

    Attributes:
        root: Folder of the images.
        labels: Folder of labels, or a COCO JSON; None if they lie with the images.
        label_name: What label files are called, with :data:`NAME` for the name of their image without suffix; None for
            the endings of :data:`FORMATS`.
        format: Format to take where an image has labels in several; None takes what there is.
        skipped: Folder below the root that is not looked into.
        only: Regular expression that is found in the path below the root of the files that are looked at; None for all.
    """

    root: Path
    labels: Path | None = None
    label_name: str | None = None
    format: str | None = None
    skipped: Path | None = None
    only: str | None = None


@dataclass(frozen=True)
class LabelledFolder:
    """The images of a folder and the files that label them.

    Attributes:
        images: Image files by image id, sorted.
        files: The label file of each image that has one of its own, by image id.
        coco: COCO JSONs.
        without_image: Label files that belong to no image.
    """

    images: dict[str, Path]
    files: dict[str, LabelFile]
    coco: list[Path] = field(default_factory=list)
    without_image: list[Path] = field(default_factory=list)


def find_labels(options: LabelOptions) -> LabelledFolder:
    """Finds images and labels; reads no more than the JSONs that may be COCO.

    Raises:
        UsageError: A folder or the label file is missing; there is no image, no label, or a pattern names several.
        InputError: Two image files differ by their suffix alone, or several files label one image.
    """
    root, labels = options.root, options.labels
    if not root.is_dir():
        raise UsageError(f'{root}: no such folder; name the folder that holds your images')
    if labels is not None and not labels.exists():
        raise UsageError(f'{labels}: no such file or folder; --labels names a folder of label files or a COCO JSON')
    if labels is not None and labels.is_dir() and labels.resolve() == root.resolve():
        labels = None
    files = [path for path in _visible_below(root) if not _is_below(path, options.skipped)]
    if options.only is not None:
        files = [path for path in files if _pattern(options.only).search(path.relative_to(root).as_posix())]
    images = _find_images(files, root, labels, options)
    if labels is not None and labels.is_file():
        return LabelledFolder(images, {}, [labels])
    outside = labels is not None and not _is_below(labels, root)
    listing = _Listing([*files, *(_visible_below(labels) if outside else [])])
    own: dict[str, LabelFile] = {}
    belonging: set[Path] = set()
    for image_id, path in images.items():
        found = {file.path: file for file in _candidates(path, root, labels, listing, options)}
        belonging.update(found)
        chosen = [file for file in found.values() if options.format in (None, file.format)]
        if len(chosen) > 1:
            raise InputError(_several(path, chosen))
        own.update((image_id, file) for file in chosen)
    rest = [path for path in listing.paths if path not in belonging and path not in images.values()]
    coco = []
    if options.format in (None, COCO) and options.label_name is None:
        coco = [path for path in rest if _is_below(path, labels or root) and _is_coco(path)]
        # What an export of several images wrote for each of them is in its coco.json too.
        merged = {path.parent for path in coco if path.name == 'coco.json'}
        coco = [path for path in coco if not (path.name.endswith('_coco.json') and merged & {*path.parents})]
    if own and coco:
        first = next(iter(own.values()))
        raise InputError(
            f'{len(own)} images have a label file of their own (such as {first.path}), and {coco[0]} is a COCO JSON; '
            f'choose with --format {first.format} or --format {COCO}'
        )
    without_image = [path for path in rest if path not in coco and _is_label(path, labels, options, rare=True)]
    if not own and not coco:
        raise UsageError(_nothing_found(options, len(images), without_image))
    return LabelledFolder(images, own, coco, without_image)


def _visible_below(root: Path) -> list[Path]:
    """Files, but for those in hidden folders, where programs keep notes of their own (``.predict``, ``.git``)."""
    return [
        path
        for path in files_below(root)
        if not any(name.startswith('.') for name in path.relative_to(root).parts[:-1])
    ]


class _Listing:
    """Files, found by folder and name whatever the case of its letters."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._by_name = {(str(path.parent), path.name.lower()): path for path in paths}

    def get(self, folder: Path, name: str) -> Path | None:
        return self._by_name.get((str(folder), name.lower()))


def _find_images(files: Iterable[Path], root: Path, labels: Path | None, options: LabelOptions) -> dict[str, Path]:
    """Image files that are no labels, by id."""
    candidates = [
        path
        for path in files
        if is_image(path) and not _is_below(path, labels) and not _is_label(path, labels, options)
    ]
    stems = {path.with_suffix('') for path in candidates}
    images: dict[str, Path] = {}
    for path in candidates:
        drawn = next((ending for ending in _PICTURES if path.stem.endswith(ending)), None)
        if drawn and path.with_name(path.stem.removesuffix(drawn)) in stems:
            continue
        other = images.setdefault(image_id_of(path.relative_to(root).as_posix()), path)
        if other is not path:
            suffix = '.png' if '.png' in (path.suffix, other.suffix) else path.suffix
            raise InputError(
                f'{path.parent}: {other.name} and {path.name} would be one image; keep one of them, or, if one of them '
                f'holds the labels of the other, say so with --label-name, such as --label-name "{NAME}{suffix}"'
            )
    if not images and options.only is not None:
        raise UsageError(f'{root}: no image below it has a path in which --only {options.only!r} is found')
    if not images:
        raise UsageError(f'{root}: no image in it or in the folders below it; name the folder that holds your images')
    return images


def _candidates(
    image: Path, root: Path, labels: Path | None, listing: _Listing, options: LabelOptions
) -> Iterator[LabelFile]:
    """Files that label an image."""
    for folder, labels_only in _places(image.parent, root, labels):
        if options.label_name is not None:
            path = listing.get(folder, options.label_name.replace(NAME, image.stem))
            if path is not None and path != image:
                yield LabelFile(path, _format_of(path))
            continue
        for name, form in FORMATS.items():
            plain = _LABEL_IMAGES if labels_only and name == 'masks' else ()
            for base in dict.fromkeys((image.stem, image.stem.removesuffix('.ome'), image.name)):
                for ending in (*form.endings, *plain):
                    path = listing.get(folder, f'{base}{ending}')
                    if path is not None and path != image and not (ending == '.json' and not _is_labelme(path)):
                        yield LabelFile(path, name)


def _places(folder: Path, root: Path, labels: Path | None) -> list[tuple[Path, bool]]:
    """Folders in which the labels of a folder's images may lie, and whether each holds labels alone."""
    if labels is not None:
        relative = folder.relative_to(root)
        return [
            (place, True)
            for place in dict.fromkeys(
                (labels / relative, labels.joinpath(*(part for part in relative.parts if part != IMAGE_FOLDER)))
            )
        ]
    above = [folder] if folder.name != IMAGE_FOLDER else [folder, folder.parent]
    return [(folder, False), *((place / name, True) for place in above for name in LABEL_FOLDERS)]


def _is_label(path: Path, labels: Path | None, options: LabelOptions, rare: bool = False) -> bool:
    """Whether a file's name is that of a label file; with ``rare``, one that hardly any other file has."""
    if options.label_name is not None:
        pattern = re.escape(options.label_name).replace(re.escape(NAME), '.+')
        return re.fullmatch(pattern, path.name, re.IGNORECASE) is not None
    if path.stem.endswith(_PICTURES):
        return False
    if path.parent.name in LABEL_FOLDERS or (rare and _is_below(path, labels)):
        return is_image(path) or any(path.name.lower().endswith(form.endings) for form in FORMATS.values())
    endings = [ending for form in FORMATS.values() for ending in form.endings if not (rare and ending in _COMMON)]
    return path.name.lower().endswith(tuple(endings))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f'--only {text!r}: no regular expression: {error}') from None


def _is_below(path: Path, folder: Path | None) -> bool:
    return folder is not None and Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _format_of(path: Path) -> str:
    """Format of a label file of any name, by its suffix."""
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in ('.npy', *_LABEL_IMAGES):
        return 'seg' if suffix == '.npy' else 'masks'
    for key, form in FORMATS.items():
        if name.endswith(form.endings):
            return key
    raise UsageError(f'{path}: not a kind of label file that is known; --label-name names TIFF, PNG, NPY, ROI or JSON')


def _is_labelme(path: Path) -> bool:
    content = read_json(path)
    return isinstance(content, dict) and isinstance(content.get('shapes'), list)


def _is_coco(path: Path) -> bool:
    if path.suffix.lower() != '.json':
        return False
    try:
        content = read_json(path)
    except InputError:
        return False
    return isinstance(content, dict) and {'images', 'annotations'} <= content.keys()


def _several(image: Path, files: Sequence[LabelFile]) -> str:
    names = ' and '.join(str(file.path) for file in files)
    formats = list(dict.fromkeys(file.format for file in files))
    how = f'--format {formats[0]} or --format {formats[1]}' if len(formats) > 1 else '--label-name, such as '
    if len(formats) == 1:
        how += f'--label-name "{files[0].path.name.replace(image.stem, NAME, 1)}"'
    return f'image {image} has labels in {names}; choose with {how}'


def _nothing_found(options: LabelOptions, images: int, without_image: Sequence[Path]) -> str:
    place = options.labels or options.root
    if without_image:
        return (
            f'{place}: none of {images} images has labels; {len(without_image)} label files belong to no image, such '
            f'as {without_image[0].name}, which labels an image of the same name without its ending'
        )
    if options.label_name is not None:
        return f'{place}: none of {images} images has a label file called {options.label_name}'
    forms = {options.format: FORMATS[options.format]} if options.format in FORMATS else FORMATS
    known = '; '.join(f'{form.tools}: {NAME}{form.endings[0]}' for form in forms.values())
    return (
        f'{place}: no labels of any of {images} images were found. They are found by their names ({known}; or a COCO '
        f'JSON); name another folder with --labels, or other names with --label-name, such as "{NAME}_gt.png"'
    )
