"""Which files of a folder are images, and what they are called."""

import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.images.image_ids import check_image_id, split_frame
from sartorius.images.vendors import READERS, is_vendor_file
from sartorius.utils.errors import InputError
from sartorius.utils.files import files_below

SUFFIXES: tuple[str, ...] = ('.png', '.tif', '.tiff', '.jpg', '.jpeg', '.bmp')
"""What image files end in, in lower or upper case."""

TIFF_SUFFIXES: tuple[str, ...] = ('.btf', '.tf8', '.tf2', '.lsm', '.stk', '.svs', '.ndpi', '.scn', '.qptiff')
"""What further TIFF files end in, of microscopes and of more than 4 GB."""

OUTPUT_ENDINGS: tuple[str, ...] = ('_masks.tif', '_masks.png', '_overlay.png', '_seg.npy')
"""What files end in that this package and Cellpose write beside images."""


@dataclass(frozen=True)
class ImageFile:
    """An image file among the inputs of a command.

    Attributes:
        path: The file; a folder if its format is one, as of OME-Zarr.
        image_id: Path below the folder that was given, or below the part of a glob before its first wildcard, without
            suffix, with ``/``. Of files that were given their stem; where stems are equal, of all of them the path
            below the folder that they share.
    """

    path: Path
    image_id: str


def find_images(
    inputs: Sequence[str | Path], recursive: bool = False, skipped: list[Path] | None = None
) -> list[ImageFile]:
    """The image files that a user names, by files, folders and globs, in the order of inputs and names.

    Of folders and globs, files that are not called like images or are hidden are passed over. What this package itself
    writes (:data:`OUTPUT_ENDINGS`) is passed over everywhere, since a shell expands globs before they get here.

    Args:
        inputs: Paths of files and folders, or globs (``**`` matches folders of any depth).
        recursive: Whether folders are searched with their subfolders; links are followed.
        skipped: Gets the files that were passed over because of their ending, so that they can be told.

    Raises:
        InputError: An input is missing or holds no image, or two files would have one id.
    """
    skipped = [] if skipped is None else skipped
    images: dict[str, ImageFile] = {}
    seen: set[str] = set()
    shared = _shared_folder([Path(text) for text in inputs])
    for text in inputs:
        found = 0
        for path, root in _candidates(Path(text), recursive, shared):
            if path.name.endswith(OUTPUT_ENDINGS):
                skipped.append(path)
                continue
            found += 1
            if os.path.realpath(path) in seen:
                continue
            seen.add(os.path.realpath(path))
            image = ImageFile(path, path.relative_to(root).with_suffix('').as_posix())
            other = images.setdefault(image.image_id, image)
            if other is not image:
                raise InputError(
                    f'{other.path} and {path} would be one image, {image.image_id}; rename one of them, or give the '
                    'folder above both and -r'
                )
        if not found and not skipped:
            raise InputError(_nothing_found(Path(text), recursive))
    if not images:
        raise InputError(f'{", ".join(map(str, inputs)) or "no input"}: no image but {len(skipped)} masks or overlays')
    return list(images.values())


def _shared_folder(inputs: Sequence[Path]) -> Path | None:
    """Folder below which the ids of files among the inputs begin; None where each begins in its own."""
    files = {os.path.abspath(path) for path in inputs if path.exists() and (not path.is_dir() or is_vendor_file(path))}
    if len({Path(file).stem for file in files}) == len(files):
        return None
    return Path(os.path.commonpath([os.path.dirname(file) for file in files]))


def _fixed_folder(pattern: Path) -> Path:
    """The part of a glob before its first wildcard."""
    return Path(*itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts))


def _candidates(given: Path, recursive: bool, shared: Path | None) -> Iterator[tuple[Path, Path]]:
    """Files of an input, each with the folder below which its id begins."""
    if given.is_dir() and not is_vendor_file(given):
        for path in _files_of(given, recursive):
            yield path, given
    elif given.exists():
        yield (given, given.parent) if shared is None else (Path(os.path.abspath(given)), shared)
    else:
        root = _fixed_folder(given)
        for name in sorted(glob.glob(str(given), recursive=True)):
            path = Path(name)
            if path.is_dir() and not is_vendor_file(path):
                for inner in _files_of(path, recursive):
                    yield inner, root
            elif _is_input(path):
                yield path, root


