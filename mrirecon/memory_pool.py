"""Memory for large arrays on the CPU, used again and again.

Reading and masking a slice of 28 MB costs less than having the system hand out and clear 28 MB of
fresh pages for the result, which is what large arrays of NumPy and torch often get. Buffers of
:func:`empty` return here when nothing refers to them any more.
"""

import weakref
from collections.abc import Sequence
from math import prod

import numpy as np

SMALL, KEPT = 2**20, 2**28
"""Bytes below which buffers are not worth keeping, and bytes kept in unused ones per process."""


class _Pool:
    """Unused buffers, the one used last at the end.

    Buffers come back whenever and in whichever thread the last reference to them goes: every step
    is safe against another one in between.
    """

    def __init__(self) -> None:
        self._free: dict[int, np.ndarray] = {}  # by identity

    def take(self, size: int) -> np.ndarray:
        for key, buffer in reversed(list(self._free.items())):
            if buffer.size == size and self._free.pop(key, None) is not None:
                return buffer
        return np.empty(size, np.uint8)

    def give(self, buffer: np.ndarray) -> None:
        self._free[id(buffer)] = buffer
        surplus = -KEPT
        for key, item in reversed(list(self._free.items())):
            surplus += item.size
            if surplus > 0:
                self._free.pop(key, None)


_POOL = _Pool()


def empty(shape: Sequence[int], dtype: np.typing.DTypeLike) -> np.ndarray:
    """Return an uninitialised array, in memory that was used before where possible."""
    size = prod(shape) * np.dtype(dtype).itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    buffer = _POOL.take(size)
    # everything that shares this memory refers to `flat`, not to the buffer below it
    flat = np.frombuffer(buffer.data, dtype)
    weakref.finalize(flat, _POOL.give, buffer).atexit = False
    return flat.reshape(shape)
