"""Gradient magnitude similarity deviation (Xue et al., IEEE Trans Image Process 23:684, 2014)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import conv2d

from mrirecon.metrics.base import MetricInfo, SliceMetric, Slices
from mrirecon.metrics.windows import halved

C = 170 / 255**2  # for a data range of 1; the paper's is 170 for 255


@dataclass(frozen=True)
class Gmsd(SliceMetric):
    """Standard deviation of the similarity of Prewitt gradients, the mean over slices.

    0 is perfect. Images get half as large first. The maximum of the reference volume takes the
    place of 255.
    """

    info: ClassVar[MetricInfo] = MetricInfo("gmsd", "GMSD", "", 4, False, "0 is perfect")

    def _slices(
        self,
        image: Slices,
        reference: Slices,
        peak: Float[Tensor, ""],
        where: Float[Tensor, "c y x"] | None,
    ) -> tuple[Float[Tensor, " c"], Bool[Tensor, " c"]]:
        a, b = (_gradient(halved(v / peak)) for v in (image, reference))
        similar = (2 * a * b + C) / (a**2 + b**2 + C)
        weight = torch.ones_like(similar) if where is None else halved(where)
        total = weight.sum((-2, -1))
        mean = (similar * weight).sum((-2, -1)) / total.clamp_min(1e-30)
        spread = ((similar - mean[:, None, None]).square() * weight).sum((-2, -1))
        return (spread / (total - 1).clamp_min(1e-30)).sqrt(), total > 1

    def _smallest(self) -> int:
        return 3


def _gradient(images: Slices) -> Float[Tensor, "b y x"]:
    prewitt = images.new_tensor([1.0, 0.0, -1.0]).expand(3, 3) / 3
    both = conv2d(images[:, None], torch.stack([prewitt, prewitt.T])[:, None], padding=1)
    return both.square().sum(1).sqrt()
