"""Which files of a folder are images, and what they are called."""

from collections.abc import Iterable
from pathlib import Path

from sartorius.utils.errors import InputError
from sartorius.utils.files import files_below

SUFFIXES: tuple[str, ...] = ('.png', '.tif', '.tiff', '.jpg', '.jpeg', '.bmp')
"""What image files end in, in lower or upper case."""


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
    """Path of the image called ``image_id`` (with any suffix of :data:`SUFFIXES`, in either case) in a folder.

    Raises:
        InputError: The folder or the image is missing, or several files differ by their suffix alone.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f'{folder} is not a folder; name the one that holds the images')
    paths = [path for path in sorted(folder.glob('*')) if path.stem == image_id and is_image(path)]
    if not paths:
        raise InputError(
            f'image {image_id} is not in {folder} (looked for {image_id}{", ".join(SUFFIXES)}); '
            'name the folder that holds the images of these predictions'
        )
    return _by_name(paths)[image_id]


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for path in paths:
        other = images.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f'{path.parent}: {other.name} and {path.name} would be one image, {path.stem}; keep one of them'
            )
    return images
