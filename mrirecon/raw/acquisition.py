"""What all acquisitions have in common: readouts that make images, whatever their places."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex64, Int64

from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.readouts import Heads, Index, LineKinds, Readouts
from mrirecon.raw.slice_positions import SliceStack
from mrirecon.raw.trajectory_grid import TrajectoryGrid
from mrirecon.scan import Frame

if TYPE_CHECKING:
    import mrirecon.types

Fetch = Callable[[Index], Readouts]
"""Returns the readouts with the given numbers, in that order."""
SIEMENS_TICK = 2.5e-3
"""Seconds per unit of ``acquisition_time_stamp``."""


@dataclass(frozen=True)
class Acquisition(ABC):
    """Readouts of one measurement, understood.

    Attributes:
        heads: Headers of all readouts, corrected where needed.
        kinds: Numbers of the readouts of each kind.
        stack: Slices in anatomical order.
        frames: The volumes, in order.
        frame: The number of each imaging line's frame.
        grid: Grid that the readouts are sorted onto, or the image that they make.
        coils: Number of channels.
        whitening: Matrix applied to every readout, or None without a noise scan.
        white: Whether that makes the noise white, of the channels that are in use.
        conjugate: Whether the vendor's Fourier sign is the opposite of ours.
        notes: Notes about what was noticed, one sentence each.
    """

    heads: Heads
    kinds: LineKinds
    stack: SliceStack
    frames: tuple[Frame, ...]
    frame: Index
    grid: Grid | TrajectoryGrid
    coils: int
    whitening: Complex64[np.ndarray, "coil coil"] | None
    white: bool
    conjugate: bool
    notes: tuple[str, ...]

    @property
    @abstractmethod
    def whole_frames(self) -> bool:
        """Whether the planes of a frame are made together, because they lie across readouts."""

    @property
    @abstractmethod
    def slices(self) -> int:
        """Planes of one frame."""

    @abstractmethod
    def slice(self, frame: int, index: int, fetch: Fetch) -> "mrirecon.types.Sample":
        """Return slice ``index``, in anatomical order, of a 2-D scan.

        A slice that one frame lacks is all zero, with an empty mask.

        Raises:
            RawDataError: When its readouts are damaged.
        """

    @abstractmethod
    def planes_of(self, frame: int, fetch: Fetch) -> "Callable[[int], mrirecon.types.Sample]":
        """Return what gives each plane of a frame of a volume, by its number.

        Raises:
            RawDataError: When readouts are damaged, or partitions have other readouts.
        """

    @abstractmethod
    def along_readouts(self) -> tuple[tuple[str, str], ...]:
        """Describe what there is along readouts, as ``(what, value)``."""

    def frame_interval(self, vendor: str | None) -> float | None:
        """Return the seconds between repetitions; the unit of time stamps is known for Siemens."""
        one = self.frames[0]
        series = [n for n, f in enumerate(self.frames) if replace(f, repetition=0) == one]
        if "siemens" not in (vendor or "").lower() or len(series) < 2:
            return None
        stamps = self.heads["acquisition_time_stamp"][self.kinds.imaging].astype(np.int64)
        starts = [int(stamps[self.frame == number].min()) for number in series]
        ticks = float(np.median(np.diff(starts)))
        return ticks * SIEMENS_TICK if ticks > 0 else None

    def of_slice(self, index: Index, counter: int) -> Int64[np.ndarray, "line"]:
        """Return those of some readouts that belong to a slice, by its counter."""
        return index[self.heads["idx"]["slice"][index] == counter]
