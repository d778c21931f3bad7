"""View sharing: lines that a frame lacks are taken from the frames around it."""

import torch
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.reconstructors.base import FrameWindows, Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sensitivity import GivenMaps, SensitivityEstimator
from mrirecon.sensitivity.series import series_maps, side_by_side
from mrirecon.types import Image, Sample

ENOUGH = 2
"""Samples per pixel of a non-Cartesian frame that is complete."""


class ViewSharing(Reconstructor):
    r"""Fills each frame with what the nearest frames have measured, and reconstructs it by itself.

    A sample that a frame lacks is that of the frame nearest in time, or the mean of both if two are
    equally near (Riederer et al., Magn Reson Med 8:1, 1988; as a sliding window: d'Arcy et al., NMR
    Biomed 15:174, 2002). Frames of other trajectories get the readouts of those around them, too.
    :class:`~mrirecon.reconstructors.CgSense` makes images of all this. What moves is blurred over
    the frames that share.

    Args:
        sensitivity: Estimator of the coil sensitivities, from the time average.
        reach: Frames on either side that lend samples. None takes as many as are needed: until no
            sample is missing, or until there are twice as many samples of another trajectory as
            pixels.
        cyclic: Whether the first frame follows the last one, as in a heart cycle.
        window: Largest number of frames that are held at once; of no effect on a cycle.
        overlap: Frames at the ends of a window that only lend, where the next window has them too.
    """

    needs_grid = ""
    joint = True

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        reach: int | None = None,
        cyclic: bool = False,
        window: int | None = 64,
        overlap: int = 8,
    ) -> None:
        super().__init__()
        check_at_least(0, reach=0 if reach is None else reach)
        self.sensitivity = sensitivity
        self.reach, self.cyclic = reach, cyclic
        self.windows = FrameWindows(None if cyclic else window, overlap, in_time=True)
        self.still = CgSense(GivenMaps())

    def forward(self, sample: Sample) -> Image:
        """Return the frames; one of which nothing was measured stays empty."""
        maps = series_maps(self.sensitivity, sample)
        return self.still(self.shared(sample).replace(maps=maps))

    def shared(self, sample: Sample) -> Sample:
        """Return the frames with the samples of those around them."""
        if sample.trajectory is None:
            return self._lines(sample)
        return self._readouts(sample)

    def _lines(self, sample: Sample) -> Sample:
        frames = len(sample.kspace)
        anything = (sample.kspace != 0).flatten(1).any(1)[:, None, None]
        kspace, mask, weights = sample.kspace, sample.mask & anything, sample.weights
        lent = mask
        farthest = frames - 1 if self.reach is None else min(self.reach, frames - 1)
        for distance in range(1, farthest + 1):
            if bool((mask | ~anything).all()):
                break
            near = [self._moved(lent, step) for step in (distance, -distance)]
            new = (near[0] | near[1]) & ~mask & anything
            share = [one / (near[0].float() + near[1]).clamp_min(1) for one in near]
            kspace = torch.where(
                new.unsqueeze(1), self._mean(sample.kspace, share, distance), kspace
            )
            if weights is not None and sample.weights is not None:
                weights = torch.where(new, self._mean(sample.weights, share, distance), weights)
            mask = mask | new
        return sample.replace(kspace=kspace, mask=mask, weights=weights, acs=None)

    def _mean(self, x: Tensor, share: list[Tensor], distance: int) -> Tensor:
        before, after = (one.unsqueeze(1) if x.ndim == 4 else one for one in share)
        return before * self._moved(x, distance) + after * self._moved(x, -distance)

    def _moved(self, x: Tensor, steps: int) -> Tensor:
        """Give each frame what the one ``steps`` before it has; zeros where there is none."""
        moved = x.roll(steps, 0)
        if not self.cyclic:
            edge = slice(0, steps) if steps > 0 else slice(steps, None)
            moved[edge] = 0
        return moved

    def _readouts(self, sample: Sample) -> Sample:
        assert sample.trajectory is not None
        frames, width = len(sample.kspace), self._width(sample)
        mask = sample.mask.expand(*sample.mask.shape[:-1], sample.kspace.shape[-1])
        found = []
        for frame in range(frames):
            first = frame - width // 2
            if not self.cyclic:  # at the ends, those on the other side lend
                first = min(max(first, 0), frames - width)
            around = [number % frames for number in range(first, first + width)]
            anything = bool((sample.kspace[frame] != 0).any())
            found.append(
                (
                    side_by_side(sample.kspace[around], -1) * anything,
                    side_by_side(mask[around], -1) & anything,
                    side_by_side(sample.trajectory[around], -2),
                    None if sample.weights is None else side_by_side(sample.weights[around], -1),
                )
            )
        kspace, masks, places, weights = zip(*found, strict=True)
        return sample.replace(
            kspace=torch.cat(kspace), mask=torch.cat(masks), trajectory=torch.cat(places),
            weights=None if sample.weights is None else torch.cat(weights), areas=None,
        )  # fmt: skip

    def _width(self, sample: Sample) -> int:
        """Return how many frames form one of another trajectory, an odd number if there are."""
        frames, samples = len(sample.kspace), sample.kspace[0, 0].numel()
        wanted = -(-ENOUGH * sample.grid[0] * sample.grid[1] // samples)
        width = 2 * (wanted // 2 if self.reach is None else self.reach) + 1
        return min(width, frames)
