"""Mean and standard deviation of volumes that come one after the other."""

import torch
from torch import Tensor


class Moments:
    """Running mean and variance (Welford, Technometrics 4:419, 1962).

    Three volumes are held, however many come. The variance of complex ones is that of both
    components together.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._squares = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take the next volume, of the same shape as the others."""
        self.count += 1
        difference = values - self._mean
        self._mean = self._mean + difference / self.count
        self._squares = self._squares + (difference * (values - self._mean).conj()).real

    @property
    def mean(self) -> Tensor:
        """Mean of the volumes."""
        return self._mean

    @property
    def deviation(self) -> Tensor:
        """Standard deviation, of which the square has no bias.

        Raises:
            ValueError: When there are fewer than two volumes.
        """
        if self.count < 2:
            raise ValueError(f"a standard deviation needs at least 2 volumes, got {self.count}")
        return (self._squares / (self.count - 1)).clamp_min(0).sqrt()
