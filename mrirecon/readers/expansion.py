"""Limits on what compressed data may become in memory: a small file can hold terabytes of zeros.

Sizes are told by a file before anything is expanded; nothing is expanded beyond what was told.
"""

from mrirecon.errors import RawDataError
from mrirecon.raw.memory import memory

SHARE = 2
"""An array may take one part in so many of the machine's memory."""
LARGE, RATIO = 2**30, 100
"""Bytes from which an array may be at most so many times as large as what is stored of it: noise
cannot be compressed, and 99 lines in 100 that were not measured are no scan."""


def refuse_expansion(name: str, stored: int, expanded: int) -> None:
    """Refuse to read what would take too much memory.

    Args:
        name: Name of the data, for messages.
        stored: Bytes in the file.
        expanded: Bytes in memory.

    Raises:
        RawDataError: With sizes, limit and what to do.
    """
    limit = memory() // SHARE
    if expanded > limit:
        raise RawDataError(
            f"{name} takes {_size(expanded)} in memory, of {_size(stored)} in the file; the limit "
            f"is half of this machine's memory, {_size(limit)}. Is it what it should be? If so, "
            "use a machine with more memory, or save it uncompressed, one array per file (.npy, "
            "HDF5), which is read slice by slice"
        )
    if expanded > max(LARGE, RATIO * stored):
        raise RawDataError(
            f"{name} takes {_size(expanded)} in memory, of {_size(stored)} in the file; the limit "
            f"for more than {_size(LARGE)} is {RATIO} times what is stored, as measured data "
            "cannot be compressed so much. If it is what it should be, save it uncompressed (.npy, "
            "HDF5), which is read slice by slice"
        )


def _size(count: int) -> str:
    for unit, size in (("GB", 2**30), ("MB", 2**20), ("kB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
