"""How one plane of a scan was sampled: what headers and masks tell, without its k-space."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mrirecon.sampling.calibration import LEAST, Shape, center_slice


@dataclass(frozen=True)
class Sampling:
    """How a scan was sampled; empty planes do not count.

    Attributes:
        acceleration: All positions of the k-space grid divided by the measured ones; of a
            trajectory see :func:`~mrirecon.sampling.trajectory_shape.coverage_of`.
        pattern: Pattern in words; of each kind of plane when they differ, first planes counted from
            1.
        acs: Fully sampled centre ``(h, w)``, the smallest of a plane; of spokes the diameter
            within which they are dense enough.
        reference: Size ``(h, w)`` of a separate reference scan, the smallest of a plane; None when
            a plane has none.
        partial_fourier: Measured share of readout and phase encoding, from end to end, the
            smallest of a plane.
        one_sided: Whether in some plane one side of the centre reaches further than the other.
        accelerations: Smallest and largest acceleration of a plane.
        empty: Numbers of the planes that hold no signal, from 0.
        told: Acceleration, its range and empty planes in words.
        readouts: Number of readouts of a plane, and of their samples, of non-Cartesian k-space;
            None of Cartesian.
    """

    acceleration: float
    pattern: str
    acs: tuple[int, int]
    reference: tuple[int, int] | None
    partial_fourier: tuple[float, float]
    one_sided: bool = False
    accelerations: tuple[float, float] = (1.0, 1.0)
    empty: tuple[int, ...] = ()
    told: str = ""
    readouts: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class SampledPlane(ABC):
    """How one plane was sampled.

    Attributes:
        shape: Size ``(h, w)`` of k-space.
        signal: Whether something was measured, and not all of it is zero.
        reference: Size ``(h, w)`` of a separate reference scan of this plane, or None.
        number: Number of the plane in its scan, from 0; None when nobody has told it.
    """

    shape: Shape
    signal: bool
    reference: Shape | None = None
    number: int | None = None

    @abstractmethod
    def coverage(self) -> tuple[float, float]:
        """Return how many positions full sampling takes, and how many were sampled."""

    @abstractmethod
    def description(self) -> Sampling:
        """Say how the plane was sampled, in words and numbers."""

    @abstractmethod
    def alike(self, other: "SampledPlane") -> bool:
        """Tell whether another plane was sampled alike, and has a reference scan alike."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CartesianPlane(SampledPlane):
    """How a plane of Cartesian k-space was sampled.

    Attributes:
        mask: True where k-space was sampled; a single row holds for every row.
        acs: Size ``(h, w)`` of the fully sampled centre.
    """

    mask: Bool[np.ndarray, "#h w"]
    acs: Shape

    @property
    def whole_mask(self) -> Bool[np.ndarray, "h w"]:
        """The mask with all of its rows."""
        return np.broadcast_to(self.mask, self.shape)

    def coverage(self) -> tuple[float, float]:
        return float(self.whole_mask.size), float(self.whole_mask.sum())

    def description(self) -> Sampling:
        mask = self.whole_mask
        rows, columns = np.asarray(mask.any(1)), np.asarray(mask.any(0))
        if mask.all():
            pattern = "fully sampled"
        elif (mask == (rows[:, None] & columns[None])).all():
            pattern = _lines(columns, self.acs[1])
        else:
            pattern = "two phase-encoding axes"
        whole, kept = self.coverage()
        return Sampling(
            acceleration=whole / kept if kept else float("inf"),
            pattern=pattern,
            acs=self.acs,
            reference=self.reference,
            partial_fourier=(_extent(rows), _extent(columns)),
            one_sided=one_sided(rows) or one_sided(columns),
        )

    def alike(self, other: SampledPlane) -> bool:
        return (
            isinstance(other, CartesianPlane)
            and self.reference == other.reference
            and np.array_equal(self.mask, other.mask)
        )


def one_sided(line: np.ndarray) -> bool:
    """Tell whether one side lacks more than a tenth of the other, and POCS could fill it."""
    measured = np.flatnonzero(line) - len(line) // 2
    if not len(measured):
        return False
    left, right = -int(measured[0]), int(measured[-1]) + 1
    return LEAST < min(left, right) < 0.9 * max(left, right) - 2


def _extent(line: np.ndarray) -> float:
    measured = np.flatnonzero(line)
    return float((measured[-1] - measured[0] + 1) / len(line)) if len(measured) else 0.0


def _lines(columns: np.ndarray, acs: int) -> str:
    measured = np.flatnonzero(columns)
    center = center_slice(len(columns), acs)
    steps = [
        step
        for side in (measured[measured < center.start], measured[measured >= center.stop])
        for step in np.diff(side)
    ]
    if not steps or max(steps) == 1:
        return "every line of the measured interval"
    if min(steps) == max(steps):
        return f"one line of {steps[0]}, {acs} in the centre"
    return f"irregular lines, {min(steps)} to {max(steps)} apart, {acs} in the centre"
