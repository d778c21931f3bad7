"""Bounds on memory: absurd sizes are refused, large volumes are kept on disk."""

import os
import tempfile
from functools import lru_cache

import numpy as np

from mrirecon.container import memory_limit
from mrirecon.errors import RawDataError
from mrirecon.raw.kspace_grid import Grid

IN_MEMORY = 2**30
"""Larger volumes, in bytes, are kept in an unnamed temporary file."""


def refuse_too_large(grid: Grid, coils: int) -> None:
    """Refuse a grid of which one Sample alone takes most of the machine's memory.

    Raises:
        RawDataError: With the sizes.
    """
    h, w = grid.shape
    need = 8 * coils * (h * w if grid.partition else grid.full * w)
    limit = memory() // 2
    if need > limit:
        raise RawDataError(
            f"one slice of {coils} coils x {h} x {w} takes {need / 2**30:.1f} GB, more than half "
            f"of this machine's memory ({2 * limit / 2**30:.1f} GB); is the header's matrix right?"
        )


@lru_cache(maxsize=1)
def memory() -> int:
    """Return the memory of this machine in bytes, or of the container that this process is in."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(machine, memory_limit() or machine)


def scratch(shape: tuple[int, ...]) -> np.ndarray:
    """Return a zero complex64 array, in memory or, when it is large, in a temporary file.

    The file has no name and disappears with the array. ``TMPDIR`` chooses its folder.

    Raises:
        RawDataError: When there is no room for it.
    """
    size = 8 * int(np.prod(shape, dtype=np.int64))
    if size <= IN_MEMORY:
        return np.zeros(shape, np.complex64)
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.complex64, "r+", shape=shape)
    except OSError as error:
        raise RawDataError(
            f"a volume of {size / 2**30:.1f} GB does not fit into {tempfile.gettempdir()} "
            f"({error}); set TMPDIR to a folder with more room"
        ) from error
