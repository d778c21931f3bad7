"""The shape of a trajectory: what its readouts are, and how densely they cover k-space."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.sampling.cells import cells
from mrirecon.types import Sample

Kind = Literal["radial", "half-radial", "spiral", "other"]
STRAIGHT = 0.01
"""A spoke deviates from its line by at most this part of its length."""
CENTRAL = 0.05
"""The closest sample of a readout to k = 0, relative to the farthest, where it passes k = 0."""

SAME_ANGLE = 1e-4
"""Spokes whose angles differ by less, in radians, are one that was repeated."""


@dataclass(frozen=True)
class TrajectoryShape:
    """What the readouts of a plane are.

    Attributes:
        kind: ``radial``: diameters of k-space; ``half-radial``: spokes from its centre;
            ``spiral``: curved readouts that begin or end in the centre; or ``other``.
        radius: Largest distance from k = 0, in cycles per field of view.
        step: Typical distance of neighbouring samples of a readout, in the same unit.
    """

    kind: Kind
    radius: float
    step: float

    def text(self, readouts: int, samples: int) -> str:
        """Name the readouts in words."""
        names = {
            "radial": "radial, {} diameters", "half-radial": "radial, {} spokes from the centre",
            "spiral": "spiral, {} arms", "other": "non-Cartesian, {} readouts",
        }  # fmt: skip
        return f"{names[self.kind].format(readouts)} of {samples} samples"


def shape_of(trajectory: Float32[Tensor, "h w 2"]) -> TrajectoryShape:
    """Tell what the readouts of a trajectory are, by where they go.

    Args:
        trajectory: Places of ``h`` samples of ``w`` readouts, in any unit.
    """
    radius = trajectory.norm(dim=-1)
    steps = trajectory.diff(dim=0).norm(dim=-1)
    step = float(steps.median()) if steps.numel() else 0.0
    largest = float(radius.max())
    return TrajectoryShape(_kind(trajectory, radius), largest, step)


def _kind(trajectory: Float32[Tensor, "h w 2"], radius: Float32[Tensor, "h w"]) -> Kind:
    reach = radius.amax(0)
    if len(trajectory) < 4 or not bool((radius.amin(0) <= CENTRAL * reach + 1e-12).all()):
        return "other"
    first, last = trajectory[0], trajectory[-1]
    along = last - first
    length = along.norm(dim=-1)
    if bool((length > 0).all()):
        direction = along / length[:, None]
        off = trajectory - first
        beside = (off[..., 0] * direction[:, 1] - off[..., 1] * direction[:, 0]).abs().amax(0)
        if bool((beside <= STRAIGHT * length).all()):
            whole = (radius[0] > 0.3 * reach) & (radius[-1] > 0.3 * reach)
            return "radial" if bool(whole.all()) else "half-radial"
    ends = torch.minimum(radius[0], radius[-1])
    return "spiral" if bool((ends <= 3 * CENTRAL * reach).all()) else "other"


def readouts_needed(kind: Kind, diameter: float) -> float | None:
    """Return how many spokes sample a disc of k-space as densely as a Cartesian grid does.

    None where the kind of readouts does not tell.

    Args:
        kind: Kind of the readouts.
        diameter: Diameter of the disc, in cycles per field of view.
    """
    if kind == "radial":
        return math.pi / 2 * diameter
    return math.pi * diameter if kind == "half-radial" else None


def spokes_apart(kind: Kind, trajectory: Float32[Tensor, "h w 2"]) -> int:
    """Count the spokes that have a direction of their own: repeated ones sample nothing new.

    Args:
        kind: Kind of the readouts, ``radial`` or ``half-radial``.
        trajectory: Places of ``h`` samples of ``w`` spokes.
    """
    along = (trajectory[-1] - trajectory[0]).double()
    turn = math.pi if kind == "radial" else 2 * math.pi
    angle = torch.remainder(torch.atan2(along[:, 1], along[:, 0]), turn).sort().values
    gaps = torch.cat([angle, angle[:1] + turn]).diff()
    return max(1, int((gaps > SAME_ANGLE).sum()))


def coverage_of(sample: Sample) -> tuple[float, float]:
    """Return what full sampling takes, and what there is, of a plane of non-Cartesian k-space.

    Both count spokes of different directions where there are spokes, which are few when neighbours
    at the edge of k-space are more than a cycle per field of view apart. Else they count the cells
    of the Cartesian grid within the disc that was sampled, and those of them with a sample.

    Args:
        sample: Plane of a scan.
    """
    assert sample.trajectory is not None
    h, w = sample.kspace.shape[-2:]
    measured = sample.mask.expand(h, w)
    kept = measured.any(0)
    if not kept.any():
        return 0.0, 0.0
    shape = shape_of(sample.trajectory[:, kept])
    needed = readouts_needed(shape.kind, 2 * shape.radius)
    if needed is not None:
        spokes = float(spokes_apart(shape.kind, sample.trajectory[:, kept]))
        return max(needed, spokes), spokes
    return _cells(sample, shape.radius)


def _cells(sample: Sample, radius: float) -> tuple[float, float]:
    """Count the cells of a disc, and those with a sample in them."""
    hit = cells(sample)
    axes = [torch.arange(n) - n // 2 for n in sample.grid]
    disc = torch.hypot(axes[0][:, None].float(), axes[1][None].float()) <= radius
    there = float((hit & disc).sum())
    return max(float(disc.sum()), there), there
