"""High-frequency error norm (Ravishankar and Bresler, IEEE Trans Med Imaging 30:1028, 2011)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where

SIZE, SIGMA = 15, 1.5  # pixels, of the paper


@dataclass(frozen=True)
class Hfen(Metric):
    r"""Norm of the edges of the error, :math:`\|L(x-r)\|/\|Lr\|` of the volume; 0 is perfect.

    :math:`L` is the Laplacian of a Gaussian of 15 x 15 pixels with a standard deviation of 1.5,
    slice by slice, with zeros outside of the image. Ravishankar and Bresler do not divide by the
    norm of the reference's edges; so the value has no unit.
    """

    info: ClassVar[MetricInfo] = MetricInfo("hfen", "HFEN", "", 4, False, "0 is perfect")

    def _value(self, image: Volume, reference: Volume, where: Where | None) -> Float[Tensor, ""]:
        error, edges = (_edges(v).square() for v in (image - reference, reference))
        if where is not None:
            error, edges = error[where], edges[where]
        return (error.sum() / edges.sum()).sqrt()


def _edges(images: Volume) -> Volume:
    """Filter with the Laplacian of a Gaussian as MATLAB's ``fspecial('log')`` makes it."""
    x = torch.arange(SIZE, dtype=images.dtype) - SIZE // 2
    square = x[:, None] ** 2 + x**2
    bell = (-square / (2 * SIGMA**2)).exp()
    kernel = bell * (square - 2 * SIGMA**2) / SIGMA**4 / bell.sum()
    kernel -= kernel.mean()
    return conv2d(images[:, None], kernel[None, None], padding=SIZE // 2)[:, 0]
