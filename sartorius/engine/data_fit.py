"""Configs that take classes, grey levels and magnification from the prepared data: the key ``fit_to_data``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sartorius.annotations.info import read_info
from sartorius.engine.config import LOADERS, innermost
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path
from sartorius.visualization.overlay import class_color

MAX_FACTOR = 4.0
"""Images are enlarged or reduced by at most this factor beyond the config's own."""


def fit_to_data(config: Config) -> None:
    """Fits a config with the key ``fit_to_data`` to the training data, in place; the key is None afterwards.

    ``fit_to_data = dict(cell_diameter=20)`` says that the numbers of the config are for a median cell of 20 px.
    From the ``info`` of the training JSON (:class:`sartorius.annotations.info.DataInfo`) come

    - the classes of all data sets, and their number in all heads;
    - mean and standard deviation of the grey levels;
    - the magnification: where the median cell is twice as large, images are enlarged half as much, and tiles are cut
      twice as large before they are;
    - the pixel size, which the model's file keeps (``pixel_size_um``).

    Without the training JSON nothing is changed, and the data set says that it is missing.

    Raises:
        InputError: The JSON does not say these things, as it is not by tools/data/prepare_images.py.
    """
    if not config.get('fit_to_data'):
        return
    path = Path(innermost(config.train_dataloader.dataset).ann_file)
    if not path.is_file():
        return
    info = read_info(path)
    if not info.classes or not info.cell_diameter_px or len(info.grey_mean) != 3 or len(info.grey_std) != 3:
        raise InputError(
            f'{display_path(path)}: does not say what the data are like, which this config goes by (fit_to_data); '
            'prepare the data with tools/data/prepare_images.py, which takes COCO JSON too (--labels FILE)'
        )
    for loader in LOADERS:
        palette = [class_color(label) for label in range(len(info.classes))]
        innermost(config[loader].dataset).metainfo = dict(classes=info.classes, palette=palette)
    for head in _heads(config.model):
        head.num_classes = len(info.classes)
    config.model.data_preprocessor.update(mean=list(info.grey_mean), std=list(info.grey_std))
    factor = config.fit_to_data.cell_diameter / info.cell_diameter_px
    _magnify(config, round(min(max(factor, 1 / MAX_FACTOR), MAX_FACTOR), 3))
    config.pixel_size_um = info.pixel_size_um
    config.fit_to_data = None


def _heads(node: Any) -> Iterator[Any]:
    """Parts of a model whose outputs are classes."""
    if isinstance(node, Mapping):
        if 'num_classes' in node:
            yield node
        for value in node.values():
            yield from _heads(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _heads(value)


def _magnify(config: Config, factor: float) -> None:
    """Enlarges images by a further factor; tiles show as many cells as before."""
    for loader in LOADERS:
        for step in innermost(config[loader].dataset).pipeline:
            if step.get('scale_factor'):
                step.scale_factor = round(step.scale_factor * factor, 3)
            if step.type == 'RandomTile':
                step.tile_size = tuple(round(side / factor) for side in step.tile_size)
                step.scale_range = tuple(round(scale * factor, 3) for scale in step.scale_range)
    tiles = config.tiles
    tiles.size = tuple(round(side / factor) for side in tiles.size)
    tiles.overlap, tiles.scale = round(tiles.overlap / factor), round(tiles.scale * factor, 3)
    config.tta_scales = [round(scale * factor, 3) for scale in config.tta_scales]
