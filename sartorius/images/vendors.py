"""Other vendors' image files, read through bioio where it is installed (https://bioio-devs.github.io/bioio/)."""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sartorius.images.axes import ImageFileContent, Index, ReadOptions, read_frames
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
    reader = READERS[path.suffix.lower()]
    if any(importlib.util.find_spec(name.replace('-', '_')) is None for name in ('bioio', reader)):
        raise InputError(f'image {path} needs further packages: pip install bioio {reader} (or save it as OME-TIFF)')
    import bioio

    try:
        image = bioio.BioImage(path)
        content = _content(path, image)
        return read_frames(content, options)
    except (InputError, MemoryError):
        raise
    # Every reader has errors of its own.
    except Exception as error:
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise InputError(f'image {path} is not read by bioio and {reader} ({reason}); save it as OME-TIFF') from None


def _content(path: Path, image: 'bioio.BioImage') -> ImageFileContent:  # noqa: F821
    from sartorius.images.tiff import square_pixels

    notes = []
    if len(image.scenes) > 1:
        notes.append(f'the file has {len(image.scenes)} scenes; the first, {image.scenes[0]}, is taken')
    axes = ''.join(axis for axis in image.dims.order if axis in 'YXS' or image.dims[axis][0] > 1)
    shape = tuple(image.dims[axis][0] for axis in axes)

    def load(index: Index) -> NDArray[np.generic]:
        picked = {axis: one for axis, one in zip(axes, index, strict=True) if isinstance(one, int)}
        return image.get_image_data(''.join(axis for axis in axes if axis not in picked), **picked)

    sizes = image.physical_pixel_sizes
    size, size_notes = square_pixels([sizes.X, sizes.Y])
    interval = image.time_interval
    return ImageFileContent(
        path=path,
        shape=shape,
        axes=axes,
        dtype=np.dtype(image.dtype),
        load=load,
        channels=tuple(map(str, image.channel_names or ())),
        pixel_size_um=size,
        pixel_size_from='bioio' if size is not None else '',
        frame_interval_s=interval.total_seconds() if interval is not None else None,
        notes=(*notes, *size_notes),
    )
