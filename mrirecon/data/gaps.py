"""Scans that lack samples between others, of which no reference can be made."""

from jaxtyping import Bool
from torch import Tensor

from mrirecon.buffers import sent
from mrirecon.sampling.extents import measured_interval
from mrirecon.sampling.trajectory_shape import coverage_of
from mrirecon.types import Sample

ENOUGH = 0.9
"""Part of what full sampling takes that samples along a trajectory need for a reference."""


def has_gaps(sample: Sample) -> Bool[Tensor, "*b"]:
    """Tell whether positions between measured ones were left out: the scan is undersampled.

    Along a trajectory that is so where fewer than nine tenths of the readouts, or of the cells,
    are there that full sampling takes (:func:`~mrirecon.sampling.trajectory_shape.coverage_of`).
    """
    if not sample.cartesian:
        return _lacks_readouts(sample)
    mask = sample.mask.expand(*sample.mask.shape[:-2], *sample.kspace.shape[-2:])
    rows, columns = measured_interval(mask.any(-1)), measured_interval(mask.any(-2))
    return (rows[..., :, None] & columns[..., None, :] & ~mask).any(-1).any(-1)


def _lacks_readouts(sample: Sample) -> Bool[Tensor, "*b"]:
    assert sample.trajectory is not None
    batch, (h, w) = sample.kspace.shape[:-3], sample.kspace.shape[-2:]
    masks = sample.mask.expand(*batch, h, w).reshape(-1, h, w).cpu()
    places = sample.trajectory.reshape(-1, h, w, 2).cpu()
    lacking = []
    for mask, trajectory in zip(masks, places, strict=True):
        member = Sample(
            sample.kspace.new_zeros(1, h, w, device="cpu"), mask,
            trajectory=trajectory, image_grid=sample.grid,
        )  # fmt: skip
        whole, kept = coverage_of(member)
        lacking.append(kept < ENOUGH * whole)
    return sent(lacking, sample.mask.device).reshape(batch)
