"""Ground truth at the competition's scale: 606 images with 73,585 cells, real ones where available."""

from functools import cache

import numpy as np
from measure import Setting

from sartorius.annotations import ImageAnnotations
from sartorius.annotations.train_csv import read_train_csv
from sartorius.masks.crop import MaskCrop
from sartorius.synthetic import make_image
from sartorius.synthetic.cell_types import FULL_SIZE
from sartorius.utils.classes import CELL_TYPES

# Source: the competition's train.csv.
IMAGES, CELLS = 606, 73_585
REAL_TABLES = ('train.csv', 'masks_without_images.csv')
SHIFT = 2
"""Maximum shift of a prediction from its ground-truth cell along each axis, in pixels."""


@cache
def all_images(setting: Setting) -> tuple[ImageAnnotations, ...]:
    """Ground truth of 606 images; images that the real tables lack are synthetic."""
    if setting.quick:
        return tuple(_made(number, 20) for number in range(3))
    images = []
    for name in REAL_TABLES:
        if setting.data_root and (setting.data_root / name).is_file():
            images += [image.cells for image in read_train_csv(setting.data_root / name).images.values()]
    lacking = IMAGES - len(images)
    cells = CELLS - sum(map(len, images))
    counts = [cells // lacking + (number < cells % lacking) for number in range(lacking)]
    return (*images, *(_made(number, count) for number, count in enumerate(counts)))


def found_near(image: ImageAnnotations, seed: int = 0) -> tuple[MaskCrop, ...]:
    """Predictions for an image: nine of ten ground-truth cells, each shifted a little."""
    rng = np.random.default_rng((seed, len(image)))
    shifts = rng.integers(-SHIFT, SHIFT + 1, size=(len(image), 2)).tolist()
    is_kept = (rng.random(len(image)) < 0.9).tolist()
    return tuple(
        MaskCrop(crop.mask, crop.x + x, crop.y + y).clipped(image.size)
        for crop, (x, y), kept in zip(image.crops, shifts, is_kept, strict=True)
        if kept
    )


def _made(number: int, cells: int) -> ImageAnnotations:
    made = make_image('shsy5y', FULL_SIZE, np.random.default_rng(number), cells=cells)
    labels = np.full(len(made.crops), CELL_TYPES.index(made.cell_type), dtype=np.int64)
    return ImageAnnotations(f'made-{number}', FULL_SIZE, made.crops, labels)
