"""Configs for images of another magnification or size than those that the model was trained on."""

import copy

from mmengine.config import Config

from sartorius.inference.inference_config import (
    MAX_FACTOR,
    TileSettings,
    is_factor,
    read_tiles,
    resize_scale,
    split_pipeline,
)
from sartorius.masks.crop import Size
from sartorius.models.file_config import TRAINED_SIZE, fit_factor
from sartorius.utils.errors import InputError

MAX_AREA_FACTOR = 4.0
"""Images of more than so many times the area of the trained ones (twice their height and width) are cut into tiles."""


def trained_factor(config: Config) -> float:
    """Factor by which the model's test pipeline enlarges an image of the size that it was trained on."""
    scale = resize_scale(split_pipeline(config)[1])
    return float(scale) if is_factor(scale) else fit_factor(scale, TRAINED_SIZE)


def rescale_config(config: Config, scale: float) -> Config:
    """Builds the config that shows a model images as it was trained to see cells, whatever the images' size.

    Every long and short edge that images are fitted into becomes the factor that it is for a trained image: two images
    of one magnification are enlarged alike, whether one is twice as large or not.

    Args:
        config: A detector's config before :func:`sartorius.inference.inference_config.build_inference_config`; not
            changed.
        scale: Factor from the image's pixels to those of the trained ones: the size of its pixels divided by the size
            of theirs. Images with finer pixels have a scale below 1 and are enlarged less.

    Returns:
        A copy, whose tiles cover as much of the specimen as the trained images did.

    Raises:
        InputError: The scale is not above 0, or enlarges images more than :data:`MAX_FACTOR` times.
    """
    largest = MAX_FACTOR / trained_factor(config)
    if not 0 < scale <= largest:
        raise InputError(
            f'a scale of {scale:g} between the pixels of the image and those of the model; it must lie above 0 and be '
            f'at most {largest:.3g}: check the pixel size, or choose the factor with --scale'
        )
    config = copy.deepcopy(config)
    before, resize, after = split_pipeline(config)
    others = {key: value for key, value in resize.items() if key not in ('scale', 'scale_factor', 'keep_ratio')}
    resize = others | dict(scale_factor=trained_factor(config) * scale)
    config.test_dataloader.dataset.pipeline = [*before, resize, *after]
    if 'tta_scales' in config:
        factors = [one if is_factor(one) else fit_factor(one, TRAINED_SIZE) for one in config.tta_scales]
        config.tta_scales = [factor * scale for factor in factors]
    if 'tiles' in config:
        tiles = read_tiles(config)
        height, width = (max(round(length / scale), 4) for length in tiles.size)
        overlap = min(max(round(tiles.overlap / scale), 2), min(height, width) - 1)
        config.tiles = vars(TileSettings((height, width), overlap, tiles.scale * scale))
    return config


def needs_tiles(size: Size, scale: float) -> bool:
    """Whether an image of ``(height, width)`` pixels is so large that it is better predicted in tiles."""
    trained = TRAINED_SIZE[0] * TRAINED_SIZE[1]
    return size[0] * size[1] * scale**2 > MAX_AREA_FACTOR * trained
