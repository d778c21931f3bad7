"""Samples of a Cartesian acquisition, sorted one slice or one volume at a time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.averaging import place_counts, sample_counts
from mrirecon.raw.cartesian_acquisition import CartesianAcquisition, calibration_block
from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.last_reference import LastReference
from mrirecon.raw.memory import scratch
from mrirecon.raw.readouts import Index
from mrirecon.raw.resampling import resampled_block
from mrirecon.raw.sorting import sort_lines, to_planes
from mrirecon.sampling.calibration import central_block
from mrirecon.types import Sample


@dataclass(frozen=True)
class Planes:
    """One frame of a 3-D scan, in image space along the readout.

    Attributes:
        kspace: One plane of phase encodings for each pixel along the readout.
        counts: Number of readouts that went into each place.
        calibration: The fully sampled centre of a separate reference scan, if any.
    """

    kspace: Complex64[np.ndarray, "x coil h w"]
    counts: Float32[np.ndarray, "h w"]
    calibration: Complex64[Tensor, "x coil hc wc"] | None


@dataclass(frozen=True)
class CartesianFilling:
    """Fetches and sorts readouts as an acquisition has them understood.

    Attributes:
        acquisition: The acquisition, understood.
    """

    acquisition: CartesianAcquisition
    _references: LastReference[Complex64[Tensor, "coil hc wc"] | None] = field(
        default_factory=LastReference, compare=False, repr=False
    )

    def slice(self, frame: int, index: int, fetch: Fetch) -> Sample:
        """Return a slice of a 2-D scan; see :meth:`CartesianAcquisition.slice`."""
        one, grid = self.acquisition, self.acquisition.grid
        lines = one.lines(frame, index)
        if len(lines):
            average = one.average(lines, grid, fetch)
            kspace, counts = sort_lines(average, grid), sample_counts(average, grid)
        else:
            kspace = torch.zeros(one.coils, *grid.shape, dtype=torch.complex64)
            counts = np.zeros(grid.shape, np.float32)
        return self._sample(kspace, counts, self._calibration(frame, index, fetch))

    def planes_of(self, frame: int, fetch: Fetch) -> Callable[[int], Sample]:
        """Return what gives the planes of a frame of a 3-D scan.

        Readouts are fetched in chunks. What does not fit into memory easily is kept on disk.
        """
        planes = self._volume(frame, fetch)
        return lambda index: self._plane(planes, index)

    def _volume(self, frame: int, fetch: Fetch) -> Planes:
        one = self.acquisition
        kspace, counts = self._planes(one.lines(frame), one.grid, fetch)
        lines = one.calibration_lines(frame)
        if not len(lines):
            return Planes(kspace, counts, None)
        grid = one.calibration_grid(lines)
        separate, measured = self._planes(lines, grid, fetch)
        calibration = self._block(torch.from_numpy(separate), measured, grid)
        return Planes(kspace, counts, calibration)

    def _plane(self, planes: Planes, index: int) -> Sample:
        """Return the plane at position ``index`` of the readout."""
        calibration = None if planes.calibration is None else planes.calibration[index]
        kspace = torch.from_numpy(planes.kspace[index].copy())
        return self._sample(kspace, planes.counts, calibration)

    def _sample(
        self,
        kspace: Complex64[Tensor, "coil h w"],
        counts: Float32[np.ndarray, "h w"],
        calibration: Complex64[Tensor, "coil hc wc"] | None,
    ) -> Sample:
        one = self.acquisition
        mask, weights = one.mask(counts), None
        if one.averages is not None:
            weights = torch.from_numpy(counts[: len(mask)] / np.float32(one.averages))
        return Sample(
            kspace=kspace,
            mask=torch.from_numpy(mask),
            weights=weights,
            calibration=calibration,
            acs=torch.tensor(central_block(mask, one.grid.shape)),
        )

    def _planes(
        self, lines: Index, grid: Grid, fetch: Fetch
    ) -> tuple[Complex64[np.ndarray, "x coil h w"], Float32[np.ndarray, "h w"]]:
        """Take lines to image space along the readout, a chunk of k-space places at a time."""
        h, w = grid.shape
        result = scratch((grid.readout.matrix, self.acquisition.coils, h * w))
        counts = np.zeros(h * w, np.float32)
        for average in self.acquisition.averages_of_volume(lines, grid, fetch):
            result[:, :, average.places] = to_planes(average, grid).numpy()
            counts[average.places] = place_counts(average, grid)
        return result.reshape(*result.shape[:2], h, w), counts.reshape(h, w)

    def _calibration(
        self, frame: int, index: int, fetch: Fetch
    ) -> Complex64[Tensor, "coil hc wc"] | None:
        """Return the fully sampled centre of a separate reference scan of this slice."""
        lines = self.acquisition.calibration_lines(frame, index)
        return self._references.of(lines, lambda chosen: self._reference(chosen, fetch))

    def _reference(self, lines: Index, fetch: Fetch) -> Complex64[Tensor, "coil hc wc"] | None:
        grid = self.acquisition.calibration_grid(lines)
        average = self.acquisition.average(lines, grid, fetch)
        return self._block(sort_lines(average, grid), sample_counts(average, grid), grid)

    def _block(
        self,
        kspace: Complex64[Tensor, "*b h w"],
        counts: Float32[np.ndarray, "h w"],
        grid: Grid,
    ) -> Complex64[Tensor, "*b hc wc"] | None:
        """Cut out the fully sampled centre, at the distances of the image's samples."""
        found, own = calibration_block(counts, grid), self.acquisition.reference
        if found is None:
            return None
        (h, w), (y, x) = grid.shape, found
        block = kspace[..., y, x]
        if own is not None and not own.same:
            first = (y.start - h // 2, x.start - w // 2)
            block = resampled_block(block, first, own, self.acquisition.grid)
        return block.clone(memory_format=torch.contiguous_format)
