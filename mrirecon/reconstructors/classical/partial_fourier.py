"""Fill the side of k-space that partial Fourier left out, from the image's smooth phase.

Both methods wrap any reconstructor that returns a complex image. Where nothing is missing, and
along an axis whose two sides are nearly equally long or that has but a few lines on one side, they
change nothing and say so (:meth:`PartialFourier.remarks`).
"""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sampling.calibration import LEAST
from mrirecon.sampling.extents import measured_interval
from mrirecon.types import Image, Sample


class PartialFourier(Reconstructor):
    """Common to both: the measured interval of each axis and the phase of its symmetric part.

    Args:
        reconstructor: Reconstructor of the image whose k-space has a side missing.

    Attributes:
        label: Name of the method, for messages.
        most: Longest shorter side, relative to the longer one, that is worth filling.
    """

    needs_grid = "it fills in one side of the grid"

    label: str
    most: float

    def __init__(self, reconstructor: Reconstructor) -> None:
        super().__init__()
        self.reconstructor = reconstructor
        # what it is given is passed on, so it must be given the same
        self.joint, self.windows = reconstructor.joint, reconstructor.windows
        self.context, self.context_along = reconstructor.context, reconstructor.context_along

    def forward(self, sample: Sample) -> Image:
        """Return the image; a member of the batch with nothing missing is left as it is.

        Raises:
            ConfigError: When the reconstructor returns magnitudes, whose phase is lost.
        """
        image = self.reconstructor(sample)
        if image.real.any() and not image.imag.any():
            raise ConfigError(
                f"{type(self.reconstructor).__name__} returns magnitudes, but partial Fourier "
                "needs the phase of the image; use model=cg_sense"
            )
        h = image.shape[-2]
        mask = sample.mask.expand(*image.shape[:-2], *sample.mask.shape[-2:])
        rows, columns = measured_interval(mask.any(-1)), measured_interval(mask.any(-2))
        if rows.shape[-1] == 1:
            rows = rows.expand(*rows.shape[:-1], h)
        by_rows, by_columns = self.helps(rows), self.helps(columns)
        missing = (by_rows | by_columns) & ~_hopeless(rows) & ~_hopeless(columns)
        if not missing.any():
            return image
        rows, columns = rows | ~by_rows[..., None], columns | ~by_columns[..., None]
        center = _symmetric(rows)[..., :, None] * _symmetric(columns)[..., None, :]
        phase = ifft(fft(image) * center).sgn()
        filled = self.fill(image, phase, rows, columns)
        return torch.where(missing[..., None, None], filled, image)

    def helps(self, hull: Bool[Tensor, "*b n"]) -> Bool[Tensor, "*b"]:
        """Tell whether filling the shorter side of a measured interval makes the image better.

        With hardly a line there, the phase of the image is not known; where the sides are nearly as
        long, the error of the phase is larger than what is missing.
        """
        low, high = _sides(hull)
        short, long = torch.minimum(low, high), torch.maximum(low, high)
        return ~_hopeless(hull) & (short < self.most * long)

    def remarks(self, sample: Sample) -> tuple[str, ...]:
        mask = sample.mask
        rows, columns = measured_interval(mask.any(-1)), measured_interval(mask.any(-2))
        hulls = {"phase encoding": columns}
        if rows.shape[-1] > 1:
            hulls["readout"] = rows
        told = [remark for axis, hull in hulls.items() if (remark := self._remark(axis, hull))]
        helped = any((self.helps(hull) & ~_hopeless(hull)).any() for hull in hulls.values())
        if not told and not helped:
            told = [f"{self.label} changes nothing: both sides of k-space are equally long."]
        return (*told, *super().remarks(sample))

    def _remark(self, axis: str, hull: Bool[Tensor, "*b n"]) -> str:
        """Say that a side is left empty, and why; else nothing."""
        low, high = (int(side.flatten()[0]) for side in _sides(hull))
        if low == high or bool(self.helps(hull).flatten()[0]):
            return ""
        what, why = f"the {axis}", "that is nearly symmetric"
        if min(low, high) < LEAST:
            what, why = "the image", f"at least {LEAST} are needed for the phase"
        return (
            f"{self.label} leaves {what} as it is: along the {axis} there are {low} and {high} "
            f"lines beside the centre; {why}, and filling would make the image worse."
        )

    @abstractmethod
    def fill(
        self,
        image: Image,
        phase: Image,
        rows: Bool[Tensor, "*b h"],
        columns: Bool[Tensor, "*b w"],
    ) -> Image:
        """Return the completed image; ``phase`` has unit magnitude."""


