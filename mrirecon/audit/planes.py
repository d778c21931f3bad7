"""One plane of a file, as the checks of an audit look at it."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Complex64, Float32
from torch import Tensor

from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.readers.base import FileScan
from mrirecon.types import Sample

MOST_COILS = 32
"""Coils that are looked at; more tell nothing new and take longer."""
SMALLEST = 24
"""Samples along an axis below which there is too little to judge."""


@dataclass(frozen=True)
class Plane:
    """A plane of k-space; averages are weighted so that the noise of all samples is alike.

    Attributes:
        kspace: Complex k-space, zero where nothing was measured.
        measured: Samples that were measured.
        told: Samples that mask and header say were measured; all that were measured where a file
            lists its readouts.
        volumetric: Whether both axes are phase encodings.
        target: Reference image of the file; None when it holds none.
    """

    kspace: Complex64[Tensor, "coil h w"]
    measured: Bool[Tensor, "h w"]
    told: Bool[Tensor, "h w"]
    volumetric: bool = False
    target: Float32[Tensor, "y x"] | None = None

    @cached_property
    def images(self) -> Complex64[Tensor, "coil h w"]:
        """Coil images, without any interpolation."""
        return ifft(self.kspace)

    @cached_property
    def magnitude(self) -> Float32[Tensor, "h w"]:
        """Root-sum-of-squares image."""
        return root_sum_of_squares(self.images)

    @property
    def complete(self) -> bool:
        """Whether all of k-space was measured."""
        return bool(self.measured.all())

    def turned(self) -> "Plane":
        """Return the plane with its axes exchanged, so that checks look along one only."""
        return Plane(
            self.kspace.transpose(-1, -2),
            self.measured.T,
            self.told.T,
            self.volumetric,
            None if self.target is None else self.target.T,
        )

    def cut(self, rows: slice, columns: slice) -> "Plane":
        """Return a rectangle of k-space."""
        return replace(
            self,
            kspace=self.kspace[:, rows, columns],
            measured=self.measured[rows, columns],
            told=self.told[rows, columns],
            target=None,
        )


def plane_of(scan: FileScan, index: int) -> Plane | None:
    """Read a plane; None without signal, with too little to judge, or along a trajectory."""
    sample: Sample = scan[index]
    h, w = sample.kspace.shape[-2:]
    measured = sample.mask.expand(h, w)
    if not sample.cartesian or min(h, w) < SMALLEST or not bool(sample.kspace.abs().sum() > 0):
        return None
    told = scan.told_measured(index)
    kspace = sample.kspace
    if sample.weights is not None:
        kspace = kspace * sample.weights.sqrt()
    step = -(-kspace.shape[0] // MOST_COILS)
    return Plane(
        kspace[::step] / kspace.abs().max(),
        measured,
        measured if told is None else torch.from_numpy(told.copy()).expand(h, w),
        scan.header.volumetric,
        sample.target,
    )


def chosen(count: int, most: int) -> tuple[int, ...]:
    """Choose at most ``most`` of ``count`` planes, spread over the middle of the scan."""
    places = [int((i + 0.5) * count / min(most, count)) for i in range(min(most, count))]
    return tuple(dict.fromkeys(places))


def measured_rectangle(plane: Plane) -> tuple[slice, slice]:
    """Return the smallest rectangle of rows and columns that holds all measured samples."""
    rows, columns = (torch.nonzero(plane.measured.any(axis))[:, 0].tolist() for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
