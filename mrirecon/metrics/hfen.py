"""High-frequency error norm (Ravishankar and Bresler, IEEE Trans Med Imaging 30:1028, 2011)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from mrirecon.metrics.base import Metric, MetricInfo, Volume, Where
from mrirecon.metrics.windows import gaussian, weighted

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
    bell = gaussian(SIZE, SIGMA)
    curved = bell * (x**2 - SIGMA**2) / SIGMA**4
    flat = torch.ones_like(bell)
    mean = 2 * curved.sum() / SIZE**2  # of the sum of both curvatures
    half = SIZE // 2
    padded = pad(images, (half, half, half, half))
    total = torch.zeros_like(images)
    for down, across in ((curved, bell), (bell, curved), (-mean * flat, flat)):
        total += weighted(weighted(padded, down, -2), across, -1)
    return total
