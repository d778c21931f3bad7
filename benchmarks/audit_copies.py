"""What is done to images so that a copy does not look like one at once."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit

Change = Callable[[Tensor, np.random.Generator], Tensor]


def resized(image: Tensor, factor: float) -> Tensor:
    """Resample by bilinear interpolation."""
    shape = [max(32, round(n * factor)) for n in image.shape]
    return torch.nn.functional.interpolate(
        image[None, None], shape, mode="bilinear", antialias=True, align_corners=False
    )[0, 0]


def cropped(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Cut off up to 15 % on every side."""
    h, w = image.shape
    top, bottom, left, right = (float(part) for part in rng.uniform(0, 0.15, 4))
    return image[round(top * h) : h - round(bottom * h), round(left * w) : w - round(right * w)]


def interpolated(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Zero-filled interpolation."""
    factor = float(rng.uniform(1.2, 2))
    shape = [round(n * factor) for n in image.shape]
    return ifft(center_fit(fft(image + 0j), shape)).abs()


def noisy(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Further noise, up to 4 % of the maximum."""
    level = float(image.max()) * float(rng.uniform(0.01, 0.04))
    return (image + level * torch.tensor(rng.standard_normal(image.shape)).float()).abs()


def shaded(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Another scale, another contrast curve, and an intensity inhomogeneity."""
    y = torch.linspace(-1, 1, image.shape[0])[:, None]
    curve = (image / image.max()) ** float(rng.uniform(0.7, 1.4))
    return curve * (1 + float(rng.uniform(-0.4, 0.4)) * y) * 1000


COPIES: dict[str, Change] = {
    "scaled": lambda image, rng: image * float(rng.uniform(0.01, 100)),
    "mirrored": lambda image, rng: image.flip(int(rng.integers(2))),
    "turned by 90 degrees": lambda image, rng: image.rot90(int(rng.integers(1, 4))),
    "rolled": lambda image, rng: image.roll(tuple(rng.integers(-9, 9, 2).tolist()), (0, 1)),
    "cropped": cropped,
    "resampled": lambda image, rng: resized(image, float(rng.uniform(0.7, 1.6))),
    "interpolated": interpolated,
    "noise added": noisy,
    "shaded": shaded,
    "mirrored and cropped": lambda image, rng: cropped(image, rng).flip(-1),
    "turned, resampled, noise added": lambda image, rng: noisy(
        resized(image.rot90(1), float(rng.uniform(0.8, 1.4))), rng
    ),
}
"""What was done to a copy."""
