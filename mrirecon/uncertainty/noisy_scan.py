"""A scan as another measurement of the same object would have found it."""

import numpy as np
import torch

from mrirecon.added_noise import noise_like
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.scan import Scan
from mrirecon.types import Sample


class NoisyScan(Scan):
    """Adds white noise of the level of the measurement to each slice of a scan.

    The level is that of the scan where it is known (whitened data), else it is estimated from
    k-space, slice by slice. A slice gets the same noise whenever it is read, alone or as a
    neighbour of another one, and other noise than every other slice. A separate reference scan
    stays as it is.

    Args:
        scan: Scan to add noise to.
        seed: Seed of the noise.
        number: Number of the measurement; each has other noise.
    """

    def __init__(self, scan: Scan, seed: int, number: int) -> None:
        self.scan, self.header, self.redrawn = scan, scan.header, scan.redrawn
        self.seed, self.number = seed, number

    def _read(self, index: int) -> Sample:
        sample = self.scan[index]
        mixed = np.random.SeedSequence((self.seed, self.number, index)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mixed[0] >> 1))
        added = noise_like(sample, noise_std(sample), generator)
        return sample.replace(kspace=sample.kspace + added)


def noise_is_known(sample: Sample) -> bool:
    """Tell whether the level of the noise was measured, rather than estimated."""
    return sample.noise is not None