class Pocs(PartialFourier):
    r"""Alternate between the measured k-space and images of the known phase.

    Haacke, Lindskog and Lin, J Magn Reson 92:126, 1991.

    .. math:: k \leftarrow m\,k_0 + (1 - m)\, F\big(e^{i\varphi}\,\Re(e^{-i\varphi} F^H k)\big)

    Args:
        reconstructor: Reconstructor of the image whose k-space has a side missing.
        iterations: Largest number of rounds.
        tolerance: Relative change of the image, in norm, below which it stops.
    """

    label, most = "POCS", 0.95

    def __init__(
        self, reconstructor: Reconstructor, iterations: int = 20, tolerance: float = 1e-3
    ) -> None:
        super().__init__(reconstructor)
        check_at_least(1, iterations=iterations)
        self.iterations, self.tolerance = iterations, tolerance

    def fill(
        self,
        image: Image,
        phase: Image,
        rows: Bool[Tensor, "*b h"],
        columns: Bool[Tensor, "*b w"],
    ) -> Image:
        measured = rows[..., :, None] & columns[..., None, :]
        known = fft(image)
        for _ in range(self.iterations):
            constrained = phase * (phase.conj() * image).real
            updated = ifft(torch.where(measured, known, fft(constrained)))
            change = torch.linalg.vector_norm(updated - image, dim=(-2, -1))
            image, size = updated, torch.linalg.vector_norm(updated, dim=(-2, -1))
            if (change <= self.tolerance * size).all():
                break
        return image


class Homodyne(PartialFourier):
    r"""Weight the measured side twice, and keep the real part after removing the phase.

    Noll, Nishimura and Macovski, IEEE Trans Med Imaging 10:154, 1991. The weights rise linearly
    through the symmetric part.
    """

    label, most = "homodyne", 0.6

    def fill(
        self,
        image: Image,
        phase: Image,
        rows: Bool[Tensor, "*b h"],
        columns: Bool[Tensor, "*b w"],
    ) -> Image:
        weight = _ramp(rows)[..., :, None] * _ramp(columns)[..., None, :]
        detected = (phase.conj() * ifft(fft(image) * weight)).real.clamp_min(0)
        return phase * detected


def _sides(hull: Bool[Tensor, "*b n"]) -> tuple[Tensor, Tensor]:
    """Positions measured on either side of the centre; an even axis' extra one does not count."""
    n = hull.shape[-1]
    low = hull[..., (1 - n % 2) : n // 2].sum(-1)
    return low, hull[..., n // 2 + 1 :].sum(-1)


def _hopeless(hull: Bool[Tensor, "*b n"]) -> Bool[Tensor, "*b"]:
    """Tell whether nearly a half is missing, so that the image has no smooth phase any more."""
    low, high = _sides(hull)
    return (torch.minimum(low, high) < LEAST) & (low != high)


def _symmetric(hull: Bool[Tensor, "*b n"]) -> Float32[Tensor, "*b n"]:
    """A Hann window over the part that is measured on both sides."""
    n = hull.shape[-1]
    reach = torch.minimum(*_sides(hull)).unsqueeze(-1) + 1
    distance = (torch.arange(n, device=hull.device) - n // 2).abs()
    inside = (distance < reach) & hull
    return (0.5 + 0.5 * torch.cos(torch.pi * distance / reach)).float() * inside


def _ramp(hull: Bool[Tensor, "*b n"]) -> Float32[Tensor, "*b n"]:
    """From 0 to 2 through the symmetric part, 2 on the side measured alone; 1 without such."""
    n = hull.shape[-1]
    low, high = (side.unsqueeze(-1) for side in _sides(hull))
    reach = torch.minimum(low, high) + 1
    position = torch.arange(n, device=hull.device) - n // 2
    toward = torch.where(high > low, position, -position)
    ramp = (1 + toward / reach).clamp(0, 2).float() * hull
    return torch.where(low == high, torch.ones_like(ramp), ramp)
