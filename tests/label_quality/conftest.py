"""Drawn images with one defect each."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from sartorius.label_quality import AnnotatedCell, AnnotatedImage
from sartorius.masks import kaggle_rle
from sartorius.masks.crop import MaskCrop, Size

# The defects that the drawn images with results worked out by hand were made for; tests of any defect take DEFECTS.
DRAWN = ('wrong-class', 'hollow', 'convex-filled', 'speck', 'pieces', 'sliver', 'double', 'overlapping', 'size')


def crop_of(text: str, x: int = 0, y: int = 0) -> MaskCrop:
    """Rows of # and . as a mask."""
    return MaskCrop(np.array([[pixel == '#' for pixel in row] for row in text.split()]), x, y)


def block(x: int, y: int, width: int, height: int) -> MaskCrop:
    """A solid rectangle."""
    return MaskCrop(np.ones((height, width), dtype=bool), x, y)


def image_of(
    crops: Sequence[MaskCrop],
    classes: Sequence[str] | str = 'cort',
    size: Size = (60, 80),
    name: str = 'a',
    first_row: int = 0,
) -> AnnotatedImage:
    """An image with these cells in successive rows."""
    names = [classes] * len(crops) if isinstance(classes, str) else classes
    labels = zip(range(first_row, first_row + len(crops)), crops, names, strict=True)
    return AnnotatedImage(name, size, tuple(AnnotatedCell(*label) for label in labels))


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Writes cells of images of 80x60 px as a training CSV."""

    def write(images: dict[str, Sequence[tuple[MaskCrop | None, str]]], line_end: str = '\n', last: str = '\n') -> Path:
        lines = ['id,annotation,width,height,cell_type']
        for name, cells in images.items():
            for crop, cell_type in cells:
                code = '' if crop is None else kaggle_rle.encode(crop, (60, 80))
                lines.append(f'{name},{code},80,60,{cell_type}')
        path = tmp_path / 'train.csv'
        path.write_bytes((line_end.join(lines) + last).encode())
        return path

    return write
