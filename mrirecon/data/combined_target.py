"""References that are combined with the maps of the fully sampled scan."""

from dataclasses import dataclass

import torch

from mrirecon.data.gaps import has_gaps
from mrirecon.errors import ConfigError
from mrirecon.operators import adjoint_image
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Sample


@dataclass(frozen=True)
class CombinedTarget:
    r"""Set ``target`` to :math:`|\sum_c \bar S_c\,F^Hy_c|` of all that the scanner acquired.

    Place it before :class:`~mrirecon.data.Undersample`. Unlike the root-sum-of-squares, it is not
    lifted by the noise of every coil, and it is dark where the maps are zero. It holds the noise of
    the full scan: a network that is trained towards it learns to keep what was measured.

    Attributes:
        sensitivity: Estimator of the maps.

    Raises:
        ConfigError: When the scan is undersampled already.
    """

    sensitivity: SensitivityEstimator

    @torch.no_grad()
    def __call__(self, sample: Sample) -> Sample:
        if has_gaps(sample).any():
            raise ConfigError(
                f"{sample.key} is undersampled, so it cannot serve as its own reference; "
                "take fully sampled scans"
            )
        return sample.replace(target=adjoint_image(sample, self.sensitivity(sample)).abs())
