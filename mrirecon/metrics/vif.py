"""Visual information fidelity in the pixel domain.

Sheikh and Bovik, IEEE Trans Image Process 15:430, 2006.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrirecon.metrics.base import MetricInfo, SliceMetric, Slices
from mrirecon.metrics.windows import gaussian, inside, smoothed

EPS = 1e-10
SIZES = (17, 9, 5, 3)


@dataclass(frozen=True)
class Vif(SliceMetric):
    """Visual information fidelity VIFp of four scales, the mean over slices; 1 is perfect.

    It is above 1 where an image has more contrast than its reference. Slices without any contrast
    have no value and are left out.

    Args:
        noise: Variance of the visual noise in squared grey values: 2, or 0.4 as in the
            Calgary-Campinas challenge.
        top: Grey value that the maximum of the reference volume gets: 255, for which the noise was
            chosen.
    """

    noise: float = 2.0
    top: float = 255.0
    info: ClassVar[MetricInfo] = MetricInfo("vif", "VIF", "", 4, True, "1 is perfect")

    def _slices(
        self,
        image: Slices,
        reference: Slices,
        peak: Float[Tensor, ""],
        where: Float[Tensor, "c y x"] | None,
    ) -> tuple[Float[Tensor, " c"], Bool[Tensor, " c"]]:
        x, r = image * (self.top / peak), reference * (self.top / peak)
        kept = known = x.new_zeros(len(x))
        for number, size in enumerate(SIZES):
            window = gaussian(size, size / 5)
            if number:
                x, r = (smoothed(v, window)[:, ::2, ::2] for v in (x, r))
                where = None if where is None else _cut(where, size)[:, ::2, ::2]
            through, before = self._information(x, r, window)
            weight = 1.0 if where is None else _cut(where, size)
            kept = kept + (through * weight).sum((-2, -1))
            known = known + (before * weight).sum((-2, -1))
        return kept / known.clamp_min(1e-300), known > 0

    def _information(
        self, image: Slices, reference: Slices, window: Float[Tensor, " k"]
    ) -> tuple[Float[Tensor, "b v u"], Float[Tensor, "b v u"]]:
        """Return the information on the reference that comes through, and what it had."""
        mean_x, mean_r = smoothed(image, window), smoothed(reference, window)
        var_x = (smoothed(image**2, window) - mean_x**2).clamp_min(0)
        var_r = (smoothed(reference**2, window) - mean_r**2).clamp_min(0)
        gain = (smoothed(image * reference, window) - mean_x * mean_r) / (var_r + EPS)
        covariance = gain * (var_r + EPS)
        rest = var_x - gain * covariance
        flat_r, flat_x = var_r < EPS, var_x < EPS
        gain, rest = gain.masked_fill(flat_r, 0), torch.where(flat_r, var_x, rest)
        var_r = var_r.masked_fill(flat_r, 0)
        gain, rest = gain.masked_fill(flat_x, 0), rest.masked_fill(flat_x, 0)
        rest, gain = torch.where(gain < 0, var_x, rest), gain.clamp_min(0)
        rest = rest.clamp_min(EPS)
        return (
            torch.log10(1 + gain**2 * var_r / (rest + self.noise)),
            torch.log10(1 + var_r / self.noise),
        )

    def _smallest(self) -> int:
        return 41  # of which the coarsest scale keeps one window


def _cut(where: Slices, size: int) -> Float[Tensor, "b v u"]:
    inner = inside(where, size)
    assert inner is not None
    return inner
