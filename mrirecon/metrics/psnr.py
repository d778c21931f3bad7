"""Peak signal-to-noise ratio of a volume, as fastMRI's ``evaluate.py`` (arXiv:1811.08839)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.metrics.base import Metric, MetricInfo, Peak, Volume, Where, data_range


@dataclass(frozen=True)
class Psnr(Metric):
    """Peak signal-to-noise ratio of the volume in dB; infinite for equal volumes.

    Args:
        peak: Data range: ``reference`` for the maximum of the reference volume, ``both`` for the
            range that both volumes span together.
    """

    peak: Peak = "reference"
    info: ClassVar[MetricInfo] = MetricInfo("psnr", "PSNR", "dB", 2, True, "dB")

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        error = (image - reference).square()
        mse = error.mean() if where is None else error[where].mean()
        peak = data_range(image, reference, self.peak)
        return 20 * torch.log10(peak) - 10 * torch.log10(mse)
