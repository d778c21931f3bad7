"""Seconds and memory of a whole run."""

import resource
import sys
import time

import torch

from mrirecon.scan import Scan
from mrirecon.types import Sample


class TimedScan(Scan):
    """A scan that sums up how long it takes to read.

    Attributes:
        seconds: Seconds that reading took so far.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan, self.header, self.seconds = scan, scan.header, 0.0

    def _read(self, index: int) -> Sample:
        started = time.perf_counter()
        try:
            return self.scan[index]
        finally:
            self.seconds += time.perf_counter() - started


def peak_memory(device: torch.device) -> tuple[tuple[str, float], ...]:
    """Return the peak memory of this process, and of the GPU if it computes there, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = [("process", peak / (2**20 if sys.platform == "darwin" else 2**10))]
    if device.type == "cuda":
        found.append((str(device), torch.cuda.max_memory_allocated(device) / 2**20))
    return tuple(found)
