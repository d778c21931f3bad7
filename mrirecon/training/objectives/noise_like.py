"""More noise in measured k-space."""

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.types import KSpace, Sample


def noise_like(sample: Sample, level: Float32[Tensor, " b"]) -> KSpace:
    """Draw white noise at the measured positions; what was averaged less often gets more.

    Args:
        sample: A batch of slices.
        level: Standard deviation of each real component, at the best-averaged samples.
    """
    std = sample.mask * level[..., None, None]
    if sample.weights is not None:
        std = std / sample.weights.clamp_min(1e-6).sqrt()
    drawn = torch.randn(*sample.kspace.shape, 2, device=sample.kspace.device)
    return torch.view_as_complex(drawn) * std.unsqueeze(-3)
