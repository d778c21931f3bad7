"""How large an error is to be expected at each voxel, up to one factor for all voxels."""

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mrirecon.errors import ConfigError
from mrirecon.image import averaged_inside
from mrirecon.reconstruction import Series

Scale = Literal["samples", "local", "constant"]
SCALES: tuple[Scale, ...] = get_args(Scale)
PERCENTILE = 99.0
UNIT = 0.01
"""A part of the brightness: the constant scale, and the least of the others, as no voxel is
certain."""
LEAST_LOCAL = 0.1
"""Least scale where the image varies little; errors are hardly smaller there."""
WINDOW = 7
"""Pixels along both axes over which variances are averaged: few images tell each one badly."""


def brightness(volume: Series) -> float:
    """Return the 99th percentile of the magnitudes, which stands for the brightness of a scan."""
    found = float(np.percentile(volume.numpy(), PERCENTILE))
    return found if found > 0 else 1.0


def voxel_scale(volume: Series, kind: Scale, deviation: Series | None = None) -> Series:
    """Return the scale of every voxel, in the units of the image.

    Args:
        volume: Magnitude images of every frame.
        kind: ``samples`` takes the standard deviation of several images, their variance averaged
            over 7 x 7 pixels; ``local`` how much the image itself varies there, that is at edges
            and in texture; ``constant`` the same part of the brightness everywhere.
        deviation: Standard deviation of several images, for ``samples``.

    Raises:
        ConfigError: When there are no several images.
    """
    bright = brightness(volume)
    constant = torch.full_like(volume, UNIT * bright)
    if kind == "constant":
        return constant
    if kind == "samples":
        if deviation is None:
            raise ConfigError("scale=samples needs samples=NUMBER, the number of images")
        variance = averaged_inside((deviation / bright).square(), WINDOW)
        return torch.hypot(variance.sqrt() * bright, constant)
    least = torch.full_like(volume, LEAST_LOCAL * bright)
    return torch.hypot(_local_deviation(volume / bright) * bright, least)


def _local_deviation(volume: Series) -> Tensor:
    pixels = volume.flatten(0, 1).unsqueeze(1).double()
    mean, square = (
        avg_pool2d(values, WINDOW, 1, WINDOW // 2, count_include_pad=False)
        for values in (pixels, pixels.square())
    )
    found = (square - mean.square()).clamp_min(0).sqrt()
    return found.to(volume.dtype).squeeze(1).reshape(volume.shape)
