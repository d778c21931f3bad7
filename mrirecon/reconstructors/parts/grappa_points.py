"""GRAPPA for patterns along two phase-encoding axes: one kernel per neighbourhood of a sample."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Int64
from torch import Tensor

from mrirecon.buffers import at_once
from mrirecon.reconstructors.parts.grappa_weights import interpolation_weights, precise
from mrirecon.sensitivity.base import CalibrationError

CHUNK = 2**22  # elements of the systems, or of the weights, held at a time


def fill_points(
    kspace: Complex64[Tensor, "coil h w"],
    mask: Bool[np.ndarray, "h w"],
    region: Bool[np.ndarray, "h w"],
    calibration: Complex64[Tensor, "coil hc wc"],
    count: int,
    regularization: float,
) -> Complex64[Tensor, "coil h w"]:
    """Return k-space with the missing samples inside ``region`` filled.

    Each is predicted from about ``count`` nearest measured samples, as far as the calibration data
    reaches, with the kernel of exactly that constellation: a lattice (R = 2 x 2, CAIPIRINHA) has a
    few constellations, a Poisson disc thousands. A sample with no neighbour in reach stays zero.

    Raises:
        CalibrationError: When the calibration data is too small for any kernel.
    """
    coils, _, w = kspace.shape
    reach = _reach(calibration, count * region.sum() / max(1, mask.sum()))
    window, width = 2 * reach + 1, w + 2 * reach
    points, chosen = _neighbours(mask, region, reach, count)
    patches = calibration.unfold(-2, window, 1).unfold(-2, window, 1).permute(0, 3, 4, 1, 2)
    A = precise(patches.reshape(coils * window**2, -1), regularization)
    gram = A @ A.mH
    padded = torch.nn.functional.pad(kspace, (reach,) * 4).flatten(1)
    filled = kspace.clone().flatten(1)
    channel = torch.arange(coils, device=kspace.device)
    target = channel * window**2 + window**2 // 2
    kinds, kind_of = _distinct(chosen)
    for size in np.unique(kinds.sum(1)):
        if size == 0:
            continue
        of_size = np.flatnonzero(kinds.sum(1) == size)
        for part in np.array_split(
            of_size, math.ceil(len(of_size) * (coils * size) ** 2 / at_once(CHUNK))
        ):
            sources = torch.from_numpy(np.nonzero(kinds[part])[1].reshape(len(part), size))
            sources = sources.to(kspace.device)
            index = (channel[:, None] * window**2 + sources[:, None]).flatten(1)
            W = interpolation_weights(
                gram[index[:, :, None], index[:, None, :]], gram[index][..., target], regularization
            )
            members = np.flatnonzero(np.isin(kind_of, part))
            steps = math.ceil(len(members) * coils**2 * size / at_once(CHUNK))
            for some in np.array_split(members, steps):
                kind = torch.from_numpy(np.searchsorted(part, kind_of[some])).to(kspace.device)
                y, x = torch.from_numpy(points[:, some]).to(kspace.device)
                offset = (sources // window) * width + sources % window
                X = padded[:, (y * width + x)[:, None] + offset[kind]]
                Y = W[kind] @ X.transpose(0, 1).flatten(1).unsqueeze(-1)
                filled[:, y * w + x] = Y.squeeze(-1).mT
    return filled.reshape(kspace.shape)


def _reach(calibration: Tensor, area: float) -> int:
    """Return the half width of a window that holds ``area`` positions and can be calibrated."""
    extent = min(calibration.shape[-2:])
    largest = (extent - 1) // 4
    if largest < 1:
        raise CalibrationError(
            "GRAPPA needs a fully sampled centre of at least 5 x 5 samples (h x w), found "
            f"{calibration.shape[-2]} x {calibration.shape[-1]}; choose a sampling with a larger "
            "centre, or provide a calibration scan"
        )
    return int(np.clip(round(math.sqrt(area / math.pi)), 1, largest))


def _neighbours(
    mask: Bool[np.ndarray, "h w"], region: Bool[np.ndarray, "h w"], reach: int, count: int
) -> tuple[Int64[np.ndarray, "2 p"], Bool[np.ndarray, "p k"]]:
    """Return the missing points and which positions of their windows predict them.

    Neighbours are taken in rings of equal distance, so that the choice has no preferred direction.
    """
    points = np.stack(np.nonzero(region & ~mask))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mask, reach), (2 * reach + 1,) * 2)
    measured = windows[points[0], points[1]].reshape(points.shape[1], -1)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = (dy**2 + dx**2).ravel()
    chosen = np.zeros_like(measured)
    found = np.zeros(len(measured), int)
    for ring in np.unique(distance):
        inside = distance == ring
        chosen[:, inside] = measured[:, inside] & (found < count)[:, None]
        found += measured[:, inside].sum(1)
    return points, chosen


def _distinct(
    rows: Bool[np.ndarray, "p k"],
) -> tuple[Bool[np.ndarray, "u k"], Int64[np.ndarray, "p"]]:
    """Return the distinct rows, and which of them each row is."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], inverse.reshape(-1)
