"""What every estimator of coil sensitivities is, and where it finds its calibration data."""

from abc import ABC, abstractmethod

from torch import nn

from mrirecon.types import Maps, Sample


class SensitivityEstimator(nn.Module, ABC):
    """Estimates the coil sensitivities of a Sample; may have parameters to train."""

    @abstractmethod
    def forward(self, sample: Sample) -> Maps:
        """Return maps on the Sample's grid, with unit root-sum-of-squares where they are not 0."""
