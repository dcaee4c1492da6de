"""Cells from label images: TIFF and PNG of Cellpose, StarDist, ImageJ and napari, and Cellpose's ``_seg.npy``."""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sartorius.annotations.labelled_cells import LabelledCells
from sartorius.annotations.seg_npy import read_seg_npy
from sartorius.images.reading import check_whole, open_picture
from sartorius.images.tiff import read_tiff_values
from sartorius.masks.crop import MaskCrop, Size
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError
from sartorius.utils.input_files import read_bytes

PIECES = 'cells of several pieces, each kept as one cell'
SPLIT = 'pieces that became cells of their own'

_CORNERS_TOUCH = np.ones((3, 3), dtype=bool)


def read_label_image(path: Path, size: Size, pieces: str | None = None) -> LabelledCells:
    """The cells of a label image, in which each cell has a number of its own and 0 is background.

    Args:
        path: TIFF or PNG of any whole numbers (of floats, too, that are whole), or a ``_seg.npy``.
        size: ``(height, width)`` of its image.
        pieces: What becomes of a cell that lies in several pieces: ``split``, a cell for each; ``keep``, one cell;
            None, one cell unless the file holds no other, because it is then a black and white mask.

    Raises:
        InputError: The file is unreadable, or not a single label image: in colour, of several frames, with negative or
            broken numbers, black and white, or of another size than the image.
    """
    labels = _whole_numbers(read_seg_npy(path) if path.suffix == '.npy' else _read_pixels(path), path)
    if labels.shape != size:
        raise InputError(
            f'{path}: has {labels.shape[1]}x{labels.shape[0]} pixels, its image {size[1]}x{size[0]}; save the labels '
            'at the size of the image'
        )
    values, compact = np.unique(labels, return_inverse=True)
    # Cells are numbered from 1, and background is 0 even in an image without any.
    compact = compact.reshape(labels.shape) + (values[0] != 0)
    crops = PackedMasks.from_labels(compact).crops
    counts: Counter[str] = Counter()
    parts = [_pieces(crop) for crop in crops]
    several = sum(len(own) > 1 for own in parts)
    if pieces is None and several and len(crops) == 1:
        raise InputError(
            f'{path}: holds one label ({values[-1]}) in {len(parts[0])} pieces, so it is a black and white mask that '
            'does not tell which pixels are which cell; with --pieces split each piece becomes a cell (cells that '
            'touch become one), with --pieces keep it stays one'
        )
    if pieces == 'split':
        counts[SPLIT] = sum(len(own) for own in parts if len(own) > 1)
        crops = [piece for own in parts for piece in own]
    else:
        counts[PIECES] = several
    return LabelledCells(tuple(crops), ('',) * len(crops), +counts)


def _pieces(crop: MaskCrop) -> list[MaskCrop]:
    """The connected pieces of a cell; corners connect."""
    numbered, count = ndimage.label(crop.mask, structure=_CORNERS_TOUCH)
    if count < 2:
        return [crop]
    return [MaskCrop(numbered == number, crop.x, crop.y).tight() for number in range(1, count + 1)]


def _whole_numbers(array: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    """A label image ``(height, width)`` of integers, none negative."""
    array = array.squeeze()
    if array.ndim == 3 and array.shape[-1] in (3, 4):
        if (array[..., :1] != array[..., :3]).any():
            raise InputError(
                f'{path}: a picture of labels in colour, which shows no numbers; save the labels themselves (napari: '
                'File > Save as .tif; ImageJ: 16-bit; Cellpose: _masks.tif)'
            )
        array = array[..., 0]
    if array.ndim != 2 or not array.size:
        shape = ' x '.join(map(str, array.shape))
        raise InputError(
            f'{path}: holds {shape} labels; training takes single images, so save each frame or slice of the image and '
            'of its labels as a file of its own (ImageJ: Image > Stacks > Stack to Images)'
        )
    if array.dtype.kind == 'f':
        # ImageJ's plugins write labels as floats.
        if not (np.isfinite(array).all() and (array == np.rint(array)).all()):
            raise InputError(
                f'{path}: its values are not whole numbers, so it is no label image but a picture or a map'
            )
        array = array.astype(np.int64)
    if array.dtype.kind not in 'biu':
        raise InputError(f'{path}: holds {array.dtype} values; a label image has whole numbers')
    if array.dtype.kind == 'i' and array.min() < 0:
        raise InputError(f'{path}: holds the negative label {array.min()}; number the cells from 1 on, background is 0')
    return array.astype(np.uint8) if array.dtype.kind == 'b' else array


def _read_pixels(path: Path) -> NDArray[np.generic]:
    """Values of a TIFF or PNG; of one with a palette the numbers, not the colours."""
    try:
        if path.suffix.lower() in ('.tif', '.tiff'):
            return read_tiff_values(path)
        data = read_bytes(path)
        # Pillow alone reads on over wrong check sums and a missing end.
        check_whole(path, data)
        with open_picture(path, data) as picture:
            return np.asarray(picture)
    except InputError as error:
        raise InputError(f'{path}: damaged, or no label image ({error})') from None
    # Damaged files raise nearly anything in Pillow.
    except Exception as error:
        raise InputError(f'{path}: damaged, or no label image ({error}); copy or save it again') from None
