"""Sizes of centres and measured intervals of a batch, as tensors."""

import torch
from jaxtyping import Bool
from torch import Tensor

from mrirecon.sampling.calibration import Shape
from mrirecon.types import Extent


def limited(extent: Extent, largest: Shape) -> Extent:
    """Return the sizes ``(h, w)`` of centres of which no more than ``largest`` is taken."""
    sizes = zip(extent.unbind(-1), largest, strict=True)
    return torch.stack([size.clamp(max=most) for size, most in sizes], -1)


def measured_interval(line: Bool[Tensor, "*b n"]) -> Bool[Tensor, "*b n"]:
    """Mark everything from the first to the last sampled position of an axis."""
    started = line.cumsum(-1) > 0
    return started & (line.flip(-1).cumsum(-1) > 0).flip(-1)
