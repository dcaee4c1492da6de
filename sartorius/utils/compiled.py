"""Compilation of kernels by numba, which keeps the result on the disk.

Only modules of kernels import this one: numba takes longer to start than a command's ``--help`` may.
"""

from sartorius.utils.start import find_caches

# In this order: numba looks for a folder when a function is declared.
find_caches()

from numba import njit  # noqa: E402

compiled = njit(cache=True)
"""Decorator of a kernel."""

compiled_unlocked = njit(cache=True, error_model='numpy', nogil=True)
"""The same for loops over floats that threads share: others run meanwhile, and a division by zero gives inf or NaN."""

compiled_fused = njit(cache=True, error_model='numpy', nogil=True, fastmath={'contract'})
"""The same for sums whose multiplications and additions may be done as one, rounded once."""
