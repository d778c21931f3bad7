"""How a Cartesian acquisition was sampled: what its readouts tell before they are sorted."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32

from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.averaging import place_counts, sample_counts
from mrirecon.raw.cartesian_acquisition import CartesianAcquisition, calibration_block
from mrirecon.raw.kspace_grid import Grid, Shape
from mrirecon.raw.last_reference import LastReference
from mrirecon.raw.readouts import Index
from mrirecon.sampling.calibration import central_block
from mrirecon.sampling.sampled_plane import CartesianPlane


@dataclass
class CartesianSampling:
    """Tells of each plane what its Sample would tell, without a Fourier transform.

    Attributes:
        acquisition: The acquisition, understood.
        fetch: Function that returns readouts by number.
    """

    acquisition: CartesianAcquisition
    fetch: Fetch
    _volume: tuple[int, CartesianPlane] | None = None
    _references: LastReference[Shape | None] = field(default_factory=LastReference)

    def plane(self, index: int) -> CartesianPlane:
        """Tell how a plane was sampled, by its number among those of all frames.

        Raises:
            RawDataError: When its readouts are damaged.
        """
        frame, place = divmod(index, self.acquisition.slices)
        if not self.acquisition.whole_frames:
            return replace(self._plane(frame, place), number=index)
        if self._volume is None or self._volume[0] != frame:  # all planes of a frame are alike
            self._volume = (frame, self._plane(frame, None))
        return replace(self._volume[1], number=index)

    def _plane(self, frame: int, place: int | None) -> CartesianPlane:
        """Look at one slice, or at a frame of a 3-D scan when ``place`` is None."""
        one, grid = self.acquisition, self.acquisition.grid
        counts, signal = self._counted(one.lines(frame, place), grid)
        mask = one.mask(counts)
        return CartesianPlane(
            shape=grid.shape,
            signal=signal and bool(mask.any()),
            reference=self._references.of(one.calibration_lines(frame, place), self._reference),
            mask=mask,
            acs=central_block(mask, grid.shape),
        )

    def _counted(self, lines: Index, grid: Grid) -> tuple[Float32[np.ndarray, "h w"], bool]:
        """Count the readouts in each sample; tell also whether any of them is not zero."""
        one, counts, signal = self.acquisition, np.zeros(grid.shape, np.float32), False
        if not len(lines):
            return counts, signal
        if not one.whole_frames:
            average = one.average(lines, grid, self.fetch)
            return sample_counts(average, grid), bool(average.kspace.any())
        for average in one.averages_of_volume(lines, grid, self.fetch):
            counts.reshape(-1)[average.places] = place_counts(average, grid)
            signal |= bool(average.kspace.any())
        return counts, signal

    def _reference(self, lines: Index) -> Shape | None:
        """Return the size of the centre that is kept of a reference scan."""
        one, grid = self.acquisition, self.acquisition.calibration_grid(lines)
        counts, _ = self._counted(lines, grid)
        block = calibration_block(counts, grid)
        if block is None:
            return None
        if one.reference is not None and not one.reference.same:
            return one.reference.shape_of(block, grid, one.grid)
        return block[0].stop - block[0].start, block[1].stop - block[1].start
