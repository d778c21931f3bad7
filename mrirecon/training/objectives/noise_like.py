"""The noise in measured k-space, and more of it."""

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.reconstructors.parts.estimated_noise import estimated_noise
from mrirecon.types import KSpace, Sample


def noise_level(sample: Sample) -> Float32[Tensor, " b"]:
    """Return the standard deviation of the noise in each real component, of every member.

    That is ``sample.noise`` where it is known, else, as for every other purpose,
    :func:`~mrirecon.reconstructors.parts.estimated_noise.estimated_noise`.
    """
    return estimated_noise(sample) if sample.noise is None else sample.noise


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
