r"""The noise of SENSE for a raster of lines and a few more, such as calibration lines.

A raster alone couples R pixels of a line, so its normal equations :math:`B_0` are small blocks. The
other lines add :math:`U^H U` of a low rank, and the matrix inversion lemma gives

.. math:: (M_0 + U^H U)^{-1} = M_0^{-1} - Y (I + U Y)^{-1} Y^H, \qquad Y = M_0^{-1} U^H
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex128, Float64
from torch import Tensor

STEADY = 1e-3
"""Smallest element of a Cholesky factor of the raster's blocks with which nothing is lost."""


@dataclass(frozen=True)
class Raster:
    """Lines at equal distances, and others.

    Attributes:
        step: Distance of the lines of the raster.
        first: First line of the raster.
        others: Measured lines that do not belong to it.
        count: Number of all positions.
    """

    step: int
    first: int
    others: tuple[int, ...]
    count: int

    @classmethod
    def of(cls, lines: Bool[np.ndarray, " w"]) -> "Raster | None":
        """Return the densest raster within measured lines; None when there is none."""
        count = len(lines)
        for step in range(1, count):
            if count % step:
                continue
            complete = lines.reshape(-1, step).all(0)
            if complete.any():
                first = int(complete.argmax())
                rest = lines.copy()
                rest[first::step] = False
                return cls(step, first, tuple(np.flatnonzero(rest).tolist()), count)
        return None

    def variance(
        self, S: Complex128[Tensor, "coil w"], regularization: float
    ) -> Float64[Tensor, " w"] | None:
        r"""Return the diagonal of the covariance along a line of pixels.

        Of :math:`M = B + D` it is that of :math:`M^{-1} - M^{-1} D M^{-1}`.

        Args:
            S: Sensitivities along the line.
            regularization: Weight of the penalty.

        Returns:
            None when the raster alone hardly tells the aliased pixels apart.
        """
        inside = (S != 0).any(0)
        blocks = self._blocks(S)
        damping = torch.where(inside, regularization, 1.0).reshape(self.step, -1).mT
        factor, failed = torch.linalg.cholesky_ex(blocks + torch.diag_embed(damping.to(S.dtype)))
        if failed.any() or factor.diagonal(dim1=-2, dim2=-1).real.amin() < STEADY:
            return None
        inverse = torch.cholesky_inverse(factor)
        U = self._rows(S)
        Y = self._times(inverse, U.mH)
        K = torch.eye(len(U), dtype=S.dtype, device=S.device) + U @ Y
        Z = torch.linalg.solve_triangular(torch.linalg.cholesky(K), Y.mH, upper=False)
        diagonal = inverse.diagonal(dim1=-2, dim2=-1).real.mT.reshape(-1)
        variance = diagonal - Z.abs().square().sum(0)
        if regularization:
            rows = -(Z.mH @ Z)
            pixels = torch.arange(self.count, device=S.device).reshape(self.step, -1).mT
            rows[pixels[:, :, None], pixels[:, None, :]] += inverse
            damped = torch.where(inside, regularization, 0.0).to(variance)
            variance = variance - rows.abs().square() @ damped
        return torch.where(inside, variance.clamp_min(0), 0.0)

    def _blocks(self, S: Complex128[Tensor, "coil w"]) -> Complex128[Tensor, "g r r"]:
        """Return the normal equations of the raster: one block for pixels that alias."""
        folded = S.reshape(len(S), self.step, -1)
        replica = torch.arange(self.step, device=S.device)
        turns = (replica[:, None] - replica) * (self.first - self.count // 2) / self.step
        wave = torch.polar(torch.ones_like(turns), -2 * torch.pi * turns).to(S.dtype)
        gram = torch.einsum("cig,cjg->gij", folded.conj(), folded)
        return gram * wave.conj() / self.step

    def _rows(self, S: Complex128[Tensor, "coil w"]) -> Complex128[Tensor, "k w"]:
        """Return what the other lines measure of the pixels, a row for each coil and line."""
        center = self.count // 2
        pixel = torch.arange(self.count, device=S.device) - center
        line = torch.tensor(self.others, device=S.device).reshape(-1, 1) - center
        turns = (line * pixel % self.count).to(torch.float64) / self.count
        wave = torch.polar(torch.ones_like(turns), -2 * torch.pi * turns) / self.count**0.5
        return (S[:, None] * wave).flatten(0, 1)

    def _times(
        self, inverse: Complex128[Tensor, "g r r"], x: Complex128[Tensor, "w k"]
    ) -> Complex128[Tensor, "w k"]:
        folded = x.reshape(self.step, -1, x.shape[-1]).transpose(0, 1)
        return (inverse @ folded).transpose(0, 1).reshape(x.shape)
