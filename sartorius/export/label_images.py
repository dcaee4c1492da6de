"""Label images: as TIFF for ImageJ, napari and CellProfiler, and as Cellpose's ``_seg.npy``."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.export.structures import ExportedImage

MAX_BYTES = 2**32 - 2**24
"""TIFF has offsets of 32 bits, BigTIFF of 64; a part is left for its headers."""


def write_label_tiff(path: Path, image: ExportedImage) -> None:
    """Writes ``NAME_masks.tif``: 0 is background, cell k has the label k + 1; deflated, axes YX, of a movie TYX.

    Up to 65,535 cells in a frame the file is uint16 in ImageJ's TIFF with its unit, frame interval and a range of
    display in which the labels are not black. ImageJ's own TIFF can hold neither more cells nor more than 4 GB: then
    it is OME-TIFF, uint32 or BigTIFF.
    """
    import tifffile

    highest = max(len(frame) for frame in image.frames)
    dtype = np.dtype(label_dtype(highest))
    shape = (len(image.frames), *image.size) if image.is_movie else image.size
    is_large = np.prod(shape, dtype=np.int64) * dtype.itemsize >= MAX_BYTES
    in_imagej = dtype == np.uint16 and not is_large
    metadata = _imagej_metadata(image, highest) if in_imagej else _ome_metadata(image)
    # Of ImageJ's TIFF the unit is in its metadata; where there is none it takes centimetres.
    per_unit = (1 if in_imagej else 10_000) / image.pixel_size_um if image.pixel_size_um else None
    tifffile.imwrite(
        path,
        (labels.astype(dtype) for labels in image.label_images()),
        shape=shape,
        dtype=dtype,
        imagej=in_imagej,
        ome=not in_imagej,
        bigtiff=bool(is_large),
        compression='zlib',
        resolution=(per_unit, per_unit) if per_unit else None,
        resolutionunit=None if in_imagej or not per_unit else 'CENTIMETER',
        metadata=metadata,
    )


def write_cellpose_seg(path: Path, image: ExportedImage) -> None:
    """Writes ``NAME_seg.npy``, which Cellpose's window opens beside the image for editing.

    Cellpose has no time: the frames of a movie are a stack to it. It colours the cells itself.
    """
    dtype = label_dtype(max(len(frame) for frame in image.frames))
    frames = [labels.astype(dtype) for labels in image.label_images()]
    outlines = [_inner_outlines(labels) for labels in frames]
    masks: NDArray[np.generic] = np.stack(frames) if image.is_movie else frames[0]
    content: dict[str, Any] = {
        'outlines': np.stack(outlines) if image.is_movie else outlines[0],
        'masks': masks,
        'chan_choose': [0, 0],
        'ismanual': np.zeros(int(masks.max()), dtype=bool),
        'filename': image.file_name,
        # Empty: there are none to recompute the masks from.
        'flows': [[], [], [], [], [[]]],
        'diameter': np.nan,
    }
    np.save(path, content, allow_pickle=True)


def label_dtype(highest: int) -> type[np.uint16] | type[np.uint32]:
    """The type that label images of other tools have: uint16, or uint32 where that cannot hold the highest label."""
    return np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32


def _inner_outlines(labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Labels of the pixels that have an edge with another cell, the background or the border of the image."""
    from skimage.segmentation import find_boundaries

    boundaries = find_boundaries(np.pad(labels, 1), mode='inner')[1:-1, 1:-1]
    return np.where(boundaries, labels, 0).astype(labels.dtype)


def _imagej_metadata(image: ExportedImage, highest: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {'axes': 'TYX' if image.is_movie else 'YX', 'min': 0.0, 'max': float(max(highest, 1))}
    if image.pixel_size_um:
        metadata['unit'] = 'um'
    if image.is_movie and image.frame_interval_s:
        metadata['finterval'] = image.frame_interval_s
    return metadata


def _ome_metadata(image: ExportedImage) -> dict[str, Any]:
    metadata: dict[str, Any] = {'axes': 'TYX' if image.is_movie else 'YX'}
    if image.pixel_size_um:
        metadata |= {f'PhysicalSize{axis}': image.pixel_size_um for axis in 'XY'}
        metadata |= {f'PhysicalSize{axis}Unit': 'µm' for axis in 'XY'}
    if image.is_movie and image.frame_interval_s:
        metadata |= {'TimeIncrement': image.frame_interval_s, 'TimeIncrementUnit': 's'}
    return metadata
