"""The two numbers that tell how densely a slice was meant to be sampled."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mrirecon.buffers import sent
from mrirecon.sensitivity.base import calibration_extent
from mrirecon.types import Sample


class NominalSampling(nn.Module):
    r"""Acceleration :math:`R` and central part :math:`r`, as a mask is asked for.

    Networks of DIRECT are told :math:`\log(R, 100\,r)`. What is not given is estimated from the
    mask by :func:`nominal_acceleration` and :func:`nominal_center`.

    Args:
        acceleration: Acceleration of all slices; None estimates that of each.
        center_fraction: Part of the columns that are the centre of all slices, at most
            :math:`1 / R`; None estimates that of each.
        logarithm: Whether the numbers are told as above; else they are :math:`R` and :math:`r`.
    """

    numbers = 2

    def __init__(
        self,
        acceleration: float | None = None,
        center_fraction: float | None = None,
        logarithm: bool = True,
    ) -> None:
        super().__init__()
        if acceleration is not None and not acceleration >= 1:
            raise ValueError(f"acceleration must be at least 1, got {acceleration}")
        if center_fraction is not None and not 0 < center_fraction <= 1:
            raise ValueError(f"center_fraction must lie in (0, 1], got {center_fraction}")
        self.acceleration, self.center_fraction = acceleration, center_fraction
        self.logarithm = logarithm

    def forward(self, sample: Sample) -> Float[Tensor, "*b 2"]:
        """Return the numbers of every member."""
        batch, w = sample.kspace.shape[:-3], sample.kspace.shape[-1]
        masks = sample.mask.expand(*batch, sample.mask.shape[-2], w).cpu()
        masks = masks.reshape(-1, *masks.shape[-2:])
        centers = calibration_extent(sample).reshape(-1, 2)[:, 1].tolist()
        numbers = []
        for mask, center in zip(masks, centers, strict=True):
            R = self.acceleration or nominal_acceleration(mask, center)
            r = self.center_fraction or nominal_center(center, w)
            numbers.append((R, max(min(1 / R, r), 1e-4)))
        values = torch.tensor(numbers, dtype=sample.kspace.real.dtype).reshape(*batch, 2)
        told = (values * values.new_tensor([1.0, 100.0])).log() if self.logarithm else values
        return sent(told, sample.kspace.device)


def nominal_acceleration(mask: Bool[Tensor, "#h w"], center: int) -> float:
    r"""Estimate the acceleration that a mask was drawn with, its centre counted.

    Of lines that are equally far apart outside the centre, their distance :math:`d` tells it, which
    for an acceleration :math:`R` of all :math:`W` columns with :math:`n` in the centre is
    :math:`d = R (n - W) / (n R - W)`. Else it is the number of positions, without what is wider
    at the edges than between columns, divided by how many of them were measured. A whole number
    that explains the mask as well, to one line, is taken instead.

    Args:
        mask: Mask of one slice; a single row holds for every row.
        center: Number of columns in the fully sampled centre.
    """
    sampled = mask.numpy()
    w = sampled.shape[1]
    columns = np.flatnonzero(sampled.any(0))
    if columns.size == 0:
        return 1.0
    widest = int(np.diff(columns).max(initial=1)) - 1  # more at an edge is no undersampling
    part = sampled[:, max(0, columns[0] - widest) : columns[-1] + 1 + widest]
    R = part.size / int(part.sum())
    start = (w - center + 1) // 2
    outside = columns[(columns < start) | (columns >= start + center)]
    if (sampled == sampled[:1]).all() and len(outside) > 2:
        gaps = np.diff(outside)
        across = (outside[:-1] < start) & (outside[1:] >= start)
        within = gaps[~across]
        if within.size and within.max() - within.min() <= 1:
            steps = within.size + np.round(gaps[across] / within.mean()).sum()
            d = float(outside[-1] - outside[0]) / float(steps)
            R = d * w / (d * center - center + w)
    whole = max(1, round(R))
    return float(whole) if abs(1 / R - 1 / whole) * w <= 1 else float(R)


def nominal_center(center: int, w: int) -> float:
    """Estimate the part of ``w`` columns that ``center`` was rounded from: whole percents if so."""
    percents = round(center / w, 2)
    return percents if round(percents * w) == center else center / w
