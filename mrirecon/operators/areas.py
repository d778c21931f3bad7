"""How much of k-space each sample stands for: one cell of the Cartesian grid, or a part of it."""

import hashlib
from collections import OrderedDict

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.operators.density import iterated_density
from mrirecon.operators.nonuniform import NonUniformFourier
from mrirecon.types import Sample

STEPS = 6
"""Repetitions of the smoothing; the norms of 16 trajectories did not change after 5."""
TOLERANCE = 1e-3
"""Relative error of the transforms in it."""
KNOWN = 256
"""Trajectories whose areas are kept: frames and slices often share theirs."""


def areas(sample: Sample) -> Float32[Tensor, "*b #h #w"]:
    """Return the part of a cell of the Cartesian grid that each sample stands for.

    It is 1 for the measured samples of Cartesian k-space. Elsewhere it follows from
    :func:`~mrirecon.operators.iterated_density`: samples that crowd share a cell, and one that is
    far from all others stands for one cell, not for the gap around it. So the sum of all is about
    the number of cells that were measured. Zero for samples that were not.
    """
    mask = sample.mask.float()
    if sample.trajectory is None:
        return mask
    if sample.areas is None:
        sample = with_areas(sample)
    assert sample.areas is not None
    return sample.areas * mask


@torch.no_grad()
def with_areas(sample: Sample) -> Sample:
    """Return the sample with its areas computed once, by whoever prepares it."""
    if sample.trajectory is None:
        return sample
    *batch, h, w, _ = sample.trajectory.shape
    places = sample.trajectory.reshape(-1, h, w, 2)
    masks = sample.mask.expand(*batch, h, w).reshape(-1, h, w)
    found = [_of_member(p, m, sample.grid) for p, m in zip(places, masks, strict=True)]
    return sample.replace(areas=torch.stack(found).reshape(*batch, h, w))


_known: OrderedDict[bytes, Tensor] = OrderedDict()


def forget() -> None:
    """Forget the areas of all trajectories, which takes their memory back."""
    _known.clear()


def _of_member(
    places: Float32[Tensor, "h w 2"], mask: Bool[Tensor, "h w"], grid: tuple[int, int]
) -> Float32[Tensor, "h w"]:
    if places.is_cuda:  # looking it up would wait for the GPU
        return _computed(places, mask, grid)
    content = hashlib.blake2b(repr((grid, places.shape)).encode())
    for part in (places, mask):
        content.update(part.contiguous().numpy().tobytes())
    key = content.digest()
    found = _known.get(key)
    if found is None:
        found = _known[key] = _computed(places, mask, grid)
        if len(_known) > KNOWN:
            _known.popitem(last=False)
    return found


def _computed(places: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    result = torch.zeros_like(places[..., 0])
    if mask.any():
        operator = NonUniformFourier(places[mask], grid, TOLERANCE)
        result[mask] = iterated_density(operator, STEPS).clamp(max=1)
    return result
