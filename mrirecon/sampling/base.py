"""The contract of undersampling patterns, and their seeds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from torch import Tensor

Shape = tuple[int, int]

FAR = 2
"""Accelerations whose ratio is larger differ by more than the usual centre or chance explains."""


@dataclass(frozen=True)
class DrawnMask:
    """One realisation of a pattern.

    Attributes:
        mask: True where k-space is kept; line patterns have a single row.
        acs: Size ``(h, w)`` of the fully sampled centre.
        nominal: The acceleration that was asked for.
    """

    mask: Bool[Tensor, "#h w"]
    acs: Shape
    nominal: float

    @property
    def achieved(self) -> float:
        """All positions divided by the kept ones; what a paper should report."""
        return achieved_acceleration(self.mask)

    @property
    def remark(self) -> str:
        """What a user may not have wanted, in a sentence with the numbers; mostly empty."""
        w = self.mask.shape[-1]
        kept, center = int(self.mask.sum()), self.acs[1]
        if self.mask.shape[-2] == 1 and center < w and kept == center:
            return (
                f"The sampling keeps the {center} central lines of {w} and none outside, "
                f"R = {self.achieved:.2f}: the image has the resolution of {center} lines. Fewer "
                "central lines (acs or center_fraction) or a lower acceleration leave others."
            )
        if self.nominal > FAR * self.achieved:
            return (
                f"acceleration={self.nominal:g} was asked for, but the sampling keeps more: "
                f"R = {self.achieved:.2f}, with {center} of {w} lines in the fully sampled centre."
            )
        if self.achieved > FAR * self.nominal:
            return (
                f"acceleration={self.nominal:g} was asked for, but the sampling keeps fewer: "
                f"R = {self.achieved:.2f}, {kept} of {self.mask.numel()} positions."
            )
        return ""


class SamplingPattern(ABC):
    """Chooses which k-space positions to keep.

    Patterns draw from numpy's ``RandomState``, because the published fastMRI masks are defined by
    its stream.
    """

    @abstractmethod
    def __call__(self, shape: Shape, rng: np.random.RandomState) -> DrawnMask:
        """Draw a mask for a k-space of ``shape`` ``(h, w)``."""

    def of_frame(self, shape: Shape, rng: np.random.RandomState, frame: int) -> DrawnMask:  # noqa: ARG002
        """Draw the mask of one frame of a series; here the same for all of them.

        Args:
            shape: Size ``(h, w)`` of k-space.
            rng: Generator of the whole series, in the same state for each of its frames.
            frame: Number of the frame, from 0.
        """
        return self(shape, rng)


def scan_rng(name: str) -> np.random.RandomState:
    """Seed from a scan's *name*: the same mask in every run, on every machine, in every folder.

    ``name`` is the file name with its suffix and without the data set's folder, as fastMRI seeds
    its masks; folders below that of the data set count, or patients would share masks.
    """
    return np.random.RandomState(scan_seed(name))


def scan_seed(name: str) -> tuple[int, ...]:
    """Return the seed of :func:`scan_rng`."""
    return tuple(map(ord, name))


def frame_rng(rng: np.random.RandomState, frame: int) -> np.random.RandomState:
    """Return what is random in one frame of a series, from the generator of the whole series."""
    return np.random.RandomState((rng.randint(2**31 - 1), frame))


def achieved_acceleration(mask: Bool[Tensor, "..."]) -> float:
    """Return positions divided by sampled positions; infinite for an empty mask."""
    kept = int(mask.sum())
    return mask.numel() / kept if kept else float("inf")
