"""Fully sampled multi-coil slices of everything that a network for any scan should have seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex64
from torch import Tensor
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.epoch import current_epoch
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.scan import Scan, ScanHeader
from mrirecon.simulation.anatomy_bank import read_bank
from mrirecon.simulation.coil_array import CoilArray, head_array
from mrirecon.simulation.random_image import random_phase, recolored, shapes, warped
from mrirecon.simulation.receiver_noise import (
    apply_channels,
    coloring,
    random_covariance,
    white_noise,
)
from mrirecon.simulation.threads import single_thread
from mrirecon.types import Sample

COILS = 32
"""Most coils of a random scan."""
_FINE = 2
"""Points of the object per pixel and axis: k-space is truncated, as by a scanner."""
_NODES = 24
"""Grid per axis on which coil fields are computed before they are interpolated."""


@dataclass(frozen=True)
class RandomScans:
    """The ranges that random scans are drawn from.

    Attributes:
        bank: HDF5 file of anatomical images, by ``data_scripts/anatomy_bank.py``; None draws
            shapes only.
        coils: Least and largest number of coils, at most 32.
        matrix: Least and largest size of the grid along each axis.
        snr: Least and largest mean brightness of the object in units of the noise's standard
            deviation per real component, after root-sum-of-squares; infinite for no noise.
        shapes: Share of the scans that show random shapes instead of anatomy.
        correlated: Share of the scans whose coils have correlated noise of different levels, which
            nobody knows.
        forms: Number of different sizes and numbers of coils, so that scans of one form can share
            a batch; None draws them for each scan.
    """

    bank: str | None = None
    coils: tuple[int, int] = (3, 16)
    matrix: tuple[int, int] = (96, 160)
    snr: tuple[float, float] = (4.0, 400.0)
    shapes: float = 0.15
    correlated: float = 0.3
    forms: int | None = None

    def __post_init__(self) -> None:
        check_at_least(1, coils=min(self.coils))
        check_at_least(32, matrix=min(self.matrix))
        check_at_least(1, forms=self.forms or 1)
        if max(self.coils) > COILS:
            raise ConfigError(f"coils is {self.coils}; expected at most {COILS}")
        clean = tuple(self.snr) == (np.inf, np.inf)
        if not (clean or 0 < self.snr[0] <= self.snr[1] < np.inf):
            raise ConfigError(
                f"snr is {self.snr}; expected a lesser and a larger positive number, both of them "
                "infinite for no noise"
            )
        for name in ("coils", "matrix"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"{name} is {(low, high)}; expected the lesser number first")
        for name in ("shapes", "correlated"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a share in [0, 1]")


class RandomScan(Scan):
    """One slice that is drawn anew in every epoch; coils and grid stay.

    Equal arguments give bit-identical Samples in the same epoch. Noise has unit variance per real
    component; where it is correlated, on average.

    Args:
        number: Number of the scan, which seeds everything.
        ranges: What it is drawn from.
    """

    redrawn = True

    def __init__(self, number: int, ranges: RandomScans) -> None:
        self.number, self.ranges = number, ranges
        form = number if ranges.forms is None else number % ranges.forms
        rng = np.random.default_rng((form, 1))
        h, w = (
            int(4 * rng.integers(ranges.matrix[0] // 4, ranges.matrix[1] // 4 + 1)) for _ in "hw"
        )
        low, high = ranges.coils
        coils = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
        self.whitened = bool(rng.random() >= ranges.correlated and np.isfinite(ranges.snr[0]))
        name = f"random{number:06d}"
        self.header = ScanHeader(
            name=name,
            format="simulated",
            slices=1,
            coils=coils,
            grid=(h, w),
            canvas=(h, w),
            matrix=(h, w),
            subject=name,
            whitened=self.whitened,
            notes=("Simulated.",),
        )

    @single_thread()
    def _read(self, index: int) -> Sample:
        if index != 0:
            raise IndexError(f"slice {index} of {self.header.name}, which has 1 slice")
        rng = np.random.default_rng((self.number, 2, current_epoch() or 0))
        size = (_FINE * self.header.grid[0], _FINE * self.header.grid[1])
        object_ = self._object(size, rng) * random_phase(size, rng)
        array, fields = self._fields(size, rng)
        kspace = center_fit(fft(fields * object_), self.header.grid) / _FINE
        rss = root_sum_of_squares(ifft(kspace))
        bright = rss > 0.1 * rss.max()
        level = float(rss[bright].mean()) if bool(bright.any()) else 1.0
        kspace = self._with_noise(kspace / max(level, 1e-9), array, rng)
        mask = torch.ones(1, self.header.grid[1], dtype=torch.bool)
        return Sample(kspace=kspace, mask=mask, key=(self.header.name, index))

    def _object(self, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
        if self.ranges.bank is None or rng.random() < self.ranges.shapes:
            return recolored(shapes(size, rng), rng)
        bank = read_bank(self.ranges.bank)
        return recolored(warped(bank[rng.integers(len(bank))], size, rng), rng)

    def _fields(
        self, size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[CoilArray, Complex64[Tensor, "coil h w"]]:
        """Return an array of coils and its sensitivities in a plane through it."""
        array = _array(self.header.coils, rng)
        axis = np.linspace(-1.02, 1.02, _NODES) * rng.uniform(75, 115)
        rows, columns = np.meshgrid(axis, axis * rng.uniform(0.8, 1.2), indexing="ij")
        depth = np.full(rows.size, rng.uniform(-40, 60))
        points = np.stack([rows.ravel(), columns.ravel(), depth], -1)
        fields = array.sensitivity(points).astype(np.complex64).reshape(-1, _NODES, _NODES)
        coarse = torch.view_as_real(torch.from_numpy(fields)).movedim(-1, 1)
        fine = F.interpolate(coarse, size, mode="bicubic", align_corners=True)
        return array, torch.view_as_complex(fine.movedim(1, -1).contiguous())

    def _with_noise(
        self, kspace: Tensor, array: CoilArray, rng: np.random.Generator
    ) -> Complex64[Tensor, "coil h w"]:
        low, high = self.ranges.snr
        if not np.isfinite(low):
            return kspace
        snr = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        noise = torch.from_numpy(white_noise(tuple(kspace.shape), rng))
        if not self.whitened:
            covariance = random_covariance(array.centers, rng, 1.0)
            mixing = coloring(covariance / np.diag(covariance).real.mean() * 2)
            noise = apply_channels(mixing, noise)
        return kspace * snr + noise


def _array(coils: int, rng: np.random.Generator) -> CoilArray:
    """Return a helmet around the head, or loops anywhere around and beside it."""
    if rng.random() < 0.6:
        return head_array(coils, rng)
    outward = rng.standard_normal((coils, 3)) * (1.0, 1.0, rng.uniform(0.2, 0.8))
    if rng.random() < 0.3:  # a surface coil
        outward[:, 0] = np.abs(outward[:, 0]) + 0.4
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    tilted = -outward + 0.3 * rng.standard_normal((coils, 3))
    normals = tilted / np.linalg.norm(tilted, axis=1, keepdims=True)
    centers = outward * rng.uniform(105, 150, (coils, 1))
    return CoilArray(centers, normals, rng.uniform(30, 85, coils))


def random_scans(first: int, count: int, ranges: RandomScans) -> Sequence[Scan]:
    """Return the random scans ``first`` to ``first + count - 1``.

    Args:
        first: Number of the first scan; ranges of numbers that do not overlap share nothing.
        count: Number of scans.
        ranges: What they are drawn from.
    """
    return [RandomScan(number, ranges) for number in range(first, first + count)]
