"""What an annotation JSON says of itself in its ``info``: which part of which data it is."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sartorius.utils.input_files import open_input
from sartorius.utils.input_text import read_json
from sartorius.utils.paths import display_path
from sartorius.utils.records import Record

TRAIN, VAL, TEST, UNLABELLED, ALL = 'train', 'val', 'test', 'unlabelled', 'all'
"""What ``split`` can be: of a fold or of an official split; ``all`` annotated images, for a model without a fold."""

SARTORIUS, LIVECELL, SYNTHETIC, OWN = 'Sartorius', 'LIVECell', 'synthetic images', 'own images'
"""What ``origin`` can be, which decides what weights trained on the images may be used for."""

SYNTHETIC_FILE = 'synthetic.json'
"""Marks a folder of synthetic images and says how they were made."""

# Enough for the info at the start of the files that this project writes.
_HEAD = 65536


@dataclass(frozen=True, kw_only=True)
class DataInfo(Record):
    """The entry ``info`` of an annotation JSON; None for what it does not say.

    Attributes:
        origin: Whose images they are.
        split: Which part of the data.
        fold: The fold whose training or validation images they are, counted from 0; None for other parts.
        folds: Number of folds of the data.
        seed: Seed by which the folds were drawn.
        classes: Class names in the order of the labels, as tools/data/prepare_images.py writes them.
        cell_diameter_px: Diameter of a circle as large as the median cell.
        grey_mean: Mean of all pixels of the images as models take them (8 bits): blue, green, red.
        grey_std: Standard deviation of the same.
        pixel_size_um: Side of a pixel in micrometres, if all images that tell it agree.
        licence: Of the images, as the one who prepared them says: the name of a licence at https://spdx.org/licenses.
        set_id: Of all JSONs that were prepared together; others do not belong to them.
    """

    origin: str | None = None
    split: str | None = None
    fold: int | None = None
    folds: int | None = None
    seed: int | None = None
    classes: tuple[str, ...] = ()
    cell_diameter_px: float | None = None
    grey_mean: tuple[float, ...] = ()
    grey_std: tuple[float, ...] = ()
    pixel_size_um: float | None = None
    licence: str | None = None
    set_id: str | None = None


def read_info(path: str | Path) -> DataInfo:
    """Reads what an annotation JSON says of itself, of this project's own files without reading them whole.

    Raises:
        InputError: The file is no JSON, or an entry is of another type than :class:`DataInfo` has.
    """
    with open_input(path) as file:
        head = file.read(_HEAD).decode('utf-8-sig', errors='replace')
    start = re.match(r'\s*\{\s*"info"\s*:\s*', head)
    try:
        info = json.JSONDecoder().raw_decode(head, start.end())[0] if start else None
    # Also of lists within lists that have no end here.
    except (ValueError, RecursionError):
        start = None
    if start is None:
        content = read_json(path)
        info = content.get('info') if isinstance(content, Mapping) else None
    # Other tools leave a text or an empty list there.
    return DataInfo.from_dict(info if isinstance(info, Mapping) else {}, f'{display_path(path)}: info')


def origin_of_folder(root: str | Path, real: str) -> str:
    """Origin of the images below a data root: ``real``, or synthetic images where the folder says so."""
    return SYNTHETIC if (Path(root) / SYNTHETIC_FILE).is_file() else real
