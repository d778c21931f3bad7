"""Perturbations that leave the anatomy of a scan what it is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.added_noise import noise_like
from mrirecon.errors import ConfigError
from mrirecon.fourier import displacement_phase
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.training.objectives.measured_kspace import refuse_neighbors
from mrirecon.types import Extent, Image, Sample


class Perturbation(ABC):
    """Maps a batch, and the image of it, to what is measured then and to the image of that."""

    @abstractmethod
    def __call__(self, sample: Sample, image: Image) -> tuple[Sample, Image]:
        """Return the perturbed batch and what its reconstruction should be."""

    def least_calibrated(self, sample: Sample) -> Sample:
        """Return a batch with as small a fully sampled centre as this may leave."""
        return sample


@dataclass(frozen=True)
class MoreNoise(Perturbation):
    """Adds white noise to k-space; the image should stay as it is (Noise2Recon).

    Attributes:
        low: Least standard deviation of what is added, relative to that of the noise in the data.
        high: Largest one; each member of a batch draws between them.
    """

    low: float = 0.5
    high: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"expected 0 <= low <= high, got low={self.low}, high={self.high}")

    def __call__(self, sample: Sample, image: Image) -> tuple[Sample, Image]:
        refuse_neighbors(sample, "MoreNoise perturbs")
        level = noise_std(sample)
        factor = self.low + (self.high - self.low) * torch.rand_like(level)
        noise = noise_like(sample, factor * level)
        total = level * (1 + factor.square()).sqrt()
        return sample.replace(kspace=sample.kspace + noise, noise=total), image


@dataclass(frozen=True)
class RigidMotion(Perturbation):
    """Moves the object between interleaved shots; the image should stay as it is (VORTEX).

    The measured lines are dealt out to the shots in turn, and each shot sees the object at a place
    of its own: a linear phase in k-space. The shot with the central line has it where it is.

    Attributes:
        pixels: Largest displacement along each axis.
        shots: Number of shots.
    """

    pixels: float = 2.0
    shots: int = 2

    def __post_init__(self) -> None:
        if self.pixels < 0 or self.shots < 2:
            raise ValueError(
                "pixels must not be negative and shots at least 2, got "
                f"{self.pixels} and {self.shots}"
            )

    def __call__(self, sample: Sample, image: Image) -> tuple[Sample, Image]:
        refuse_neighbors(sample, "RigidMotion perturbs")
        _refuse_trajectory(sample, "RigidMotion")
        h, w = sample.kspace.shape[-2:]
        device = sample.kspace.device
        lines = sample.mask.any(-2)
        shot = (lines.cumsum(-1) - 1).clamp_min(0) % self.shots  # [b, w]
        moved = self.pixels * (2 * torch.rand(len(lines), self.shots, 2, device=device) - 1)
        center = shot[:, w // 2, None, None].expand(-1, 1, 2)
        moved = moved.scatter(1, center, 0.0)
        y, x = moved.gather(1, shot[..., None].expand(-1, -1, 2))[:, None].unbind(-1)
        phase = displacement_phase(y / h, x / w, (h, w))
        return sample.replace(kspace=sample.kspace * phase.unsqueeze(1)), image


@dataclass(frozen=True)
class FlipAndShift(Perturbation):
    """Mirrors and displaces the anatomy at random; its image should follow (VORTEX).

    Both are exact for measured k-space: mirroring reverses it, a displacement by whole pixels is a
    linear phase, around the edge of the field of view. Maps and calibration data follow.

    Attributes:
        shift: Largest displacement as a share of the field of view.
        flip: Whether to mirror, each axis with probability one half.
    """

    shift: float = 0.1
    flip: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 0.5:
            raise ValueError(f"shift must lie between 0 and 0.5, got {self.shift}")

    def __call__(self, sample: Sample, image: Image) -> tuple[Sample, Image]:
        _refuse_trajectory(sample, "FlipAndShift")
        if self.flip:
            for axis in (-2, -1):
                if torch.rand(()) < 0.5:
                    sample, image = mirrored(sample, axis), _reverse(image, axis)
        h, w = sample.kspace.shape[-2:]
        dy, dx = (int((self.shift * n * (2 * torch.rand(()) - 1)).round().item()) for n in (h, w))
        return shifted(sample, dy, dx), image.roll((dy, dx), (-2, -1))

    def least_calibrated(self, sample: Sample) -> Sample:
        return mirrored(mirrored(sample, -2), -1) if self.flip else sample


def _refuse_trajectory(sample: Sample, perturbation: str) -> None:
    if not sample.cartesian:
        raise ConfigError(
            f"objective: {perturbation} moves lines of the Cartesian grid, but {sample.key} was "
            "sampled along a trajectory; choose another perturbation, such as noise"
        )


def mirrored(sample: Sample, axis: int) -> Sample:
    """Mirror a batch about the centre ``n // 2`` of an axis, -2 or -1; the target is left out."""
    n, acs = sample.kspace.shape[axis], sample.acs
    fields = ("kspace", "maps", "calibration")
    turned = {name: _maybe_reverse(getattr(sample, name), axis) for name in fields}
    return sample.replace(
        **turned,
        mask=_maybe_reverse(sample.mask, axis),
        weights=_maybe_reverse(sample.weights, axis),
        acs=None if acs is None else _mirrored_extent(acs, axis, n),
        target=None,
        neighbors=None if sample.neighbors is None else mirrored(sample.neighbors, axis),
    )


def shifted(sample: Sample, dy: int, dx: int) -> Sample:
    """Displace a batch by whole pixels around the edges; the target is left out."""
    h, w = sample.kspace.shape[-2:]

    def moved(kspace: Complex64[Tensor, "*b coil hc wc"]) -> Complex64[Tensor, "*b coil hc wc"]:
        y, x = (torch.full((), d / n, device=kspace.device) for d, n in ((dy, h), (dx, w)))
        return kspace * displacement_phase(y, x, (kspace.shape[-2], kspace.shape[-1]))

    return sample.replace(
        kspace=moved(sample.kspace),
        calibration=None if sample.calibration is None else moved(sample.calibration),
        maps=None if sample.maps is None else sample.maps.roll((dy, dx), (-2, -1)),
        target=None,
        neighbors=None if sample.neighbors is None else shifted(sample.neighbors, dy, dx),
    )


def _reverse(x: Tensor, axis: int) -> Tensor:
    """Reverse an axis about ``n // 2``; for even ``n`` the first element stays."""
    reversed_ = x.flip(axis)
    return reversed_ if x.shape[axis] % 2 else reversed_.roll(1, axis)


def _maybe_reverse(x: Tensor | None, axis: int) -> Tensor | None:
    return None if x is None else _reverse(x, axis)


def _mirrored_extent(acs: Extent, axis: int, n: int) -> Extent:
    """A centred block of an even number of lines is not symmetric about ``n // 2``."""
    count = acs[..., axis]
    whole = count >= n
    symmetric = torch.where(whole | (count == 0), count, count - (count + 1) % 2)
    return torch.stack(
        [symmetric if axis == -2 else acs[..., 0], symmetric if axis == -1 else acs[..., 1]], -1
    )
