"""New pictures for drawn masks: the masks stay as they are, and the pictures show cells there."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sartorius.annotations.structures import ImageAnnotations
from sartorius.annotations.train_csv import TrainImage, read_train_csv, write_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.synthetic.masks_dataset import MasksPlan, make_masks_dataset, render_masks
from sartorius.utils.errors import InputError

SIZE = (96, 128)


def disc(x: int, y: int, radius: int) -> MaskCrop:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return MaskCrop.from_full((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Two discs in one image, and one in another."""
    path = tmp_path / 'masks.csv'
    images = {'a': ('cort', [disc(30, 30, 9), disc(80, 50, 12)]), 'b': ('shsy5y', [disc(64, 48, 8)])}
    write_train_csv(
        path,
        [
            TrainImage(ImageAnnotations(name, SIZE, tuple(crops), np.zeros(len(crops), dtype=np.int64)), cell_type)
            for name, (cell_type, crops) in images.items()
        ],
    )
    return path


def test_pictures_of_masks_keep_them_and_differ_from_turn_to_turn(masks: Path, tmp_path: Path) -> None:
    summary = make_masks_dataset(tmp_path / 'out', MasksPlan(masks, images=3), workers=1)
    assert (summary.images, summary.cells) == (3, 5)
    made, given = read_train_csv(tmp_path / 'out/train.csv').images, read_train_csv(masks).images
    assert list(made) == ['a', 'b', 'a-2']
    assert [image.details['sample_id'] for image in made.values()] == ['a', 'b', 'a']
    for name, image in made.items():
        source = given[name[0]]
        assert image.cell_type == source.cell_type
        for crop, other in zip(image.cells.crops, source.cells.crops, strict=True):
            assert crop.window == other.window and (crop.mask == other.mask).all()
    pictures = {path.stem: path.read_bytes() for path in (tmp_path / 'out/train').glob('*.png')}
    assert set(pictures) == set(made) and pictures['a'] != pictures['a-2']
    make_masks_dataset(tmp_path / 'again', MasksPlan(masks), workers=1)
    assert (tmp_path / 'again/train/a.png').read_bytes() == pictures['a']
    assert str(tmp_path) not in (tmp_path / 'out/synthetic.json').read_text()


@pytest.mark.parametrize('cell_type', ['shsy5y', 'astro', 'cort'])
def test_what_a_mask_holds_varies_and_its_surroundings_less(cell_type: str) -> None:
    crop = disc(64, 48, 18)
    inside, around = [], []
    for seed in range(8):
        image = render_masks([crop], cell_type, SIZE, np.random.default_rng(seed)).image.astype(float)
        inner = cv2.erode(crop.mask.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        x1, y1, x2, y2 = crop.window
        inside.append(image[y1:y2, x1:x2][inner].std())
        around.append(image[:, :20].std())
    assert np.median(inside) > 1.3 * np.median(around)


def test_a_class_that_is_none_of_the_three_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'masks.csv'
    path.write_text('id,annotation,width,height,cell_type\na,1 5,128,96,huh7\n')
    with pytest.raises(InputError, match='huh7'):
        make_masks_dataset(tmp_path / 'out', MasksPlan(path))
    assert not (tmp_path / 'out').exists()
