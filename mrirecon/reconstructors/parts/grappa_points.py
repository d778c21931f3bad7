"""GRAPPA for patterns along two phase-encoding axes: one kernel per neighbourhood of a sample."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Complex64, Float64, Int64
from torch import Tensor

from mrirecon.buffers import at_once
from mrirecon.reconstructors.parts.grappa_weights import penalized_weights, precise
from mrirecon.sensitivity.base import CalibrationError

# elements of the systems, or of the weights, held at a time: as stay in a processor's cache
CHUNK = {"cpu": 2**17, "cuda": 2**22}


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
    fit = _Fit.of(calibration, window, regularization)
    padded = torch.nn.functional.pad(kspace, (reach,) * 4).flatten(1)
    filled = kspace.clone().flatten(1)
    kinds, kind_of = _distinct(chosen)
    members = np.argsort(kind_of, kind="stable")
    first = np.searchsorted(kind_of[members], np.arange(len(kinds) + 1))
    most = at_once(CHUNK.get(kspace.device.type, CHUNK["cpu"]))
    for part, size in _parts(kinds, coils, most):
        sources = torch.from_numpy(np.nonzero(kinds[part])[1].reshape(-1, size)).to(kspace.device)
        W = fit.weights(sources)
        offset = (sources // window) * width + sources % window
        concerned = members[first[part.start] : first[part.stop]]
        steps = math.ceil(len(concerned) * coils**2 * size / most)
        for some in np.array_split(concerned, steps):
            kind = torch.from_numpy(kind_of[some] - part.start).to(kspace.device)
            y, x = torch.from_numpy(points[:, some]).to(kspace.device)
            X = padded[:, (y * width + x)[:, None] + offset[kind]]
            Y = W[kind] @ X.permute(1, 2, 0).flatten(1).unsqueeze(-1)
            filled[:, y * w + x] = Y.squeeze(-1).mT
    return filled.reshape(kspace.shape)


def _parts(kinds: Bool[np.ndarray, "u k"], coils: int, most: int) -> Iterator[tuple[slice, int]]:
    """Yield constellations of equally many samples, and how many, whose systems fit in ``most``."""
    sizes = kinds.sum(1)
    for size in np.unique(sizes[sizes > 0]).tolist():
        start, stop = np.searchsorted(sizes, [size, size + 1]).tolist()
        step = max(1, most // (coils * size) ** 2)
        for at in range(start, stop, step):
            yield slice(at, min(at + step, stop)), size


@dataclass(frozen=True)
class _Fit:
    """What the calibration data tells about every pair of positions in a window.

    Attributes:
        gram: Gram matrix of the calibration data, a block of coils x coils for each pair.
        energy: Sum of the squared magnitudes of each block.
        regularization: Relative weight of the penalty.
    """

    gram: Complex[Tensor, "k k coil coil"]
    energy: Float64[Tensor, "k k"]
    regularization: float

    @classmethod
    def of(
        cls, calibration: Complex64[Tensor, "coil hc wc"], window: int, regularization: float
    ) -> "_Fit":
        """Slide a window of this width over the calibration data."""
        coils = len(calibration)
        patches = calibration.unfold(-2, window, 1).unfold(-2, window, 1).permute(3, 4, 0, 1, 2)
        A = precise(patches.reshape(window**2 * coils, -1), regularization)
        gram = (A @ A.mH).reshape(window**2, coils, window**2, coils).transpose(1, 2).contiguous()
        energy = torch.view_as_real(gram).flatten(2).double().square().sum(-1)
        return cls(gram, energy, regularization)

    def weights(self, sources: Int64[Tensor, "b s"]) -> Complex64[Tensor, "b coil n"]:
        """Return what predicts the centre of the window from these positions, coils fastest."""
        kinds, size = sources.shape
        coils, centre = self.gram.shape[-1], len(self.gram) // 2
        rows, columns = sources[:, :, None], sources[:, None, :]
        system = self.gram.new_empty(kinds, size, coils, size, coils)
        system.copy_(self.gram[rows, columns].transpose(2, 3))
        n = size * coils
        norm = self.energy[rows, columns].sum((1, 2)).sqrt()
        cross = self.gram[sources, centre].reshape(kinds, n, coils)
        return penalized_weights(system.reshape(kinds, n, n), cross, self.regularization * norm / n)


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
    """Return the distinct rows, those with few entries first, and which of them each row is."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(rows[first].sum(1), kind="stable")
    return rows[first[order]], np.argsort(order)[inverse.reshape(-1)]
