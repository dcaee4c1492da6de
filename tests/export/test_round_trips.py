"""Every format gives back every cell as the same set of pixels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sartorius.annotations.coco import read_coco as read_coco_annotations
from sartorius.annotations.label_files import FORMATS as LABEL_FORMATS
from sartorius.annotations.reading import load_annotations
from sartorius.export.formats import FORMATS
from sartorius.export.structures import ExportedImage
from sartorius.masks.crop import MaskCrop
from sartorius.utils.classes import CELL_TYPES

from .readers import (
    Cells,
    cells_of,
    differing,
    drawn,
    exported,
    frame_of,
    read_coco,
    read_geojson,
    read_label_tiff,
    read_rois,
    read_seg,
)

READERS: dict[str, Callable[[Path], Cells]] = {
    'masks': read_label_tiff,
    'rois': read_rois,
    'geojson': read_geojson,
    'coco': read_coco,
    'seg': read_seg,
}


def back(folder: Path, name: str, image: ExportedImage) -> Cells:
    """The cells of an image after export."""
    path = FORMATS[name].path(folder, image.image_id)
    FORMATS[name].write(path, image)
    return READERS[name](path)


# Cell a has a hole, b a piece in it and another that touches by a corner, c is a pixel in the corner, d a hole that
# opens by a corner alone, e two pixels that touch by a corner.
CROWD = """
    aaaaa......c
    a...a.......
    a.b.a..ddd..
    a...a..d.d..
    aaaaa..dd...
    .....b......
    ......b...e.
    b..........e
"""


@pytest.mark.parametrize('name', READERS)
@pytest.mark.parametrize('frames', [1, 3], ids=['image', 'movie'])
def test_holes_pieces_corners_and_single_pixels(tmp_path: Path, name: str, frames: int) -> None:
    crops, size = drawn(CROWD)
    image = exported([crops, crops[::-1], []][:frames], size)
    assert len(cells_of(image)) == (5 if frames == 1 else 10)
    assert differing(back(tmp_path, name, image), image) == []


@pytest.mark.parametrize('name', READERS)
def test_an_image_without_cells(tmp_path: Path, name: str) -> None:
    image = exported([[]], (5, 7))
    assert back(tmp_path, name, image) == {}
    if name in LABEL_FORMATS:
        assert LABEL_FORMATS[name].read(FORMATS[name].path(tmp_path, image.image_id), (5, 7), None).crops == ()


@pytest.mark.parametrize('name', READERS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_any_two_cells(tmp_path: Path, name: str, labels: np.ndarray) -> None:
    image = exported([[MaskCrop.from_full(labels == 1), MaskCrop.from_full(labels == 2)]], labels.shape)
    assert differing(back(tmp_path, name, image), image) == []


@pytest.mark.parametrize('name', READERS)
def test_far_from_the_corner_of_a_wide_image(tmp_path: Path, name: str) -> None:
    # Beyond the signed 16 bits of ImageJ's integers.
    crops, _ = drawn(CROWD)
    far = [MaskCrop(crop.mask, crop.x + 39_980, crop.y) for crop in crops]
    image = exported([far], (8, 40_000))
    assert differing(back(tmp_path, name, image), image) == []


@pytest.mark.parametrize('name', READERS)
def test_the_readers_of_labels_give_back_cells_and_classes(tmp_path: Path, name: str) -> None:
    crops, size = drawn(CROWD)
    image = exported([crops], size)
    path = FORMATS[name].path(tmp_path, image.image_id)
    FORMATS[name].write(path, image)
    if name == 'coco':
        (read,) = read_coco_annotations(path, image.classes).values()
        assert read.labels.tolist() == image.frames[0].labels.tolist()
    else:
        read = LABEL_FORMATS[name].read(path, size, None)
        expected = [image.classes[label] for label in image.frames[0].labels]
        assert list(read.classes) == (expected if name in ('rois', 'geojson') else [''] * len(crops))
    assert differing({(0, label): crop.tight() for label, crop in enumerate(read.crops, 1)}, image) == []


def layers(crops: tuple[MaskCrop, ...], size: tuple[int, int]) -> list[list[MaskCrop]]:
    """The cells in lists of which no two cells share a pixel: real annotations overlap, predictions do not."""
    taken: list[np.ndarray] = []
    split: list[list[MaskCrop]] = []
    for crop in crops:
        full = crop.to_full(size)
        number = next((number for number, pixels in enumerate(taken) if not (pixels & full).any()), len(split))
        if number == len(split):
            taken.append(np.zeros(size, bool))
            split.append([])
        taken[number] |= full
        split[number].append(crop)
    return split


@pytest.mark.slow
def test_every_cell_of_the_fullest_real_images(tmp_path: Path, real_data: Path) -> None:
    # All 3,535 cells of train.csv are exact; those of one image per class take a quarter of the time.
    fullest = {int(one.labels[0]): one for one in sorted(load_annotations(real_data / 'train.csv').values(), key=len)}
    assert len(fullest) == len(CELL_TYPES)
    for annotations in fullest.values():
        image_id = annotations.image_id
        for layer in layers(annotations.crops, annotations.size):
            frame = frame_of(image_id, layer, annotations.size)
            image = ExportedImage(image_id, (frame,), CELL_TYPES)
            for name in READERS:
                assert differing(back(tmp_path, name, image), image) == [], f'{image_id}: {name}'
