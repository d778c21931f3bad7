"""k-space that was sampled at other distances, brought to those of the image."""

import numpy as np
import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.reference_grid import Reference, reach


def resampled_block(
    block: Complex64[Tensor, "*b h w"], first: tuple[int, int], reference: Reference, grid: Grid
) -> Complex64[Tensor, "*b hc wc"]:
    """Bring a block of a reference scan to the image's distances.

    Args:
        block: Fully sampled centre of the reference scan.
        first: Place of its first sample, counted from k = 0.
        reference: Grid of the reference scan.
        grid: Grid of the image.
    """
    ratios = reference.ratios(grid)
    block = resampled(block, first[1], ratios[1])
    return resampled(block.mT, first[0], ratios[0]).mT


def resampled(
    kspace: Complex64[Tensor, "*b n"], first: int, scale: float
) -> Complex64[Tensor, "*b m"]:
    r"""Interpolate along the last axis to samples at the distances of another field of view.

    The image of a field of view :math:`V` is cut or surrounded by zeros to :math:`V'`, and is
    sampled anew: :math:`F(k') = \frac{U}{V} \sum_k K_k \operatorname{sinc} U (k'/V' - k/V)` with
    :math:`U = \min(V, V')`.

    Args:
        kspace: Samples ``first, first + 1, …``, counted from k = 0.
        first: Place of the first sample, negative.
        scale: Ratio :math:`V / V'` of the fields of view.

    Returns:
        Samples at the new distances, as many as the old ones cover on both sides of k = 0, which
        has index ``m // 2``.
    """
    count = kspace.shape[-1]
    side = reach(count, first, scale)
    new, old = np.arange(-side, side + 1), np.arange(first, first + count)
    part = min(1.0, 1 / scale)  # U / V
    matrix = part * np.sinc(part * (new[:, None] * scale - old[None]))
    return kspace @ torch.from_numpy(matrix.T.astype(np.complex64)).to(kspace.device)
