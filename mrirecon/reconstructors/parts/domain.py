"""What a network has learned from, in numbers that tell whether a scan is like it."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.reconstructors.parts.automatic_weight import density, sample_noise_std
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.types import Image, Maps, Sample

Values = Float32[Tensor, "b"]


@dataclass(frozen=True)
class InputStatistics:
    """Numbers of each member of a batch.

    Attributes:
        noise: Standard deviation of the noise of a fully sampled image, relative to the brightness
            of the object.
        sampled: Part of k-space that was measured.
        contrast: Brightest thousandth of the zero-filled image relative to its object's mean.
        residual: Root-mean-square difference of the image from the measured samples, relative to
            their noise or a thousandth of their own size, whatever is larger.
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
        pixels = root_sum_of_squares(ifft(sample.kspace)).flatten(-2)
        bright = pixels.quantile(0.999, -1)
        object_ = pixels > 0.1 * bright[..., None]
        mean = (pixels * object_).sum(-1) / object_.sum(-1).clamp_min(1)
        mask = sample.mask.unsqueeze(-3)
        left = torch.where(mask, fft(maps * image.unsqueeze(-3)) - sample.kspace, 0)
        count = mask.expand(sample.kspace.shape).flatten(-3).sum(-1).clamp_min(1)
        rms, size = (
            (torch.view_as_real(x).square().sum((-1, -2, -3, -4)) / (2 * count)).sqrt()
            for x in (left, sample.kspace)
        )
        return cls(
            noise=(std / data_scale(sample)).reshape(-1),
            sampled=density(sample).reshape(-1),
            contrast=(bright / mean.clamp_min(1e-12)).reshape(-1),
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
        try:
            assert isinstance(told, dict)
            ranges = {name: tuple(map(float, told[name])) for name in names}
            return cls(**{name: (low, high) for name, (low, high) in ranges.items()})
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"weights: expected ranges of {', '.join(names)}") from error

    def reasons(self, found: InputStatistics) -> list[list[str]]:
        """Return for each member in words where it lies outside; empty where nowhere.

        A scan with more samples or less residual than any other is nothing to warn of.
        """
        told: list[list[str]] = [[] for _ in range(len(found.noise))]
        for name, words in WORDS.items():
            low, high = getattr(self, name)
            for member, value in enumerate(getattr(found, name).tolist()):
                below = value < low and name not in ("residual", "noise")
                if below or (value > high and name != "sampled"):
                    told[member].append(f"{words}: {value:.3g}, learned {low:.3g} to {high:.3g}")
        return told
