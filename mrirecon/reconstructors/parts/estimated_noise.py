"""The level of unknown noise, found in k-space: one estimate for every method and judgement."""

import math

import torch
from jaxtyping import Bool, Complex64, Float32
from torch import Tensor

from mrirecon.buffers import sent
from mrirecon.fourier import ifft
from mrirecon.image import squared_magnitude
from mrirecon.types import Sample

OUTER = 0.25
"""Part of the complete lines, the outermost, that is looked at."""
TRIM = 32
"""One over the part of the image at either side that a receiver's filter may have damped."""
LOW = 0.1
DEVIATE = -1.2815515655446004  # of a normal distribution, at LOW
RING = 0.1
"""Part of the samples, the outermost, that is looked at where there are no complete lines."""
QUARTER = 0.25
PADDING = 1e-10
"""Samples whose energy is below this part of the mean are rounding errors of zero padding."""


def noise_std(sample: Sample) -> Float32[Tensor, "*b"]:
    """Return the standard deviation of the noise in each real component, of every member.

    That is ``sample.noise`` where it is known, else :func:`estimated_noise`.
    """
    return estimated_noise(sample) if sample.noise is None else sample.noise


@torch.no_grad()
def estimated_noise(sample: Sample) -> Float32[Tensor, "*b"]:
    r"""Estimate the standard deviation of the noise in each real component, from k-space alone.

    Along an axis whose lines are measured completely, the outermost quarter of them is transformed
    to the image: noise is everywhere there, the object is not, and its edges are few. The mean
    energy of the image's rows has the tenth percentile of a gamma distribution where there is
    noise only, which is divided out. It is the lesser of both axes. Where no axis has complete
    lines, as with a Poisson disc, and along trajectories, the squared magnitudes of the outermost
    tenth of the samples are taken to have the lower quartile of noise,
    :math:`-2\sigma^2\ln 0.75`.

    Where coils differ it is about the root-mean-square over them; where samples were averaged
    differently, that of the best-averaged. An object that fills the image, or a small matrix, makes
    it too large. With complete lines it was found between 0.94 and 1.11 of the true level at a
    signal-to-noise ratio of up to 10 (brains of three contrasts and simulated ones, 1 to 32 coils,
    white and correlated, R = 1 to 8, partial Fourier, matrices from 32), at most 1.3 at 30, 1.4 at
    100 and 2.9 at 300; without them between 0.85 and 1.2 up to 10, at most 1.9, 5 and 14 above. It
    is 0 where nothing was measured.
    """
    kspace = sample.kspace.detach()
    if sample.weights is not None:
        kspace = kspace * sample.weights.sqrt().unsqueeze(-3)
    *batch, coils, h, w = kspace.shape
    kspace = kspace.reshape(-1, coils, h, w)
    masks = sample.mask.expand(*batch, h, w).reshape(-1, h, w)
    # where to look is decided on the host, which waits for a GPU once
    measured = _measured(kspace, masks).cpu()
    members = zip(kspace, measured, strict=True)
    if sample.trajectory is None:
        levels = [_member(k, m) for k, m in members]
    else:
        radii = sample.trajectory.norm(dim=-1).reshape(-1, h, w).cpu()
        levels = [_in_ring(k, m, r) for (k, m), r in zip(members, radii, strict=True)]
    return torch.stack(levels).reshape(batch) if levels else kspace.new_zeros(batch).real


def _measured(
    kspace: Complex64[Tensor, "n coil h w"], masks: Bool[Tensor, "n h w"]
) -> Bool[Tensor, "n h w"]:
    """Return where there are data: zero padding is no measurement, whatever a mask says."""
    energy = torch.view_as_real(kspace).square().sum((1, -1))
    inside = (-2, -1)
    count = masks.sum(inside, keepdim=True).clamp_min(1)
    return masks & (energy > PADDING * (energy * masks).sum(inside, keepdim=True) / count)


def _member(
    kspace: Complex64[Tensor, "coil h w"], measured: Bool[Tensor, "h w"]
) -> Float32[Tensor, ""]:
    found = [
        _in_rows(kspace, measured),
        _in_rows(kspace.transpose(-1, -2), measured.transpose(-1, -2)),
    ]
    known = [level for level in found if level is not None]
    if known:
        return torch.stack(known).amin()
    y, x = ((torch.arange(n) - n // 2).abs() / max(n / 2, 1) for n in measured.shape)
    return _in_ring(kspace, measured, torch.maximum(y[:, None], x))


def _in_rows(
    kspace: Complex64[Tensor, "coil n lines"], measured: Bool[Tensor, "n lines"]
) -> Float32[Tensor, ""] | None:
    """Estimate from image rows of the outermost lines that are complete along the first axis."""
    n, lines = measured.shape
    rows = measured.any(1)  # of an asymmetric echo, a part
    distance = (torch.arange(lines) - lines // 2).abs()
    complete = measured[rows].all(0) & (distance >= lines / 4)
    if not rows.any() or int(complete.sum()) < 2:
        return None
    every = distance[measured[rows].all(0)].sort(descending=True).values
    outer = complete & (distance >= every[max(2, math.ceil(OUTER * len(every))) - 1])
    looked_at = kspace[..., sent(outer.nonzero()[:, 0], kspace.device)]
    chosen = torch.where(sent(rows[:, None], kspace.device), looked_at, 0.0)
    energy = torch.view_as_real(ifft(chosen, (-2,))).square().mean((0, 2, 3))
    energy = energy[n // TRIM : n - n // TRIM] / rows.float().mean()
    terms = kspace.shape[0] * int(outer.sum())
    # the percentile of a gamma distribution (Wilson and Hilferty, PNAS 17:684, 1931)
    share = (1 - 1 / (9 * terms) + DEVIATE / (9 * terms) ** 0.5) ** 3
    ordered, place = energy.sort().values, LOW * (len(energy) - 1)
    low, high = ordered[int(place)], ordered[math.ceil(place)]
    return ((low + (place % 1) * (high - low)) / share).sqrt()  # quantile() reads on the host


def _in_ring(
    kspace: Complex64[Tensor, "coil h w"],
    measured: Bool[Tensor, "h w"],
    distance: Float32[Tensor, "h w"],
) -> Float32[Tensor, ""]:
    """Estimate from the measured samples at the largest distance from the centre."""
    if not measured.any():
        return kspace.new_zeros(()).real
    ordered = distance[measured].sort().values
    outer = measured & (distance >= ordered[int((1 - RING) * (len(ordered) - 1))])
    places = sent(outer.flatten().nonzero()[:, 0], kspace.device)
    squares = squared_magnitude(kspace.flatten(1)[:, places]).flatten()
    low = squares.sort().values[int(QUARTER * (len(squares) - 1))]
    return (low / (-2 * math.log(1 - QUARTER))).sqrt()
