"""Keep small computations on one core."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_thread() -> Iterator[None]:
    """Let torch use one thread in this block; also a decorator, as ``@single_thread()``.

    A simulated slice is too small to gain from threads, and where other programs use the cores,
    threads that wait for one another make it slower many times over. Sums are also independent of
    the machine's number of cores. numpy's matrix products, which torch cannot limit, are avoided.
    """
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
