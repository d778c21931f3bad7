"""What a network has learned from, in numbers that tell whether a scan is like it."""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.image import root_sum_of_squares, squared_magnitude
from mrirecon.operators import coil_images, coil_samples, data_weights
from mrirecon.reconstructors.parts.automatic_weight import density, sample_noise_std
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.types import Image, Maps, Sample

Values = Float32[Tensor, "b"]


@dataclass(frozen=True)
class InputStatistics:
    """Numbers of each member of a batch; contrast and residual are NaN where there is no signal.

    Attributes:
        noise: Standard deviation of the noise of a fully sampled image, relative to the brightness
            of the object.
        sampled: Part of k-space that was measured.
        contrast: Brightest thousandth of the zero-filled image relative to its object's mean.
        residual: Root-mean-square difference of the image from the measured samples, relative to
            their noise or a thousandth of their own size, whatever is larger; samples of less
            weight count less.
    """

    noise: Values
    sampled: Values
    contrast: Values
    residual: Values

    @classmethod
    @torch.no_grad()
    def of(cls, sample: Sample, maps: Maps, image: Image) -> "InputStatistics":
        """Compute them of a batch and the coil-combined image that was made of it."""
        std = sample_noise_std(sample)
        pixels = root_sum_of_squares(coil_images(sample)).flatten(-2)
        rank = round(0.999 * (pixels.shape[-1] - 1))
        bright = pixels.kthvalue(rank + 1, -1).values  # quantile() refuses large images
        object_ = pixels > 0.1 * bright[..., None]
        mean = (pixels * object_).sum(-1) / object_.sum(-1).clamp_min(1)
        weights = data_weights(sample)
        every = weights.expand(*image.shape[:-2], *sample.kspace.shape[-2:])
        count = 2 * sample.kspace.shape[-3] * every.sum((-2, -1))
        predicted = coil_samples(sample, maps * image.unsqueeze(-3))
        rms, size = (
            ((squared_magnitude(x, (-3,)) * weights).sum((-2, -1)) / count).sqrt()
            for x in (predicted - sample.kspace, sample.kspace)
        )
        return cls(
            noise=(std / data_scale(sample)).reshape(-1),
            sampled=density(sample).reshape(-1),
            contrast=(bright / mean).reshape(-1),
            residual=(rms / torch.maximum(std.reshape(rms.shape), 1e-3 * size)).reshape(-1),
        )


WORDS = {
    "noise": "noise relative to the brightness of the object",
    "sampled": "part of k-space that was measured",
    "contrast": "brightest pixels relative to the mean of the object",
    "residual": "difference of the image from the measured samples relative to their noise",
}


@dataclass(frozen=True)
class Domain:
    """Ranges of :class:`InputStatistics` over what a network has learned from.

    Attributes:
        noise: Least and largest value.
        sampled: Least and largest value.
        contrast: Least and largest value.
        residual: Least and largest value.
    """

    noise: tuple[float, float]
    sampled: tuple[float, float]
    contrast: tuple[float, float]
    residual: tuple[float, float]

    @classmethod
    def around(cls, seen: InputStatistics, share: float = 0.005, margin: float = 1.25) -> "Domain":
        """Return the ranges that nearly all members of a batch lie in, a little widened."""
        ends = torch.tensor([share, 1 - share])
        found = {}
        for field in fields(cls):
            low, high = getattr(seen, field.name).quantile(ends).tolist()
            found[field.name] = (low / margin, high * margin)
        return cls(**found)

    @classmethod
    def of(cls, told: object) -> "Domain":
        """Return the domain of plain data.

        Raises:
            ConfigError: When it is none.
        """
        names = [field.name for field in fields(cls)]
        given = told if isinstance(told, dict) else {}
        if given.keys() != set(names) or not all(map(_is_range, given.values())):
            raise ConfigError(
                f"what the weights have learned from: expected a least and a largest number of "
                f"each of {', '.join(names)}, got {str(told)[:200]}"
            )
        return cls(**{name: (float(low), float(high)) for name, (low, high) in given.items()})

    def joined(self, other: "Domain") -> "Domain":
        """Return the ranges that hold both of each."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return Domain(**{n: (min(a[0], b[0]), max(a[1], b[1])) for n, (a, b) in pairs.items()})

    def reasons(self, found: InputStatistics) -> list[list[str]]:
        """Return for each member in words where it lies outside; empty where nowhere.

        A scan with less noise, more samples or less residual than any other is nothing to warn of,
        nor is a slice without signal. An image that is not finite lies outside.
        """
        values = torch.stack([getattr(found, name) for name in WORDS], -1).tolist()
        return [self._reasons(dict(zip(WORDS, member, strict=True))) for member in values]

    def _reasons(self, found: dict[str, float]) -> list[str]:
        if math.isnan(found["contrast"]):
            return []
        told = []
        for name, words in WORDS.items():
            low, high = getattr(self, name)
            value = found[name]
            below = value < low and name not in ("residual", "noise")
            if below or (not value <= high and name != "sampled"):
                told.append(f"{words}: {value:.3g}, learned {low:.3g} to {high:.3g}")
        return told


def _is_range(value: Any) -> bool:
    numbers = isinstance(value, list | tuple) and all(type(v) in (int, float) for v in value)
    return numbers and len(value) == 2 and value[0] <= value[1]
