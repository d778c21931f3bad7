"""How a scan was sampled, in words and numbers that hold for all of its planes."""

from dataclasses import dataclass, field, replace

import numpy as np

from mrirecon.sampling import Coverage, achieved_acceleration, cells
from mrirecon.sampling.calibration import LEAST, center_slice, central_block
from mrirecon.sampling.cells import dense_width
from mrirecon.sampling.trajectory_shape import (
    TrajectoryShape,
    coverage_of,
    readouts_needed,
    shape_of,
    spokes_apart,
)
from mrirecon.types import Mask, Sample

LISTED = 3
"""At most so many different patterns are named."""


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


@dataclass
class ScanSampling:
    """Collects how the planes of a scan were sampled, one after the other.

    Attributes:
        coverage: How much of k-space.
        kinds: The first plane of each pattern, from 0, and how it was sampled.
    """

    coverage: Coverage = field(default_factory=Coverage)
    kinds: list[tuple[int, Sampling]] = field(default_factory=list)
    _planes: int = 0
    _partial: Mask | None = None
    _last: Sample | None = None

    def add(self, sample: Sample) -> bool:
        """Look at the next plane; tell whether it holds signal."""
        number, before = self._planes, len(self.coverage.kept)
        self._planes += 1
        self.coverage.add(sample)
        if len(self.coverage.kept) == before:
            return False
        if self._last is None or not _alike(sample, self._last):
            found = describe_plane(sample)
            if found.one_sided:
                mask = sample.mask.expand(sample.kspace.shape[-2:])
                self._partial = mask if self._partial is None else self._partial | mask
            if all(found != kind for _, kind in self.kinds):
                self.kinds.append((number, found))
        # only how it was sampled is kept, which is the same for all coils
        reference = None if sample.calibration is None else sample.calibration[:0]
        self._last = sample.replace(
            kspace=sample.kspace[:0], maps=None, calibration=reference, neighbors=None
        )
        return True

    def sampling(self, sample: Sample) -> Sampling:
        """Return what holds for the scan; ``sample`` stands for one without any signal."""
        kinds = [kind for _, kind in self.kinds] or [describe_plane(sample)]
        references = [kind.reference for kind in kinds if kind.reference is not None]
        shares = np.array([kind.partial_fourier for kind in kinds]).min(0)
        return replace(
            kinds[0],
            pattern=self._pattern(kinds),
            acs=min((kind.acs for kind in kinds), key=_rank),
            reference=min(references, key=_rank) if len(references) == len(kinds) else None,
            partial_fourier=(float(shares[0]), float(shares[1])),
            one_sided=self._lacks_a_side(),
            acceleration=self.coverage.acceleration,
            accelerations=self.coverage.range,
            empty=tuple(self.coverage.empty),
            told=self.coverage.text(),
        )

    def _lacks_a_side(self) -> bool:
        """Tell whether partial Fourier left out a side of some planes.

        It leaves out the same one of all; random lines of a frame that happen to reach further on
        one side reach further on the other side in other frames.
        """
        if self._partial is None:
            return False
        return any(_one_sided(np.asarray(self._partial.any(axis))) for axis in (0, 1))

    def _pattern(self, kinds: list[Sampling]) -> str:
        first: dict[str, int] = {}
        for number, kind in self.kinds:
            first.setdefault(kind.pattern, number + 1)
        if len(first) < 2:
            return kinds[0].pattern
        named = [f"{pattern} (plane {plane})" for pattern, plane in first.items()]
        return "; ".join([*named[:LISTED], *(["…"] if len(named) > LISTED else [])])


def describe_plane(sample: Sample) -> Sampling:
    """Say how a plane was sampled."""
    if not sample.cartesian:
        return _describe_readouts(sample)
    h, w = sample.kspace.shape[-2:]
    mask = sample.mask.expand(h, w).numpy()
    rows, columns = np.asarray(mask.any(1)), np.asarray(mask.any(0))
    told = sample.acs  # a reader may leave it to be counted
    acs = central_block(sample.mask, (h, w)) if told is None else (int(told[0]), int(told[1]))
    separate = sample.calibration
    reference = None if separate is None else (separate.shape[-2], separate.shape[-1])
    extent = (_extent(rows), _extent(columns))
    if mask.all():
        pattern = "fully sampled"
    elif (mask == (rows[:, None] & columns[None])).all():
        pattern = _lines(columns, acs[1])
    else:
        pattern = "two phase-encoding axes"
    acceleration = achieved_acceleration(sample.mask.expand(h, w))
    one_sided = _one_sided(rows) or _one_sided(columns)
    return Sampling(acceleration, pattern, acs, reference, extent, one_sided)


def _describe_readouts(sample: Sample) -> Sampling:
    """Say how a plane was sampled along a trajectory."""
    assert sample.trajectory is not None
    h, w = sample.kspace.shape[-2:]
    mask = sample.mask.expand(h, w)
    kept = mask.any(0)
    shape = shape_of(sample.trajectory[:, kept] if kept.any() else sample.trajectory)
    whole, there = coverage_of(sample)
    separate = sample.calibration
    reference = None if separate is None else (separate.shape[-2], separate.shape[-1])
    reach = sample.trajectory.abs().amax((0, 1))
    extent = [min(1.0, 2 * float(k) / n) for k, n in zip(reach, sample.grid, strict=True)]
    return Sampling(
        acceleration=whole / there if there else float("inf"),
        pattern=shape.text(int(kept.sum()), h),
        acs=_dense_center(sample, shape),
        reference=reference,
        partial_fourier=(extent[0], extent[1]),
        readouts=(int(kept.sum()), h),
    )


def _dense_center(sample: Sample, shape: TrajectoryShape) -> tuple[int, int]:
    """Return the centre in which neighbouring spokes are at most a cycle per field of view apart.

    For others, the square around k = 0 of which nearly every cell of the grid has a sample.
    """
    assert sample.trajectory is not None
    h, w = sample.kspace.shape[-2:]
    mask = sample.mask.expand(h, w)
    whole, kept = readouts_needed(shape.kind, 1.0), mask.any(0)
    if whole is not None:
        spokes = spokes_apart(shape.kind, sample.trajectory[:, kept]) if kept.any() else 0
        diameter = int(min(2 * shape.radius, spokes / whole, *sample.grid))
        return diameter, diameter
    width = dense_width(cells(sample))
    return width, width


def _alike(one: Sample, other: Sample) -> bool:
    """Tell whether two planes were sampled alike, and have reference scans alike."""
    sizes = [None if s.calibration is None else s.calibration.shape[-2:] for s in (one, other)]
    if one.cartesian != other.cartesian or sizes[0] != sizes[1]:
        return False
    if one.trajectory is not None and other.trajectory is not None:
        kinds = [shape_of(s.trajectory).kind for s in (one, other) if s.trajectory is not None]
        counts = [int(s.mask.expand(s.kspace.shape[-2:]).any(0).sum()) for s in (one, other)]
        return kinds[0] == kinds[1] and counts[0] == counts[1]
    return one.mask.equal(other.mask)


def _rank(block: tuple[int, int]) -> tuple[int, int]:
    return min(block), block[0] * block[1]


def _one_sided(line: np.ndarray) -> bool:
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
