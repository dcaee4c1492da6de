"""Which planes of a file with channels, z and time become the frames that a 2D model takes."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sartorius.images.size_limit import check_pixels
from sartorius.images.structures import ImageStack
from sartorius.utils.errors import InputError

AXES = 'TZCYXS'
"""Axes as OME and tifffile name them: time, depth, channels, rows, columns, samples (red, green, blue, alpha)."""

_TRANSMITTED = re.compile(
    r'(?<![a-z])(phase|ph\d?(?![a-z])|bf(?![a-z])|bright[ _-]?field|trans(mitted|mission)?(?![a-z])|dic(?![a-z]))',
    re.IGNORECASE,
)
_COLOURS = ('red', 'green', 'blue')

Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class ReadOptions:
    """What is read of a file that has more than one grey image.

    Attributes:
        axes: Letters of :data:`AXES`, one for each dimension of the file, instead of those that the file says.
        channel: Number (from 0) or name of the channel; None takes the only one, or the only one named phase,
            brightfield, DIC or transmitted.
        z: Number (from 0) of the plane, or ``max`` or ``mean`` of all.
    """

    axes: str | None = None
    channel: int | str | None = None
    z: int | str | None = None


@dataclass(frozen=True, eq=False)
class ImageFileContent:
    """An image file of which the pixels are not read yet.

    Attributes:
        path: The file.
        shape: Length of each dimension.
        axes: A letter for each dimension; others than :data:`AXES` are not known.
        dtype: Of the values.
        load: Reads the pixels: ``load(index)`` is ``array[index]`` of the whole file's array.
        channels: Names of the channels; empty, or one for each.
        pixel_size_um: As in :class:`ImageStack`, like the other three.
    """

    path: Path
    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype
    load: Callable[[Index], NDArray[np.generic]]
    channels: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    pixel_size_from: str = ''
    frame_interval_s: float | None = None
    notes: tuple[str, ...] = ()


def read_frames(content: ImageFileContent, options: ReadOptions) -> ImageStack:
    """The frames of a file: every time, one channel or colour, one z.

    Raises:
        InputError: Several channels or z and none is asked for, or one that the file lacks; axes that are not known;
            too many pixels; values that are complex, NaN or infinite.
    """
    path, notes = content.path, list(content.notes)
    axes, shape = _known_axes(content, options, notes), content.shape
    if 0 in shape:
        raise InputError(f'image {path} has no pixels (its shape is {_shape_text(axes, shape)})')
    if content.dtype.kind not in 'biuf':
        raise InputError(f'image {path} has {content.dtype} values; save it with whole or floating-point numbers')
    length = dict(zip(axes, shape, strict=True))
    picked = {axis: 0 for axis in axes if axis not in AXES}
    if 'C' in length:
        picked['C'] = _channel(content, options, length['C'], notes)
    if 'S' in length:
        sample = _sample(content, options, length['S'], 'C' in length, notes)
        if sample is not None:
            picked['S'] = sample
    if 'C' not in length and 'S' not in length:
        _channel(content, options, 1, notes)
    z = _plane(content, options, length.get('Z', 1))
    if isinstance(z, int) and 'Z' in length:
        picked['Z'] = z
    samples = 1 if 'S' in picked else length.get('S', 1)
    lengths = {axis: size for axis, size in length.items() if axis not in picked and axis != 'S'}
    check_pixels(path, lengths, samples * content.dtype.itemsize)
    pixels = content.load(tuple(picked.get(axis, slice(None)) for axis in axes))
    frames = _frames(pixels, ''.join(axis for axis in axes if axis not in picked), z)
    _check_finite(path, frames)
    return ImageStack(
        path=path,
        frames=frames,
        is_movie='T' in length,
        pixel_size_um=content.pixel_size_um,
        pixel_size_from=content.pixel_size_from,
        frame_interval_s=content.frame_interval_s if 'T' in length else None,
        notes=tuple(notes),
    )


def _known_axes(content: ImageFileContent, options: ReadOptions, notes: list[str]) -> str:
    """The axes that the options or the file say; those of pages that do not say are taken for time."""
    path, shape = content.path, content.shape
    if options.axes is not None:
        axes = options.axes.upper()
        if (
            len(axes) != len(shape)
            or set(axes) - set(AXES)
            or len(set(axes)) < len(axes)
            or not {'Y', 'X'} <= set(axes)
        ):
            raise InputError(
                f'image {path} has the shape {shape}; --axes {options.axes} must have a letter of {AXES} for each of '
                f'its {len(shape)} numbers, Y and X among them'
            )
        return axes
    axes = content.axes
    unknown = [axis for axis, size in zip(axes, shape, strict=True) if axis not in AXES and size > 1]
    if not unknown:
        return axes
    if len(unknown) == 1 and unknown[0] in 'QI' and 'T' not in axes:
        pages = shape[axes.index(unknown[0])]
        notes.append(f'its {pages} pages say no axis and are taken for frames in time; --axes says another')
        return axes.replace(unknown[0], 'T')
    raise InputError(
        f'image {path} has the axes {_shape_text(axes, shape)}, of which {", ".join(unknown)} '
        f'{"is" if len(unknown) == 1 else "are"} not known; give --axes with a letter of {AXES} for each'
    )


def _channel(content: ImageFileContent, options: ReadOptions, count: int, notes: list[str]) -> int:
    """Number of the channel that is asked for, or the only one that a model of transmitted light can take."""
    names = content.channels if len(content.channels) == count else ()
    if options.channel is not None:
        return _named(content.path, options.channel, names, count)
    if count == 1:
        return 0
    suitable = [number for number, name in enumerate(names) if _TRANSMITTED.search(name)]
    if len(suitable) == 1:
        notes.append(f'channel {suitable[0]} ({names[suitable[0]]}) of {_listed(names, count)} is taken')
        return suitable[0]
    listed = _listed(names, count)
    raise InputError(
        f'image {content.path} has {count} channels; give --channel with one of {listed}, or save one alone'
    )


def _sample(
    content: ImageFileContent, options: ReadOptions, count: int, has_channels: bool, notes: list[str]
) -> int | None:
    """Number of the colour that is asked for, None for all three."""
    if options.channel is not None and not has_channels:
        return _named(content.path, options.channel, _COLOURS if count >= 3 else (), min(count, 3))
    if count < 3:
        if count == 2:
            notes.append('its alpha channel is dropped')
        return 0
    if count > 3:
        notes.append('its alpha channel is dropped')
    notes.append('it is a colour image; its grey levels are the luminance')
    return None


def _named(path: Path, channel: int | str, names: Sequence[str], count: int) -> int:
    if isinstance(channel, str):
        same = [number for number, name in enumerate(names) if name.casefold() == channel.casefold()]
        if len(same) == 1:
            return same[0]
    number = int(channel) if str(channel).isdecimal() else -1
    if number not in range(count):
        if count == 1:
            raise InputError(f'image {path} has no channel {channel} but a single one; leave --channel out')
        raise InputError(f'image {path} has no channel {channel}; give --channel with one of {_listed(names, count)}')
    return number


def _listed(names: Sequence[str], count: int) -> str:
    texts = [
        f'{number} ({names[number]})' if names and names[number] else str(number) for number in range(min(count, 20))
    ]
    return ', '.join(texts) + (f' ... {count - 1}' if count > 20 else '')


def _plane(content: ImageFileContent, options: ReadOptions, count: int) -> int | str:
    z = options.z
    choices = f'--z max, --z mean or --z N, N from 0 to {count - 1}, or save one alone'
    if z is None:
        if count > 1:
            raise InputError(f'image {content.path} has {count} planes in z, a model takes one; give {choices}')
        return 0
    if z in ('max', 'mean'):
        return z
    if not str(z).isdecimal() or int(z) >= count:
        if count == 1:
            raise InputError(f'image {content.path} has no plane {z} in z but a single one; leave --z out')
        raise InputError(f'image {content.path} has no plane {z} in z; give {choices}')
    return int(z)


def _frames(pixels: NDArray[np.generic], axes: str, z: int | str) -> NDArray[np.generic]:
    """Pixels with some of the axes TZYXS as ``(T, H, W)`` or ``(T, H, W, 3)``, blue first."""
    pixels = pixels.transpose([axes.index(axis) for axis in 'TZYXS' if axis in axes])
    if pixels.dtype == bool:
        pixels = pixels * np.uint8(255)
    if 'T' not in axes:
        pixels = pixels[np.newaxis]
    if 'Z' in axes and z == 'max':
        pixels = pixels.max(axis=1)
    elif 'Z' in axes:
        mean = pixels.mean(axis=1, dtype=np.float64 if pixels.dtype.itemsize > 2 else np.float32)
        pixels = (np.rint(mean) if pixels.dtype.kind in 'iu' else mean).astype(pixels.dtype)
    if 'S' in axes:
        pixels = pixels[..., 2::-1]
    return np.ascontiguousarray(pixels)


def _check_finite(path: Path, frames: NDArray[np.generic]) -> None:
    if frames.dtype.kind == 'f':
        bad = sum(int(np.count_nonzero(~np.isfinite(frame))) for frame in frames)
        if bad:
            raise InputError(f'image {path} has {bad:,} values that are NaN or infinite; replace them by numbers')


def _shape_text(axes: str, shape: Sequence[int]) -> str:
    return ' x '.join(f'{axis} {size:,}' for axis, size in zip(axes, shape, strict=True))
