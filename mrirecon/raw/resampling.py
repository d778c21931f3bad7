"""k-space that was sampled at other distances, brought to those of the image."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.kspace_grid import Axis, Grid

WHOLE = 0.05
"""Samples by which a size may miss a whole number."""


@dataclass(frozen=True)
class Reference:
    """The grid of separate reference lines whose samples lie at other distances than the image's.

    Attributes:
        phase, partition: Axes of the phase encodings on this grid; no ``partition`` in a 2-D scan.
        scale: Field of view along readout, phase encoding and partitions, as a multiple of the
            image's encoded one.
    """

    phase: Axis
    partition: Axis | None
    scale: tuple[float, float, float]

    @property
    def same(self) -> bool:
        """Whether distances are those of the image's lines, and only the numbers are others."""
        return self.scale == (1.0, 1.0, 1.0)

    def readout(self, full: int, grid: Grid) -> int:
        """Return the samples along the readout after oversampling was removed.

        The readouts of a 2-D scan keep all: :meth:`resampled` cuts their field of view.

        Args:
            full: Samples of a reference readout.
            grid: Grid of the image.

        Raises:
            RawDataError: When the image's field of view holds no whole number of them.
        """
        if grid.partition is None:
            return full
        size = full * grid.readout.size / grid.full / self.scale[0]
        if abs(size - round(size)) > WHOLE or round(size) < 1:
            raise RawDataError(
                f"the reference lines of this 3-D scan have {self.scale[0]:.4g} times the field of "
                f"view of the image along the readout, in which {size:.2f} of their {full} samples "
                "would lie, expected a whole number; this is not supported yet"
            )
        return round(size)

    def resampled(
        self, block: Complex64[Tensor, "*b h w"], first: tuple[int, int], grid: Grid
    ) -> Complex64[Tensor, "*b hc wc"]:
        """Bring a block that begins at ``first``, counted from k = 0, to the image's distances."""
        readout, phase, partition = self.scale
        removed = grid.readout.size / grid.full
        # the planes of a 3-D scan are in image space along the readout
        scale = (phase, partition) if grid.partition else (readout / removed, phase)
        block = resampled(block, first[1], scale[1])
        return resampled(block.mT, first[0], scale[0]).mT


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
    reach = int(min(-first, first + count - 1) / scale + 1e-6)
    new, old = np.arange(-reach, reach + 1), np.arange(first, first + count)
    part = min(1.0, 1 / scale)  # U / V
    matrix = part * np.sinc(part * (new[:, None] * scale - old[None]))
    return kspace @ torch.from_numpy(matrix.T.astype(np.complex64)).to(kspace.device)
