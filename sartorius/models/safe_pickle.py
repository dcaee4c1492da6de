"""Types that may stand in a checkpoint besides tensors and plain values, and nothing more.

torch's ``weights_only`` reader builds tensors, dicts, lists, strings and numbers, and calls what it is told to trust.
MMEngine's checkpoints need more: their log buffers are pickled through ``getattr`` and NumPy's constructors. Trusting
those is trusting the file: ``getattr(getattr, '__self__')`` is the module with ``exec``, and NumPy's ``__setstate__``
takes lengths and layouts as they come. So the reader is given stand-ins under these names, written in Python, that
build plain numeric arrays and log buffers and refuse everything else; :func:`plain_content` then replaces them.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from math import prod
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from numpy.typing import NDArray

_KINDS = frozenset({'b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8'})
_STATISTICS = ('min', 'max', 'current', 'mean')
_LOG_ARRAYS = ('_log_history', '_count_history')


class ArrayType:
    """In place of ``numpy.dtype``: booleans, integers and floats of this machine's or the other byte order."""

    def __init__(self, kind: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(kind, str) or kind not in _KINDS:
            raise UnpicklingError(f'an array of {str(kind)[:40]!r} instead of numbers')
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Version, byte order, and the layout of types other than numbers: none.
        if len(state) < 5 or state[1] not in ('<', '>', '|', '=') or any(part is not None for part in state[2:5]):
            raise UnpicklingError('an array of another layout than numbers')
        self.dtype = self.dtype.newbyteorder(state[1])


class Array:
    """In place of a ``numpy.ndarray`` that is being built."""

    def __init__(self) -> None:
        self.values: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        if not isinstance(kind, ArrayType) or not isinstance(content, bytes):
            raise UnpicklingError('an array whose content is not plain numbers')
        if len(content) != prod(shape) * kind.dtype.itemsize:
            raise UnpicklingError(f'an array of shape {tuple(shape)} with {len(content)} bytes')
        order = 'F' if fortran else 'C'
        self.values = np.frombuffer(content, kind.dtype).reshape(shape, order=order).copy()


class LogBuffer:
    """In place of MMEngine's ``HistoryBuffer`` that is being built; keeps its numbers only.

    The original would take over any attribute, and any "statistic" for all buffers of the process.
    """

    def __init__(self) -> None:
        self.buffer = HistoryBuffer()

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = [state.get(name) for name in _LOG_ARRAYS]
        length = state.get('max_length')
        if not all(isinstance(array, Array) for array in arrays) or not isinstance(length, int):
            raise UnpicklingError('a log buffer without its numbers')
        self.buffer = HistoryBuffer(*(array.values for array in arrays), max_length=length)


def plain_content(value: Any) -> Any:
    """The content of a checkpoint with arrays and log buffers in place of their stand-ins.

    Raises:
        UnpicklingError: A value is of a type that no checkpoint needs.
    """
    if isinstance(value, OrderedDict):
        # A module's state dict carries its versions as an attribute.
        if set(vars(value)) - {'_metadata'}:
            raise UnpicklingError('a dictionary with attributes of its own')
        plain = OrderedDict((key, plain_content(part)) for key, part in value.items())
        plain.__dict__.update(plain_content(vars(value)))
        return plain
    if type(value) is dict:
        return {key: plain_content(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain_content(part) for part in value)
    if type(value) is Array:
        return value.values
    if type(value) is LogBuffer:
        return value.buffer
    if type(value) in (torch.Tensor, torch.nn.Parameter):
        # Without attributes that the file gave it.
        return torch.Tensor.detach(value)
    if type(value) in (set, Counter):
        return type(value)(plain_content(list(value)) if type(value) is set else plain_content(dict(value)))
    if value is None or type(value) in _PLAIN_TYPES:
        return value
    raise UnpicklingError(f'a {type(value).__name__}')


def _history_method(owner: type, name: str) -> str:
    """In place of ``getattr``: names one of a log buffer's own four statistics."""
    if owner is not LogBuffer or name not in _STATISTICS:
        raise UnpicklingError('a call of getattr, as files have it that run code where they are read')
    return name


def _empty_array(owner: object, shape: object, kind: object) -> Array:
    """In place of ``numpy._core.multiarray._reconstruct``."""
    return Array()


def _number(kind: ArrayType, content: bytes) -> float | int | bool:
    """In place of ``numpy._core.multiarray.scalar``: the number as Python's own."""
    if not isinstance(kind, ArrayType) or not isinstance(content, bytes) or len(content) != kind.dtype.itemsize:
        raise UnpicklingError('a number that is none')
    return np.frombuffer(content, kind.dtype)[0].item()


def _no_bytes() -> bytes:
    """In place of ``bytes``, which stands for the content of an empty array."""
    return b''


_PLAIN_TYPES = frozenset({bool, int, float, complex, str, bytes, bytearray, torch.Size, torch.dtype, torch.device})
# Names of NumPy 1 and 2.
STAND_INS: tuple[tuple[Callable[..., Any], str], ...] = (
    (_history_method, 'builtins.getattr'),
    (LogBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
    (_no_bytes, 'builtins.bytes'),
    (ArrayType, 'numpy.dtype'),
    (Array, 'numpy.ndarray'),
    *((_empty_array, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),
    *((_number, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
)
"""For ``torch.serialization.safe_globals``: what the reader uses under the name of what the file asks for."""
