"""Other vendors' image files, read through bioio where it is installed (https://bioio-devs.github.io/bioio/)."""

import importlib.util
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.images.axes import ImageFileContent, Index, ReadOptions, read_frames
from sartorius.images.pixel_sizes import length_um, seconds, square_pixels
from sartorius.images.structures import ImageStack
from sartorius.utils.errors import InputError

READERS: dict[str, str] = {
    '.nd2': 'bioio-nd2',
    '.czi': 'bioio-czi',
    '.lif': 'bioio-lif',
    '.zarr': 'bioio-ome-zarr',
    '.dv': 'bioio-dv',
    '.r3d': 'bioio-dv',
    '.sldy': 'bioio-sldy',
    '.oir': 'bioio-bioformats',
    '.oib': 'bioio-bioformats',
    '.vsi': 'bioio-bioformats',
    '.ims': 'bioio-bioformats',
    '.zvi': 'bioio-bioformats',
    '.flex': 'bioio-bioformats',
    '.mrxs': 'bioio-bioformats',
}
"""The package that reads files of each suffix, beside bioio itself."""


def is_vendor_file(path: Path) -> bool:
    """Whether a file, or a folder that is one image, is called like one that bioio reads."""
    return path.suffix.lower() in READERS and path.exists() and (path.is_file() or path.suffix.lower() == '.zarr')


def read_vendor_file(path: Path, options: ReadOptions) -> ImageStack:
    """Frames of a file through bioio; of several scenes the first.

    Raises:
        InputError: bioio or the reader of this kind is not installed, or cannot read the file; or as
            :func:`~sartorius.images.axes.read_frames`.
    """
    package = READERS[path.suffix.lower()]
    if any(importlib.util.find_spec(name.replace('-', '_')) is None for name in ('bioio', package)):
        raise InputError(f'image {path} needs further packages: pip install bioio {package} (or save it as OME-TIFF)')
    import bioio

    try:
        reader = importlib.import_module(package.replace('-', '_')).Reader
        # bioio hides what a reader says of a damaged file in a longer text, and logs it.
        reader(path)
        return read_frames(_content(path, bioio.BioImage(path, reader=reader)), options)
    except (InputError, MemoryError):
        raise
    # Every reader has errors of its own.
    except Exception as error:
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise InputError(f'image {path} is damaged, or not read by {package} ({reason}); save it as OME-TIFF') from None


def _content(path: Path, image: Any) -> ImageFileContent:
    """What a ``bioio.BioImage`` says of itself."""
    notes = []
    if len(image.scenes) > 1:
        notes.append(f'the file has {len(image.scenes)} scenes; the first, {image.scenes[0]}, is taken')
    axes = ''.join(axis for axis in image.dims.order if axis in 'YXS' or image.dims[axis][0] > 1)

    def load(index: Index) -> NDArray[np.generic]:
        picked = {axis: one for axis, one in zip(axes, index, strict=True) if isinstance(one, int)}
        return image.get_image_data(''.join(axis for axis in axes if axis not in picked), **picked)

    # Readers that give no unit give micrometres, but for OME-Zarr, where none was written.
    default = '' if path.suffix.lower() == '.zarr' else 'µm'
    units = image.dimension_properties
    sizes = image.physical_pixel_sizes
    x, y = (length_um(getattr(sizes, axis, None), str(getattr(units, axis).unit or default)) for axis in 'XY')
    size, size_notes = square_pixels([x, y])
    interval = image.time_interval
    if isinstance(interval, timedelta):
        interval_s = seconds(interval.total_seconds(), 's')
    else:
        interval_s = seconds(interval, str(units.T.unit or ''))
    return ImageFileContent(
        path=path,
        shape=tuple(image.dims[axis][0] for axis in axes),
        axes=axes,
        dtype=np.dtype(image.dtype),
        load=load,
        channels=tuple(map(str, image.channel_names or ())),
        pixel_size_um=size,
        pixel_size_from='bioio' if size is not None else '',
        frame_interval_s=interval_s,
        notes=(*notes, *size_notes),
    )
