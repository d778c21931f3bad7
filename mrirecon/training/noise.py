"""The noise in measured k-space, and more of it."""

import math

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.types import KSpace, Sample

EDGE = 0.45
"""Distance from the centre, as a share of the extent, from which k-space is taken for noise."""


def noise_level(sample: Sample) -> Float32[Tensor, " b"]:
    r"""Return the standard deviation of the noise in each real component, of every member.

    That is ``sample.noise`` where it is known. Else it is estimated from the measured samples at
    the edge of k-space, whose squared magnitudes have the median :math:`2\sigma^2\ln 2` if they are
    noise; anatomy there makes the estimate too large. It is zero where nothing was measured there.
    """
    if sample.noise is not None:
        return sample.noise
    squares = sample.kspace.detach().abs().square()
    measured = _edge(sample).unsqueeze(-3) & (squares > 0)  # zero padding is no measurement
    median = squares.masked_fill(~measured, math.nan).flatten(-3).nanmedian(-1).values
    return (median.nan_to_num(0.0) / (2 * math.log(2))).sqrt()


def noise_like(sample: Sample, level: Float32[Tensor, " b"]) -> KSpace:
    """Draw white noise at the measured positions; what was averaged less often gets more.

    Args:
        sample: A batch.
        level: Standard deviation of each real component, at the best-averaged samples.
    """
    std = sample.mask * level[..., None, None]
    if sample.weights is not None:
        std = std / sample.weights.clamp_min(1e-6).sqrt()
    drawn = torch.randn(*sample.kspace.shape, 2, device=sample.kspace.device)
    return torch.view_as_complex(drawn) * std.unsqueeze(-3)


def _edge(sample: Sample) -> Bool[Tensor, "b h w"]:
    far_y, far_x = (
        (torch.arange(n, device=sample.mask.device) - n // 2).abs() >= EDGE * n
        for n in sample.kspace.shape[-2:]
    )
    return sample.mask & (far_y[:, None] | far_x)
