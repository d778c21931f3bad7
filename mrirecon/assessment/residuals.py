"""The misfit between an image and the data that it was made from, comparable among methods."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.assessment.noise_maps import Plane
from mrirecon.errors import MriReconError
from mrirecon.fourier import fft, ifft
from mrirecon.operators import cartesian_kspace, coil_samples
from mrirecon.quality import Residual
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.sensitivity import Espirit
from mrirecon.sensitivity.base import calibration_extent
from mrirecon.types import Image, Maps, Sample

TURNS = 4
"""Corrections of the phase; each finds what the one before has smoothed away."""


@dataclass(frozen=True)
class Record:
    """What all methods are judged by, whatever sensitivities they have used themselves.

    Attributes:
        maps: Sensitivities of the same data.
        name: Name of the sensitivities, in words.
        image: Image of the method, with the phase that belongs to these sensitivities.
    """

    maps: Maps
    name: str
    image: Image


def record_of(sample: Sample, image: Image) -> tuple[Record | None, str]:
    """Return what an image is judged by, or why there is nothing.

    Args:
        sample: One slice, as read and prepared, as a batch of one.
        image: Image that the method made of it.
    """
    try:
        maps, name = maps_of_record(sample)
    except MriReconError as error:
        return None, str(error)
    return Record(maps, name, aligned(image, sample, maps)), ""


def maps_of_record(sample: Sample) -> tuple[Maps, str]:
    """Return the sensitivities by which all methods are judged, and what they are.

    Raises:
        MriReconError: When the calibration data do not suffice.
    """
    if sample.maps is not None:
        return sample.maps, "the maps of the file"
    return Espirit(crop=0.0)(sample), "ESPIRiT's maps"


def residuals(
    plane: Plane, image: Complex64[Tensor, "b h w"], record: Record | None
) -> tuple[Residual | None, Residual | None]:
    """Compare measured k-space with what the image predicts.

    Args:
        plane: The plane with the maps of the method.
        image: Image that the method made of it.
        record: What all methods are judged by.

    Returns:
        The residual with the maps of record, and with those of the method.
    """
    own = None
    if plane.maps is not None and image.imag.any():
        own = _residual(plane, image, plane.maps, "the method's own maps")
    if record is None:
        return None, own
    return _residual(plane, record.image, record.maps, record.name), own


def aligned(
    image: Complex64[Tensor, "b h w"], sample: Sample, maps: Maps
) -> Complex64[Tensor, "b h w"]:
    """Turn the smooth phase of an image into that of the maps.

    Sensitivities are defined up to a phase, which the image makes up for: other maps want another
    phase of the same image, and a root-sum-of-squares has none. It is found by comparison with the
    central, fully sampled k-space.
    """
    window = _window(sample)
    low = (maps.conj() * ifft(cartesian_kspace(sample) * window.unsqueeze(-3))).sum(-3)
    for _ in range(TURNS):
        agreement = ifft(fft(image.conj() * low) * window)
        image = image * torch.polar(torch.ones_like(agreement.real), agreement.angle())
    return image


def _window(sample: Sample) -> Tensor:
    """Return a Hann window over the fully sampled centre of each member."""
    sides = []
    extents = calibration_extent(sample.replace(calibration=None))
    for axis, n in zip((0, 1), sample.grid, strict=True):
        distance = (torch.arange(n, device=sample.kspace.device) - n // 2).abs()
        half = (extents[..., axis].to(distance).clamp_min(2) / 2).unsqueeze(-1)
        side = torch.where(distance < half, 0.5 + 0.5 * torch.cos(torch.pi * distance / half), 0.0)
        sides.append(side)
    return sides[0].unsqueeze(-1) * sides[1].unsqueeze(-2)


def noise_level(plane: Plane) -> float:
    """Return the standard deviation of the noise per real component: known, or estimated."""
    return plane.unit if plane.header.whitened else float(noise_std(plane.sample).max())


def _residual(plane: Plane, image: Complex64[Tensor, "b h w"], maps: Maps, name: str) -> Residual:
    sample = plane.sample
    predicted = coil_samples(sample, maps * image.unsqueeze(-3)) * sample.mask.unsqueeze(-3)
    data, difference = sample.kspace, predicted - sample.kspace
    if sample.weights is not None:  # a sample that was averaged more often says more
        data, difference = (v * sample.weights.sqrt().unsqueeze(-3) for v in (data, difference))
    mask = sample.mask.expand(*data.shape[:-3], *data.shape[-2:])
    count = float(mask.sum()) * data.shape[-3]
    known, level = plane.header.whitened, noise_level(plane)
    explained = 2 * level**2 * count
    energy, left = (float(v.abs().square().sum()) for v in (data, difference))
    return Residual(
        name,
        (left / max(energy, 1e-30)) ** 0.5,
        (left / max(2 * count, 1.0)) ** 0.5 / level if known else None,
        (max(left - explained, 0.0) / max(energy - explained, 1e-3 * energy, 1e-30)) ** 0.5,
        max(energy - explained, 0.0) / max(energy, 1e-30),
    )
