"""The fully sampled centre of k-space, found in a mask.

A centred block of ``n`` out of ``size`` lines always means ``[(size - n + 1) // 2, … + n)``, the
rule of the published fastMRI masks, so that 29 of 368 lines stay 29.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool

Shape = tuple[int, int]
SMALLEST_KERNEL = 2
REGION = 2 * SMALLEST_KERNEL - 1
"""The smallest kernel that sensitivities are estimated with, and the central lines and rows that it
takes."""
LEAST = 4
"""Fewer lines than these on one side of the centre tell too little about the image's phase."""


def center_slice(size: int, count: int) -> slice:
    """Return where a centred block of ``count`` out of ``size`` lines lies."""
    start = (size - count + 1) // 2
    return slice(start, start + count)


def centered_slice(size: int, count: int) -> slice:
    """Return where the largest block lies that :func:`center_slice` holds and ``n // 2`` centres.

    A block that is cut out and becomes a k-space of its own must have its centre at its own
    ``n // 2``, or its images get a phase ramp of one turn across the field of view. The only one
    that has not is that of an even number of an odd number of lines; its last line has no
    counterpart and is left out.
    """
    if count > 1 and size % 2 == 1 and count % 2 == 0:
        count -= 1
    return center_slice(size, count)


def central_block(mask: Bool[np.ndarray, "#h w"], shape: Shape | None = None) -> Shape:
    """Return the size ``(h, w)`` of the largest fully sampled centred block.

    Among blocks that cannot be compared, the one with the longest shorter side is the largest: that
    is what calibration kernels need. ``(0, 0)`` when the very centre was not sampled.

    Args:
        mask: True where k-space was sampled; a single row holds for every row.
        shape: Size of k-space, needed when ``mask`` has a single row.
    """
    rows, columns = shape or (mask.shape[0], mask.shape[1])
    if mask.shape[0] == 1:
        width = int(_widths(mask, columns)[0])
        return (rows, width) if width else (0, 0)
    # centred blocks nest: a block of n rows is as wide as its narrowest row
    widths = _widths(mask, columns)
    best, best_rank = (0, 0), (0, 0)
    for count in range(1, rows + 1):
        width = int(widths[center_slice(rows, count)].min())
        rank = (min(count, width), count * width)
        if rank > best_rank:
            best, best_rank = (count, width), rank
    return best


def _widths(sampled: np.ndarray, columns: int) -> np.ndarray:
    """Return, for each row, how many columns its largest sampled centred block has."""
    return np.logical_and.accumulate(sampled[:, _order(columns)], axis=1).sum(axis=1)


@lru_cache(maxsize=64)
def _order(size: int) -> np.ndarray:
    """Return the lines in the order in which centred blocks grow."""
    return np.array([_added(size, count) for count in range(1, size + 1)], int)


def _added(size: int, count: int) -> int:
    """Return the line that a centred block of ``count`` has and one of ``count - 1`` has not."""
    block, smaller = center_slice(size, count), center_slice(size, count - 1)
    return block.start if block.start < smaller.start else block.stop - 1
