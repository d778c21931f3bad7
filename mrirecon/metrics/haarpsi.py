"""Haar wavelet-based perceptual similarity.

Reisenhofer et al., Signal Processing: Image Communication 61:33, 2018.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from mrirecon.metrics.base import MetricInfo, SliceMetric, Slices
from mrirecon.metrics.windows import halved, run_sum

ALPHA = 4.2
C = 30 / 255**2  # for a data range of 1; the paper's is 30 for 255
SCALES = 3


@dataclass(frozen=True)
class HaarPsi(SliceMetric):
    """Haar perceptual similarity index, the mean over slices; 1 is perfect.

    Images get half as large first. Two fine scales of Haar wavelets are compared and weighted by
    the third. The maximum of the reference volume takes the place of 255.
    """

    info: ClassVar[MetricInfo] = MetricInfo("haarpsi", "HaarPSI", "", 4, True, "1 is perfect")

    def _slices(
        self,
        image: Slices,
        reference: Slices,
        peak: Float[Tensor, ""],
        where: Float[Tensor, "c y x"] | None,
    ) -> tuple[Float[Tensor, " c"], Bool[Tensor, " c"]]:
        x, r = halved(image / peak), halved(reference / peak)
        similar = x.new_zeros(len(x), 2, *x.shape[1:])
        for scale in range(1, SCALES):
            a, b = _coefficients(x, scale), _coefficients(r, scale)
            similar += (2 * a * b + C) / (a**2 + b**2 + C) / (SCALES - 1)
        weights = torch.maximum(_coefficients(x, SCALES), _coefficients(r, SCALES))
        counted = x.new_ones(len(x), dtype=torch.bool)
        if where is not None:
            inner = halved(where)[:, None]
            weights, counted = weights * inner, inner.sum((-3, -2, -1)) > 0
        total = weights.sum((-3, -2, -1))
        mean = ((ALPHA * similar).sigmoid() * weights).sum((-3, -2, -1)) / total.clamp_min(1e-300)
        value = (mean.logit() / ALPHA) ** 2
        flat = total == 0  # neither image has structure, so they are alike
        return torch.where(flat, 1.0, value), counted


def _coefficients(images: Slices, scale: int) -> Float[Tensor, "b orientation y x"]:
    """Return the magnitudes of the horizontal and vertical Haar wavelet coefficients."""
    size = 2**scale
    half = size // 2
    padded = pad(images, (half - 1, half, half - 1, half))  # as MATLAB's conv2(..., 'same')
    found = []
    for across, along in ((-2, -1), (-1, -2)):
        sums = run_sum(run_sum(padded, size, along), half, across)
        length = images.shape[across]
        found.append(sums.narrow(across, half, length) - sums.narrow(across, 0, length))
    return torch.stack(found, 1).abs() / size
