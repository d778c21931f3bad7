"""A small multi-coil scan with known coils: two ellipses, smooth phase, white noise."""

import torch

from mrirecon.fourier import fft
from mrirecon.types import Sample


def scene(shape=(48, 40), coils=4, noise=1e-3, lines=None, every=2, seed=0):
    """Return an undersampled Sample with its ACS told, the true maps and the object's mask."""
    h, w = shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    body = ((x / 0.7) ** 2 + (y / 0.8) ** 2 < 1).float()
    image = body + 0.5 * (((x - 0.2) / 0.3) ** 2 + ((y + 0.1) / 0.25) ** 2 < 1).float()
    angle = 2 * torch.pi * torch.arange(coils) / coils
    far = (x - 1.2 * angle.cos()[:, None, None]) ** 2 + (y - 1.2 * angle.sin()[:, None, None]) ** 2
    phase = angle[:, None, None] + 0.8 * x * angle.sin()[:, None, None] + 0.5 * y
    maps = torch.polar(torch.exp(-far / 2), phase)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    generator = torch.Generator().manual_seed(seed)
    kspace = fft(maps * torch.polar(image, 0.6 * x - 0.4 * y))
    kspace = kspace + noise * torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
    mask = torch.zeros(1, w, dtype=torch.bool)
    count = w if lines is None else lines
    start = (w - count + 1) // 2
    mask[:, w // 2 % every :: every] = True
    mask[:, start : start + count] = True
    sample = Sample(kspace=kspace * mask, mask=mask, acs=torch.tensor([h, count]))
    return sample, maps, body > 0


def batch(*samples):
    """Stack Samples of one shape."""
    names = samples[0].tensors()
    stacked = {name: torch.stack([getattr(s, name) for s in samples]) for name in names}
    return samples[0].replace(**stacked)


def angles(a, b, where):
    """Return the angle between two sets of unit maps at each pixel, blind to their phases."""
    overlap = (a.conj() * b).sum(-3).abs()
    return torch.acos(overlap.clamp(max=1))[where]
