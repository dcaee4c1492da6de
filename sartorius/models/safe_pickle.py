"""Types that may stand in a checkpoint besides tensors and plain values, and nothing more.

torch's ``weights_only`` reader builds dicts, lists, strings and numbers, and calls what it is told to trust. Of its own
list, which has quantized, sparse and nested tensors, ``bytearray(n)`` and every codec, weights need seven functions.
MMEngine's checkpoints need more: their log buffers are pickled through ``getattr`` and NumPy's constructors. Trusting
those is trusting the file: ``getattr(getattr, '__self__')`` is the module with ``exec``, and NumPy's ``__setstate__``
takes lengths and layouts as they come. So the reader is given stand-ins under these names, written in Python, that
build plain numeric arrays and log buffers and refuse everything else; :func:`plain_content` then replaces them.
"""

import pickletools
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from math import prod
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from numpy.typing import NDArray
from torch import _weights_only_unpickler as torch_reader

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
        UnpicklingError: A value is of a type that no checkpoint needs, a tensor claims more elements than the file has,
            or values stand in each other so often that there are more than ``MAX_STEPS``.
    """
    visited = count(1)

    def plain(value: Any) -> Any:
        # A list of ten times the same list of ten times the same list ...
        if next(visited) > MAX_STEPS:
            raise UnpicklingError(f'more than {MAX_STEPS} values')
        if isinstance(value, OrderedDict):
            # A module's state dict carries its versions as an attribute.
            if set(vars(value)) - {'_metadata'}:
                raise UnpicklingError('a dictionary with attributes of its own')
            copied = OrderedDict((plain(key), plain(part)) for key, part in value.items())
            copied.__dict__.update(plain(vars(value)))
            return copied
        if type(value) is dict:
            return {plain(key): plain(part) for key, part in value.items()}
        if type(value) in (list, tuple):
            return type(value)(plain(part) for part in value)
        if type(value) is Array:
            return value.values
        if type(value) is LogBuffer:
            return value.buffer
        if type(value) in (torch.Tensor, torch.nn.Parameter):
            return _plain_tensor(value)
        if type(value) in (set, Counter):
            return type(value)(plain(list(value)) if type(value) is set else plain(dict(value)))
        if value is None or type(value) in _PLAIN_TYPES:
            return value
        raise UnpicklingError(f'a {type(value).__name__}')

    return plain(value)


@contextmanager
def trusted_names_only() -> Iterator[None]:
    """Lets torch's safe reader build and call what stands in ``TRUSTED``, in place of all that it trusts otherwise.

    Names that other code has added by ``torch.serialization.add_safe_globals`` are not trusted either.
    """
    before = torch_reader._get_allowed_globals, torch_reader._get_user_allowed_globals
    torch_reader._get_allowed_globals, torch_reader._get_user_allowed_globals = lambda: TRUSTED, dict
    try:
        yield
    finally:
        torch_reader._get_allowed_globals, torch_reader._get_user_allowed_globals = before


def check_length(file: IO[bytes], pickles: int) -> None:
    """Checks that pickles which stand in a row are of no more steps than any checkpoint; each may build an object.

    Raises:
        UnpicklingError: They are longer.
        ValueError: They are no pickles.
    """
    steps = (step for _ in range(pickles) for step in pickletools.genops(file))
    if any(number > MAX_STEPS for number, _ in enumerate(steps)):
        raise UnpicklingError(f'more than {MAX_STEPS} steps of building')


def _plain_tensor(value: torch.Tensor) -> torch.Tensor:
    """A tensor without attributes that the file gave it."""
    held = value.untyped_storage().nbytes() // value.element_size()
    if value.numel() > held + MAX_REPEATED:
        raise UnpicklingError(f'a tensor of {value.numel()} elements, of which the file has {held}')
    return torch.Tensor.detach(value)


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


def _bytes_of_text(text: str, codec: str) -> bytes:
    """In place of ``_codecs.encode``: bytes that were pickled as text."""
    if codec != 'latin1':
        raise UnpicklingError(f'a text in the encoding {str(codec)[:40]!r}')
    return text.encode(codec)


MAX_STEPS = 500_000
"""Steps of building, and values, that a checkpoint may have; one of 1,000 tensors and AdamW has 150,000."""
MAX_REPEATED = 1_000_000
"""Elements that a tensor may have beyond those in its file, as expanded buffers have them."""

_PLAIN_TYPES = frozenset({bool, int, float, complex, str, bytes, bytearray, torch.Size, torch.dtype, torch.device})
_NUMBERS = ('Double', 'Float', 'Half', 'BFloat16', 'Long', 'Int', 'Short', 'Char', 'Byte', 'Bool')
_DTYPES = ('float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')
TRUSTED: dict[str, Any] = {
    'collections.OrderedDict': OrderedDict,
    'collections.Counter': Counter,
    'builtins.set': set,
    '_codecs.encode': _bytes_of_text,
    'torch.Size': torch.Size,
    'torch.device': torch.device,
    **{f'torch.{name}': getattr(torch, name) for name in _DTYPES},
    **{f'torch.{name}Storage': torch.serialization.StorageType(f'{name}Storage') for name in _NUMBERS},
    'torch._utils._rebuild_tensor': torch._utils._rebuild_tensor,
    'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
    'torch._utils._rebuild_parameter': torch._utils._rebuild_parameter,
    # Stand-ins.
    'builtins.getattr': _history_method,
    'mmengine.logging.history_buffer.HistoryBuffer': LogBuffer,
    'builtins.bytes': _no_bytes,
    'numpy.dtype': ArrayType,
    'numpy.ndarray': Array,
    # Names of NumPy 1 and 2.
    **{f'numpy.{core}.multiarray._reconstruct': _empty_array for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _number for core in ('core', '_core')},
}
"""What a checkpoint may ask for by name, and what it gets."""
