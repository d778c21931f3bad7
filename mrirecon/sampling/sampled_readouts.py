"""How a plane was sampled, as its Sample tells it; along a trajectory nothing else does."""

from dataclasses import dataclass

from mrirecon.sampling.calibration import Shape, central_block
from mrirecon.sampling.cells import cells, dense_width
from mrirecon.sampling.sampled_plane import CartesianPlane, SampledPlane, Sampling
from mrirecon.sampling.trajectory_shape import (
    TrajectoryShape,
    coverage_of,
    readouts_needed,
    shape_of,
    spokes_apart,
)
from mrirecon.types import Sample


def sampled_plane_of(sample: Sample) -> SampledPlane:
    """Tell how a plane was sampled.

    Args:
        sample: One plane, not a batch.
    """
    h, w = sample.kspace.shape[-2:]
    separate = sample.calibration
    reference = None if separate is None else (separate.shape[-2], separate.shape[-1])
    signal = bool(sample.mask.any()) and bool(sample.kspace.any())
    number = int(sample.key[1]) if len(sample.key) > 1 else None
    if not sample.cartesian:
        # only how it was sampled is kept, which is the same for all coils
        places = sample.replace(
            kspace=sample.kspace.new_empty((0, h, w)), maps=None, calibration=None, neighbors=None
        )
        return ReadoutPlane(
            shape=(h, w), signal=signal, reference=reference, number=number, places=places
        )
    mask, told = sample.mask.numpy(), sample.acs  # a reader may leave it to be counted
    acs = central_block(mask, (h, w)) if told is None else (int(told[0]), int(told[1]))
    return CartesianPlane(
        shape=(h, w), signal=signal, reference=reference, number=number, mask=mask, acs=acs
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadoutPlane(SampledPlane):
    """How a plane was sampled along a trajectory.

    Attributes:
        places: The plane without its k-space.
    """

    places: Sample

    def coverage(self) -> tuple[float, float]:
        return coverage_of(self.places)

    def description(self) -> Sampling:
        sample, (h, _) = self.places, self.shape
        assert sample.trajectory is not None
        kept = sample.mask.expand(self.shape).any(0)
        shape = shape_of(sample.trajectory[:, kept] if kept.any() else sample.trajectory)
        whole, there = self.coverage()
        reach = sample.trajectory.abs().amax((0, 1))
        extent = [min(1.0, 2 * float(k) / n) for k, n in zip(reach, sample.grid, strict=True)]
        return Sampling(
            acceleration=whole / there if there else float("inf"),
            pattern=shape.text(int(kept.sum()), h),
            acs=_dense_center(sample, shape),
            reference=self.reference,
            partial_fourier=(extent[0], extent[1]),
            readouts=(int(kept.sum()), h),
        )

    def alike(self, other: SampledPlane) -> bool:
        if not isinstance(other, ReadoutPlane) or self.reference != other.reference:
            return False
        return _kind(self) == _kind(other)


def _kind(plane: ReadoutPlane) -> tuple[str, int]:
    """Return the kind of the readouts of a plane, and their number."""
    assert plane.places.trajectory is not None
    kept = plane.places.mask.expand(plane.shape).any(0)
    return shape_of(plane.places.trajectory).kind, int(kept.sum())


def _dense_center(sample: Sample, shape: TrajectoryShape) -> Shape:
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
