"""Augmentation of fully sampled scans: patients who lie otherwise, in the same scanner.

Image, coil sensitivities and reference move together and are scanned again with the same protocol,
before undersampling (MRAugment: Fabian, Heckel and Soltanolkotabi, ICML 2021).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32, Shaped
from torch import Tensor
from torch.nn import functional as F

from mrirecon.data.gaps import has_gaps
from mrirecon.epoch import current_epoch
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.sensitivity.base import unit_norm
from mrirecon.types import KSpace, Magnitude, Sample

NOISE_GAIN = 0.857
"""Standard deviation of white noise after :class:`Movement` has interpolated it.

The sum of the squared weights of torch's bicubic kernel (a = -0.75) along one axis, averaged over
all positions between two pixels: the root of its square, for there are two axes.
"""


@dataclass(frozen=True)
class Movement:
    """How an image is moved: first pixel by pixel, then, if at all, by interpolation.

    Attributes:
        flips: Axes that are reversed, of -2 and -1.
        turns: Number of turns by 90 degrees.
        shift: Pixels along h and w; what leaves at one edge enters at the other.
        matrix: Maps a position in the new image to one in the old, both from the centre in pixels
            ``(w, h)``; bicubic interpolation, mirrored at the edges.
    """

    flips: tuple[int, ...] = ()
    turns: int = 0
    shift: tuple[int, int] = (0, 0)
    matrix: Float32[Tensor, "2 2"] | None = None

    @property
    def rests(self) -> bool:
        """Whether nothing moves."""
        return not (self.flips or self.turns or any(self.shift)) and self.matrix is None

    def __call__(self, x: Shaped[Tensor, "*b h w"]) -> Shaped[Tensor, "*b h w"]:
        """Move real or complex images; odd turns need square ones."""
        x = x.flip(self.flips).rot90(self.turns, (-2, -1)).roll(self.shift, (-2, -1))
        if self.matrix is None:
            return x
        if x.is_complex():
            parts = torch.view_as_real(x).movedim(-1, 0)
            return torch.complex(*self._interpolated(parts))
        return self._interpolated(x)

    def _interpolated(self, x: Float32[Tensor, "*b h w"]) -> Float32[Tensor, "*b h w"]:
        assert self.matrix is not None
        h, w = x.shape[-2:]
        half = torch.tensor([w / 2, h / 2])  # grid_sample measures both axes in half extents
        rows = F.pad(self.matrix * half / half[:, None], (0, 1))
        grid = F.affine_grid(rows[None], [1, 1, h, w], align_corners=False)
        moved = F.grid_sample(
            x.reshape(1, -1, h, w), grid.to(x), "bicubic", "reflection", align_corners=False
        )
        return moved.reshape(x.shape)


@dataclass(frozen=True)
class Augment:
    r"""Move each training slice at random, more often the longer a run has lasted.

    Each kind of movement is drawn with probability

    .. math:: p(t) = p_{\max}\,\frac{1 - e^{-c\,t/T}}{1 - e^{-c}}

    in epoch :math:`t` of :math:`T`. The object moves inside the coils' field together with the
    coils, so maps go along and are normalized again. K-space is measured anew where the scanner
    measured, so zero padding and partial Fourier stay what they were. Validation and everything
    else outside of training is left alone. List it first, before ``RssTarget``.

    Noise stays white and keeps its variance under flips, quarter turns and shifts. Interpolation
    weakens it at high frequencies; ``Sample.noise`` then holds the mean (:data:`NOISE_GAIN`).
    Pixels are taken to be square.

    Movements change no brightness, so ``Sample.peak``, the data range of SSIM, stays that of the
    volume at rest, as no other slice moves with this one; it grows only where the moved reference
    is brighter: a cropped one may show what lay outside, and bicubic interpolation overshoots.

    Attributes:
        epochs: Length of the run, :math:`T`.
        strength: Probability in the end, :math:`p_{\max}`.
        growth: Rate :math:`c` at which the probability grows; large values come close
            to :math:`p_{\max}` early.
        translation: Largest shift, as a share of each axis.
        rotation: Largest angle in degrees.
        shear: Largest angle in degrees, along each axis.
        scaling: Largest relative change of size.
        interpolate: Whether to rotate, shear and scale too.
        target: ``"move"`` moves a reference that the file brought like the image; ``"rss"`` makes
            it again from the moved coil images, for references that are just that, such as
            fastMRI's. One that shows less than the whole grid cannot be moved.
    """

    epochs: int
    strength: float = 0.55
    growth: float = 5.0
    translation: float = 0.125
    rotation: float = 180.0
    shear: float = 15.0
    scaling: float = 0.25
    interpolate: bool = True
    target: Literal["move", "rss"] = "move"

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1 or self.growth <= 0 or self.epochs < 1:
            raise ValueError(
                "strength must lie in [0, 1], growth and epochs must be positive, got "
                f"{self.strength}, {self.growth}, {self.epochs}"
            )
        if not (0 <= self.scaling < 1 and 0 <= self.shear < 45 and 0 <= self.translation <= 1):
            raise ValueError(
                "scaling must lie in [0, 1), shear in [0, 45) and translation in [0, 1], got "
                f"{self.scaling}, {self.shear}, {self.translation}"
            )

    def __call__(self, sample: Sample) -> Sample:
        self._check(sample)
        epoch = current_epoch()
        if epoch is None:
            return sample
        h, w = sample.kspace.shape[-2:]
        return self.moved(sample, self._draw(self.probability(epoch), h, w))

    def probability(self, epoch: int) -> float:
        """Return the probability of each kind of movement in this epoch."""
        part = math.expm1(-self.growth * min(epoch / self.epochs, 1)) / math.expm1(-self.growth)
        return self.strength * part

    def moved(self, sample: Sample, movement: Movement) -> Sample:
        """Return a slice, and its neighbours, after one movement."""
        if movement.rests:
            return sample
        kspace = fft(movement(ifft(sample.kspace))) * sample.mask.unsqueeze(-3)
        blur = 1.0 if movement.matrix is None else NOISE_GAIN
        target = None if sample.target is None else self._target(sample.target, kspace, movement)
        peak = sample.peak
        if peak is not None and target is not None:
            peak = torch.maximum(peak, target.amax((-2, -1)))
        return sample.replace(
            kspace=kspace,
            maps=None if sample.maps is None else unit_norm(movement(sample.maps)),
            target=target,
            peak=peak,
            noise=None if sample.noise is None else sample.noise * blur,
            neighbors=None if sample.neighbors is None else self.moved(sample.neighbors, movement),
        )

    def _target(self, target: Magnitude, kspace: KSpace, movement: Movement) -> Magnitude:
        if self.target == "rss":
            return center_crop(root_sum_of_squares(ifft(kspace)), target.shape[-2:])
        return movement(target).clamp_min(0)  # bicubic interpolation overshoots

    def _check(self, sample: Sample) -> None:
        if not sample.cartesian:
            raise ConfigError(
                f"{sample.key} was sampled along a trajectory: the places of a moved object's "
                "samples are not measured; augment Cartesian scans, or simulate more"
            )
        if sample.kspace.ndim != 3:
            raise ConfigError(
                "Augment moves one slice at a time, so it belongs before batching; "
                f"got k-space of shape {tuple(sample.kspace.shape)}"
            )
        if has_gaps(sample).any():
            raise ConfigError(
                f"{sample.key} is undersampled, so its images cannot be moved; augment fully "
                "sampled scans, and list Augment before Undersample"
            )
        for name in ("weights", "calibration"):
            if getattr(sample, name) is not None:
                raise ConfigError(
                    f"{sample.key} brings {name}, which would not fit the moved image; "
                    "leave Augment out"
                )
        shape, target = sample.kspace.shape[-2:], sample.target
        if self.target == "move" and target is not None and target.shape[-2:] != shape:
            raise ConfigError(
                f"{sample.key}: the reference shows {tuple(target.shape[-2:])} pixels of "
                f"{tuple(shape)} and cannot be moved; if it is the root-sum-of-squares of the "
                "coils, set target=rss of Augment"
            )

    def _draw(self, probability: float, h: int, w: int) -> Movement:
        """Draw from torch's generator, always as many numbers."""
        chance, sizes = (torch.rand(8, dtype=torch.float64).tolist() for _ in range(2))
        flip_h, flip_w, turn, shift, rotate, shear, scale, _ = (c < probability for c in chance)
        spread = [2 * size - 1 for size in sizes]
        flips = tuple(axis for axis, chosen in ((-2, flip_h), (-1, flip_w)) if chosen)
        quarters = 1 + int(3 * sizes[0]) if h == w else 2
        limits = (self.translation * h, self.translation * w)
        pixels = (round(spread[1] * limits[0]), round(spread[2] * limits[1]))
        matrix = None
        if self.interpolate and (rotate or shear or scale):
            angle = math.radians(self.rotation * spread[3]) * rotate
            along_w, along_h = (math.tan(math.radians(self.shear * s)) * shear for s in spread[4:6])
            size = 1 / (1 + self.scaling * spread[6] * scale)
            turned = torch.tensor(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            sheared = torch.tensor([[1 + along_w * along_h, along_w], [along_h, 1.0]])
            matrix = size * turned @ sheared
        return Movement(flips, quarters * turn, pixels if shift else (0, 0), matrix)
