"""An acquisition along a trajectory: readouts and their places, one slice or slab at a time.

A Sample's axes ``h w`` are the samples of a readout and the readouts. Slabs, stacks of stars or of
spirals, are Fourier transformed along their partitions, so that each of their slices is a Sample.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Float32
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import Acquisition, Fetch
from mrirecon.raw.averaging import refuse_damaged
from mrirecon.raw.frame_calibration import LARGEST, READOUTS, averaged_center, dense_center
from mrirecon.raw.gradient_delays import delay_words
from mrirecon.raw.kspace_grid import Axis
from mrirecon.raw.memory import scratch
from mrirecon.raw.readouts import Index, Lines
from mrirecon.raw.sorting import to_image
from mrirecon.raw.stored_places import ReadoutPlaces
from mrirecon.raw.trajectory_grid import TrajectoryGrid
from mrirecon.types import Sample

PARALLEL = 1e-2
"""Cycles per field of view by which the places of a readout may differ between partitions."""
OUTLYING = 1.25
"""Readouts may reach beyond k-space of the image by this factor; more is damage."""


@dataclass(frozen=True)
class ReadoutPlanes:
    """Readouts of one plane, or of all planes of a slab.

    Attributes:
        kspace: Samples, whitened; those that were not measured are zero.
        measured: Mask of what was measured.
        places: Places of the samples in cycles per field of view.
    """

    kspace: Complex64[Tensor, "z coil h w"]
    measured: Bool[Tensor, "h w"]
    places: Float32[Tensor, "h w 2"]


@dataclass(frozen=True)
class TrajectoryAcquisition(Acquisition):
    """What is needed to put together the readouts of any slice.

    Attributes:
        grid: Image that the readouts make.
        places: Places of the samples of the readouts, stored or made.
        samples: Largest number of samples of a readout.
        spoke: Number of each imaging readout within its frame and slice; those of a slab that
            differ by their partition only have the same.
        partition: Place of each imaging readout among the partitions; all 0 without a slab.
    """

    grid: TrajectoryGrid
    places: ReadoutPlaces
    samples: int
    spoke: Index
    partition: Index
    _references: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def whole_frames(self) -> bool:
        return self.grid.partition is not None

    @property
    def slices(self) -> int:
        partition = self.grid.partition
        return len(self.stack.order) if partition is None else partition.matrix

    def slice(self, frame: int, index: int, fetch: Fetch) -> Sample:
        mine = self.heads["idx"]["slice"][self.kinds.imaging] == self.stack.order[index]
        chosen = np.flatnonzero((self.frame == frame) & mine)
        sample = self._plane(self._gathered(chosen, fetch), 0)
        if not len(chosen) or dense_center(sample) == LARGEST:
            return sample
        return sample.replace(calibration=self._calibration(frame, index, fetch))

    def _calibration(
        self, frame: int, index: int, fetch: Fetch
    ) -> Complex64[Tensor, "coil hc wc"] | None:
        """Return the centre of k-space of all frames of a series together; the last one is kept."""
        one = self.frames[frame]
        series = np.array([(f.contrast, f.set) == (one.contrast, one.set) for f in self.frames])
        if series.sum() < 2:
            return None
        key = (one.contrast, one.set, index)
        if key not in self._references:
            lines = self.heads["idx"]["slice"][self.kinds.imaging]
            chosen = np.flatnonzero(series[self.frame] & (lines == self.stack.order[index]))
            if len(chosen) > READOUTS:
                chosen = chosen[np.linspace(0, len(chosen) - 1, READOUTS).round().astype(np.int64)]
            self._references.clear()
            average = self._plane(self.central(chosen, fetch), 0)
            self._references[key] = averaged_center(average)
        found: Complex64[Tensor, "coil hc wc"] | None = self._references[key]
        return found

    def planes_of(self, frame: int, fetch: Fetch) -> Callable[[int], Sample]:
        planes = self._gathered(np.flatnonzero(self.frame == frame), fetch)
        return lambda index: self._plane(planes, index)

    def along_readouts(self) -> tuple[tuple[str, str], ...]:
        named = self.places.named
        where = "stored with each readout" if named is None else f"made as told: {named.name}"
        return (
            ("trajectory", f"{where}, up to {self.samples} samples"),
            ("gradient delays", delay_words(self.places.delays)),
        )

    def _plane(self, planes: ReadoutPlanes, index: int) -> Sample:
        """Return the Sample of one of the planes."""
        lines = planes.measured.any(0, keepdim=True)
        complete = bool((planes.measured == lines).all())
        return Sample(
            kspace=planes.kspace[index].contiguous(),
            mask=lines if complete else planes.measured,
            trajectory=planes.places,
            image_grid=self.grid.shape,
        )

    def central(self, chosen: Lines, fetch: Fetch) -> ReadoutPlanes:
        """Return readouts of one partition, or of a slice, as they are; not Fourier transformed.

        Args:
            chosen: Numbers of these readouts among the imaging ones.
            fetch: Function that returns readouts by number.

        Raises:
            RawDataError: When they are damaged.
        """
        spoke = np.zeros_like(self.spoke)
        spoke[chosen] = np.arange(len(chosen))  # also of several frames
        alone = replace(
            self,
            grid=replace(self.grid, partition=None),
            partition=np.zeros_like(self.partition),
            spoke=spoke,
        )
        return alone._gathered(chosen, fetch)

    def _gathered(self, chosen: Lines, fetch: Fetch) -> ReadoutPlanes:
        """Put readouts together; ``chosen`` counts the imaging readouts."""
        count = int(self.spoke[chosen].max()) + 1 if len(chosen) else 1
        axis = self.grid.partition
        shape = (1 if axis is None else axis.size, self.coils, self.samples, count)
        kspace = scratch(shape)
        measured = np.zeros((shape[0], *shape[2:]), bool)
        places = np.zeros((*shape[2:], 2), np.float32)
        known = np.zeros(count, bool)
        for number, samples, own in self._readouts(chosen, fetch):
            n, spoke, z = samples.shape[1], int(self.spoke[number]), int(self.partition[number])
            own = np.concatenate([own, np.repeat(own[-1:], self.samples - n, axis=0)])
            if known[spoke] and np.abs(places[:, spoke] - own).max() > PARALLEL:
                raise RawDataError(
                    f"readout {spoke} of the slab lies elsewhere in partition {z} than in others "
                    "(turned from partition to partition?), expected a stack of parallel stars or "
                    "spirals, which a Fourier transform along the partitions takes apart"
                )
            places[:, spoke], known[spoke] = own, True
            kspace[z, :, :n, spoke] = samples
            measured[z, :n, spoke] = samples.any(axis=0).any()
        values = torch.from_numpy(np.asarray(kspace))
        if axis is not None:
            values = self._along_partitions(values, measured, axis)
        return ReadoutPlanes(
            values, torch.from_numpy(measured.any(axis=0)), torch.from_numpy(places)
        )

    def _readouts(
        self, chosen: Lines, fetch: Fetch
    ) -> "list[tuple[int, np.ndarray, Float32[np.ndarray, '_ 2']]]":
        """Return number, whitened samples and places of readouts, without what is discarded."""
        if not len(chosen):
            return []
        lines = self.kinds.imaging[chosen]
        readouts = fetch(lines)
        found = []
        for number, line, samples, own in zip(
            chosen.tolist(), lines, readouts.samples, self.places.of(chosen, readouts), strict=True
        ):
            head = self.heads[line]
            kept = slice(int(head["discard_pre"]), samples.shape[1] - int(head["discard_post"]))
            self._refuse_outlying(own[kept], head)
            samples = np.array(samples[:, kept], np.complex64)
            if self.whitening is not None:  # a channel that is switched off may hold anything
                samples[~self.whitening.any(axis=0)] = 0
            refuse_damaged(samples)
            if self.whitening is not None:
                samples = self.whitening @ samples
            found.append((number, samples.conj() if self.conjugate else samples, own[kept]))
        return found

    def _refuse_outlying(self, places: Float32[np.ndarray, "_ 2"], head: np.void) -> None:
        """Refuse readouts far beyond k-space of the image, which would count as others in it."""
        reach, edge = float(np.abs(places).max(initial=0.0)), max(self.grid.shape) / 2
        if reach > OUTLYING * edge + 1:
            raise RawDataError(
                f"the trajectory of a readout (scan_counter {head['scan_counter']}) reaches to "
                f"{reach:.4g} cycles per field of view, expected about {edge:g} as in the others; "
                "the file is damaged or holds readouts of several trajectories: convert it again"
            )

    def _along_partitions(
        self,
        kspace: Complex64[Tensor, "z coil h w"],
        measured: Bool[np.ndarray, "z h w"],
        axis: Axis,
    ) -> Complex64[Tensor, "z coil h w"]:
        """Fourier transform along the partitions; what was not measured is zero.

        Scaled so that the noise keeps its variance, of readouts with all measured partitions.
        """
        there = int(measured.any(axis=(1, 2)).sum())
        gain = (axis.size / max(there, 1)) ** 0.5
        image = to_image(kspace.movedim(0, -1), axis) * gain
        return image.movedim(-1, 0)
