"""Multi-scale structural similarity (Wang, Simoncelli and Bovik, Asilomar 2003)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mrirecon.errors import ShapeError
from mrirecon.metrics.base import MetricInfo, SliceMetric, Slices, mean_of_maps
from mrirecon.metrics.ssim import WIDE, similarity_maps, smoothed_in_slices
from mrirecon.metrics.windows import inside

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, fine to coarse, that Wang et al. found with observers."""


@dataclass(frozen=True)
class MsSsim(SliceMetric):
    """Multi-scale structural similarity, the mean over slices; 1 is perfect.

    Gaussian windows of 11 x 11; the data range is the maximum of the reference volume. Negative
    means of contrast and structure count as 0. Images get half as large from scale to scale by
    means of 2 x 2.

    Args:
        scales: Number of scales. Five need 161 pixels along each side; the weights of fewer are
            the first ones of Wang et al. with the same sum.
    """

    scales: int = 5
    info: ClassVar[MetricInfo] = MetricInfo("ms_ssim", "MS-SSIM", "", 4, True, "1 is perfect")

    def __post_init__(self) -> None:
        if not 1 <= self.scales <= len(WEIGHTS):
            raise ValueError(f"scales: expected 1 to {len(WEIGHTS)}, got {self.scales}")

    def _slices(
        self,
        image: Slices,
        reference: Slices,
        peak: Float[Tensor, ""],
        where: Float[Tensor, "c y x"] | None,
    ) -> tuple[Float[Tensor, " c"], Bool[Tensor, " c"]]:
        first = WEIGHTS[: self.scales]
        weights = [weight * sum(WEIGHTS) / sum(first) for weight in first]
        product = image.new_ones(len(image))
        counted = image.new_ones(len(image), dtype=torch.bool)
        for scale, weight in enumerate(weights, 1):
            luminance, structure = similarity_maps(image, reference, peak, smoothed_in_slices)
            maps = luminance * structure if scale == self.scales else structure
            mean, counts = mean_of_maps(maps, inside(where, WIDE))
            product, counted = product * mean.clamp_min(0) ** weight, counted & counts
            image, reference = _half(image), _half(reference)
            where = None if where is None else _half(where)
        return product, counted

    def _smallest(self) -> int:
        return (WIDE - 1) * 2 ** (self.scales - 1) + 1

    def _refuse_small(self, shape: tuple[int, ...]) -> None:
        try:
            super()._refuse_small(shape)
        except ShapeError as error:
            raise ShapeError(f"{error}; fewer scales need less") from error


def _half(images: Slices) -> Float[Tensor, "b v u"]:
    return avg_pool2d(images[:, None], 2, ceil_mode=True)[:, 0]
