"""What the C library holds of the machine's memory beyond what is in use.

glibc maps blocks of 32 MiB and more one by one and gives them back at once; smaller ones come to
lie in a heap, where holes stay between them. Measured with blocks from 5 to 30 MB in processes of
0.2 to 4 GB (``benchmarks/memory.py``): the blocks of networks differ more in size than those of
other methods, and leave more holes.
"""

from collections.abc import Iterable

MAPPED = 2**25
"""Bytes from which on a block does not lie in the heap."""
LIBRARIES, NETWORKS = 2**24, 40 * 2**20
"""Tables and code of the libraries that are loaded with the first computation."""
HOLES, NETWORK_HOLES, SHARE = 2, 4, 0.05
"""Holes as large as the largest block in the heap, and those of networks besides, relative to what
is used."""


def beside(used: int, blocks: Iterable[float], learned: bool) -> int:
    """Return the bytes that are held beside those in use.

    Args:
        used: Number of bytes in use at the peak.
        blocks: Sizes of the blocks.
        learned: Whether there is a network.
    """
    largest = max((block for block in blocks if block < MAPPED), default=0.0)
    if not learned:
        return int(LIBRARIES + HOLES * largest)
    return int(NETWORKS + NETWORK_HOLES * largest + SHARE * used)
