"""Compilation of kernels by numba, which keeps the result on the disk.

Only modules of kernels import this one: numba takes longer to start than a command's ``--help`` may.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sartorius.utils.start import find_caches

# In this order: numba looks for a folder when a function is declared.
find_caches()

from numba import njit  # noqa: E402

Kernel = TypeVar('Kernel', bound=Callable[..., Any])


def _kept(**options: Any) -> Callable[[Kernel], Kernel]:
    """``njit(cache=True)`` for which the files on the disk are a help and never a hindrance.

    A damaged one (a power cut, a full disk) makes numba fail in every process from then on, with any error; here the
    kernel is compiled anew instead. One that cannot be written is not.
    """

    def decorate(function: Kernel) -> Kernel:
        kernel = njit(cache=True, **options)(function)
        if (cache := getattr(kernel, '_cache', None)) is not None:
            load, save = cache.load_overload, cache.save_overload

            def load_if_whole(signature: Any, context: Any) -> Any:
                try:
                    return load(signature, context)
                except Exception:
                    with suppress(Exception):
                        cache.flush()
                    return None

            def save_if_possible(signature: Any, data: Any) -> None:
                with suppress(OSError):
                    save(signature, data)

            cache.load_overload, cache.save_overload = load_if_whole, save_if_possible
        return kernel

    return decorate


compiled = _kept()
"""Decorator of a kernel."""

compiled_unlocked = _kept(error_model='numpy', nogil=True)
"""The same for loops over floats that threads share: others run meanwhile, and a division by zero gives inf or NaN."""

compiled_fused = _kept(error_model='numpy', nogil=True, fastmath={'contract'})
"""The same for sums whose multiplications and additions may be done as one, rounded once."""

compiled_finite = _kept(error_model='numpy', nogil=True, fastmath={'nnan', 'nsz'})
"""The same for loops in which no number is NaN, so that maxima become vector instructions; nothing is rounded anew."""
