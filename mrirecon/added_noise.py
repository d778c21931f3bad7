"""More noise in measured k-space."""

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.types import KSpace, Sample


def noise_amplitude(sample: Sample, level: Float32[Tensor, "*b"]) -> Float32[Tensor, "*b h w"]:
    """Return the standard deviation of the noise of each sample, zero where nothing was measured.

    Args:
        sample: One slice or a batch of slices; what was averaged less often has more noise.
        level: Standard deviation of each real component, at the best-averaged samples.
    """
    amplitude = sample.mask * level[..., None, None]
    if sample.weights is not None:
        amplitude = amplitude * sample.weights.clamp_min(1e-6).rsqrt()
    return amplitude


def noise_like(
    sample: Sample, level: Float32[Tensor, "*b"], generator: torch.Generator | None = None
) -> KSpace:
    """Draw white noise at the measured positions.

    Args:
        sample: One slice or a batch of slices.
        level: Standard deviation of each real component, at the best-averaged samples.
        generator: Source of random numbers on the CPU; None takes torch's own, of the device of
            the samples.
    """
    device = sample.kspace.device
    place = device if generator is None else torch.device("cpu")
    drawn = torch.randn(*sample.kspace.shape, 2, generator=generator, device=place).to(device)
    return torch.view_as_complex(drawn) * noise_amplitude(sample, level).unsqueeze(-3)
