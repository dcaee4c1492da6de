"""Cellpose's ``_seg.npy``, read without running code from the file.

Such a file is a pickle, and ``numpy.load(..., allow_pickle=True)`` runs whatever a pickle names. Here a pickle can name
only what stands in :meth:`_Unpickler.find_class`: functions of this module that build arrays and plain values.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sartorius.utils.errors import InputError
from sartorius.utils.input_files import read_bytes

_NUMBERS = frozenset('biufcSU')
"""Kinds of values whose bytes cannot do harm."""


def read_seg_npy(path: str | Path) -> NDArray[np.generic]:
    """The array ``masks`` of a Cellpose file: labels, 0 is background.

    Raises:
        InputError: The file is damaged, no ``_seg.npy`` of Cellpose, or names code that such files have no use for.
    """
    data = read_bytes(path)
    try:
        content = _read_object(data)
    except InputError as error:
        raise InputError(f'{path}: {error}') from None
    # A damaged pickle raises nearly anything.
    except Exception as error:
        raise InputError(f'{path}: damaged, or no _seg.npy of Cellpose ({error}); save it there again') from None
    masks = content.get('masks') if isinstance(content, dict) else None
    if isinstance(masks, _Array):
        masks = masks.value
    if not isinstance(masks, np.ndarray):
        raise InputError(f'{path}: holds no masks, so it is no _seg.npy of Cellpose; save the masks there first')
    return masks


def _read_object(data: bytes) -> Any:
    """The object that an npy file of a single Python object holds."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.kind != 'O' or shape != ():
        raise InputError(f'holds an array {dtype} {shape}, not what Cellpose saves; a label image is a TIFF or PNG')
    _check_memo(data[file.tell() :])
    loaded = _Unpickler(file, encoding='latin1').load()
    values = loaded.value if isinstance(loaded, _Array) else None
    return values[0] if isinstance(values, list) and len(values) == 1 else None


def _check_memo(pickled: bytes) -> None:
    """Refuses a pickle that remembers values under higher numbers than it has bytes: all below take memory."""
    for operation, number, _ in pickletools.genops(pickled):
        if operation.name in ('PUT', 'BINPUT', 'LONG_BINPUT') and number > len(pickled):
            raise InputError(f'damaged: it numbers a value {number:,} in {len(pickled):,} bytes; save it again')


class _Unpickler(pickle.Unpickler):
    """Knows arrays, numbers, texts, paths, and lists, tuples, sets and dicts of them."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in the file.

        Raises:
            InputError: Any other name.
        """
        if module in (
            'numpy',
            'numpy.core.multiarray',
            'numpy._core.multiarray',
            'numpy._core.numeric',
            'numpy.core.numeric',
        ):
            known = {
                'ndarray': _Array,
                'dtype': _Dtype,
                '_reconstruct': lambda *_: _Array(),
                'scalar': _scalar,
                '_frombuffer': _frombuffer,
            }
        elif module == '_codecs':
            known = {'encode': lambda text, _: text.encode('latin1')}
        elif module == 'pathlib' or module.startswith('pathlib.'):
            known = dict.fromkeys(('Path', 'PosixPath', 'WindowsPath'), lambda *parts: '/'.join(map(str, parts)))
        else:
            known = {}
        if name not in known:
            raise InputError(
                f'names {module}.{name}, which a file of labels has no use for and which could run code; it is not '
                'read: if it is your own, save its masks as a TIFF (in Cellpose: File > Save masks as PNG/tif)'
            )
        return known[name]


class _Dtype:
    """A type of numbers or, for lists of Python objects, none."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, '='

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ('<', '>') else '='

    @property
    def numbers(self) -> np.dtype[Any] | None:
        """The type; None for Python objects."""
        dtype = np.dtype(str(self.code)).newbyteorder(self.order)
        if dtype.kind in _NUMBERS:
            return dtype
        if dtype.kind != 'O':
            raise InputError(f'holds an array of {dtype}; save it in Cellpose again')
        return None


class _Array:
    """An array in the making; ``value`` is an ndarray, or a list for one of Python objects."""

    value: NDArray[np.generic] | list[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, data = state
        if dtype.numbers is None:
            self.value = list(data) if len(data) == math.prod(shape) else None
        else:
            self.value = _frombuffer(data, dtype, shape, 'F' if by_columns else 'C').value


def _frombuffer(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    if isinstance(data, str):
        data = data.encode('latin1')
    array = _Array()
    array.value = np.frombuffer(data, dtype.numbers).reshape(shape, order=order)
    return array


def _scalar(dtype: _Dtype, data: Any) -> Any:
    return _frombuffer(data, dtype, (), 'C').value.item()
