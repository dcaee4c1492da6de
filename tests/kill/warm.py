"""Last of the modules that the warm process imports: what else a tool would do before it starts to work."""

import gc

import numba


@numba.njit
def _compiled(value: int) -> int:
    return value + 1


# Numba reads its own library on the first call of anything.
_compiled(1)
# A collection in a fork would touch, and so copy, everything that was imported.
gc.collect()
gc.freeze()
