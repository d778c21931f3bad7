"""Iterative SENSE (Pruessmann et al., Magn Reson Med 46:638, 2001)."""

from typing import Literal

import torch
from torch import Tensor

from mrirecon.fourier import plain_fft, plain_ifft
from mrirecon.operators import SenseNormal, penalty_share, sense_normal
from mrirecon.operators.normal import adjoint_image, combine, row_tiles
from mrirecon.reconstructors.automatic import wiener_weight
from mrirecon.reconstructors.base import IterativeReconstructor, check_not_negative
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution, solve_cg
from mrirecon.types import Image, Sample


class CgSense(IterativeReconstructor):
    r"""Solves a regularized least-squares problem by conjugate gradients.

    .. math:: \hat x = \arg\min_x \|Ax - y\|^2 + \lambda\|x\|^2
              \iff (A^HA + \lambda I)\,\hat x = A^Hy

    Samples that were averaged less often than usual weigh less
    (:func:`~mrirecon.operators.data_weights`). Where the mask does not depend on
    the readout, each row of the image is a system of its own and is solved as such: fewer steps
    suffice, and a group of rows stays in the processor's cache from the first step to the last.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: :math:`\lambda`. As :math:`\|A\| \le 1` for maps of unit norm, it needs no
            adaptation to the scale of the data or the size of the image. ``"auto"`` takes the ratio
            of the variances of noise and image, which is the best there is for an image of
            independent pixels; the data must be whitened.
        iterations: Largest number of conjugate-gradient steps.
        tolerance: Stop once the residual is this part of :math:`\|A^Hy\|`; 0 takes every step.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float | Literal["auto"] = 3e-3,
        iterations: int = 30,
        tolerance: float = 1e-4,
    ) -> None:
        super().__init__()
        if regularization != "auto":
            check_not_negative(regularization=regularization)
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}")
        check_not_negative(tolerance=tolerance)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        r"""Return the image; the objective is :math:`\tfrac12 x^H(A^HA + \lambda)x - \Re x^HA^Hy`.

        Raises:
            NoiseError: When ``regularization="auto"`` and the level of the noise is unknown.
        """
        maps = self.sensitivity(sample)
        normal = sense_normal(sample, maps)
        weight: float | Tensor
        if self.regularization == "auto":
            weight = wiener_weight(sample, maps)
        else:
            weight = float(self.regularization) * penalty_share(sample)
        b = adjoint_image(sample, maps)
        if normal.separable and not trace:
            return self._solve_rows(normal, b, weight)
        return solve_cg(
            lambda x: normal(x) + weight * x,
            b,
            iterations=self.iterations,
            tolerance=self.tolerance,
            trace=trace,
        )

    def _solve_rows(self, normal: SenseNormal, b: Image, weight: float | Tensor) -> Solution:
        """Solve every row by itself, to a residual that is the tolerated one of the whole image."""
        batch, (h, w) = b.shape[:-2], b.shape[-2:]
        reference = torch.linalg.vector_norm(b, dim=(-2, -1), keepdim=True) / h**0.5
        maps = normal.maps.reshape(-1, *normal.maps.shape[-3:])
        spectrum = normal.spectrum.expand(*batch, 1, w).reshape(-1, 1, 1, w)
        b, reference = b.reshape(-1, h, w), reference.reshape(-1, 1, 1)
        lam = torch.as_tensor(weight, device=b.device).expand(*batch, 1, 1).reshape(-1, 1, 1)
        if b.is_cuda or not len(b):
            groups = [(slice(None), slice(None))]
        else:
            groups = [(slice(i, i + 1), rows) for i in range(len(b)) for rows in row_tiles(maps)]
        x, steps, converged = [], [], []
        for member, rows in groups:
            part = self._solve_tile(
                maps[member, :, rows], spectrum[member], b[member, rows], lam[member],
                reference[member],
            )  # fmt: skip
            x.append(part.x.reshape(-1, w))
            steps.append(part.iterations.flatten())
            converged.append(part.converged.flatten())
        return Solution(
            torch.cat(x).reshape(*batch, h, w),
            torch.cat(steps).reshape(*batch, h).amax(-1),
            torch.cat(converged).reshape(*batch, h).all(-1),
        )

    def _solve_tile(
        self, maps: Tensor, spectrum: Tensor, b: Image, lam: Tensor, reference: Tensor
    ) -> Solution:
        def gram(x: Tensor) -> Tensor:
            coils = plain_fft(maps * x.unsqueeze(-3), (-1,))
            return combine(maps, plain_ifft(coils * spectrum, (-1,))) + lam * x

        return solve_cg(
            gram, b, iterations=self.iterations, tolerance=self.tolerance, axes=(-1,),
            reference=reference,
        )  # fmt: skip