def _files_of(folder: Path, recursive: bool) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for here, subfolders, names in os.walk(folder, followlinks=True):
        if os.path.realpath(here) in seen:
            subfolders.clear()
            continue
        seen.add(os.path.realpath(here))
        paths = [Path(here, name) for name in (*names, *subfolders)]
        found += [path for path in paths if _is_input(path)]
        inner = [name for name in subfolders if not name.startswith('.') and not is_vendor_file(Path(here, name))]
        # In order, since of two links to one folder the first counts.
        subfolders[:] = sorted(inner) if recursive else []
    return sorted(found)


def _is_input(path: Path) -> bool:
    if path.name.startswith('.'):
        return False
    return is_vendor_file(path) or path.name.endswith(OUTPUT_ENDINGS) or path.suffix.lower() in SUFFIXES + TIFF_SUFFIXES


def _nothing_found(given: Path, recursive: bool) -> str:
    if given.is_dir():
        below = '' if recursive else '; with -r its subfolders are searched too'
        known = ', '.join((*SUFFIXES, *TIFF_SUFFIXES, *READERS))
        return f'{given} holds no image (files ending in {known}){below}'
    if glob.has_magic(str(given)):
        return f'{given} matches no image file'
    return f'{given} is not there; name an image file, a folder of images, or a glob in quotes'


def is_image(path: Path) -> bool:
    """Whether a file is called like an image: by its suffix, in either case, and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith('.')


def images_in(folder: Path) -> dict[str, Path]:
    """Image files of a folder by their name without suffix, sorted; none if there is no such folder.

    Raises:
        InputError: Two files differ by their suffix alone.
    """
    if not folder.is_dir():
        return {}
    return _by_name(sorted(path for path in folder.iterdir() if is_image(path)))


def images_below(root: Path) -> dict[str, list[Path]]:
    """Image files of a folder and of all folders below it (links are followed), by their name without suffix."""
    images: dict[str, list[Path]] = {}
    for path in files_below(root):
        if is_image(path):
            images.setdefault(path.stem, []).append(path)
    return images


def find_image(folder: str | Path, image_id: str) -> Path:
    """Path of an image file below a folder, by the image's id (with any suffix that images have, in either case).

    The folder may be the root of the ids, or one below it: ``train/a`` is in ``data`` and in ``data/train``.

    Raises:
        InputError: The folder or the image is missing, or several files differ by their suffix alone.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f'{folder} is not a folder; name the one that holds the images')
    found = find_known_images(folder, [image_id])
    if not found:
        raise InputError(
            f'image {image_id} is not in {folder} (looked for {image_id}{", ".join(SUFFIXES)}); '
            'name the folder that holds the images of these predictions'
        )
    return found[image_id]


def find_frame(folder: str | Path, image_id: str) -> tuple[Path, int | None]:
    """Where the pixels of an image are: its file and None, or the file of its movie and its number there.

    Raises:
        InputError: As :func:`find_image`.
    """
    movie, frame = split_frame(image_id)
    if frame is None or find_known_images(Path(folder), [image_id]):
        return find_image(folder, image_id), None
    return find_image(folder, movie), frame


def find_known_images(folder: Path, image_ids: Iterable[str]) -> dict[str, Path]:
    """Paths of those of some images that are below a folder, by id, as :func:`find_image` finds one.

    Raises:
        InputError: Several files of an image differ by their suffix alone.
    """
    files: dict[Path, dict[str, list[Path]]] = {}
    found: dict[str, Path] = {}
    for image_id in image_ids:
        for place in _places(folder, check_image_id(image_id)):
            if place.parent not in files:
                files[place.parent] = _by_stem(place.parent)
            paths = files[place.parent].get(place.name, [])
            if paths:
                found[image_id] = _by_name(paths)[place.name]
                break
    return found


def _places(folder: Path, image_id: str) -> Iterator[Path]:
    """Paths without suffix at which the image may lie."""
    yield folder / image_id
    parts = tuple(image_id.split('/'))
    above = folder.resolve().parts
    for count in range(1, len(parts)):
        if above[-count:] == parts[:count]:
            yield folder.joinpath(*parts[count:])


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """Image files of a folder, by their name without suffix, each list sorted; none if there is no such folder."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.startswith('.') and (is_vendor_file(path) or path.suffix.lower() in SUFFIXES + TIFF_SUFFIXES):
            files.setdefault(path.stem, []).append(path)
    return files


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for path in paths:
        other = images.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f'{path.parent}: {other.name} and {path.name} would be one image, {path.stem}; keep one of them'
            )
    return images
