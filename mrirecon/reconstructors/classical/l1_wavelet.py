"""Compressed sensing with wavelets (Lustig, Donoho and Pauly, Magn Reson Med 58:1182, 2007)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.operators import Wavelet
from mrirecon.operators.wavelet import WaveletName
from mrirecon.reconstructors.base import IterativeReconstructor
from mrirecon.reconstructors.parts.automatic_weight import density, sample_noise_std, sure_threshold
from mrirecon.reconstructors.parts.data_term import DataTerm, soft_threshold
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution, fista
from mrirecon.types import Sample


class L1Wavelet(IterativeReconstructor):
    r"""Solves a least-squares problem whose image has few large wavelet coefficients, by FISTA.

    .. math:: \hat x = \arg\min_x \tfrac12\|Ax - y / s\|^2 + \lambda\|\Psi x\|_1, \qquad
              \text{image} = s\,\hat x

    with the :func:`~mrirecon.reconstructors.parts.data_scale.data_scale` :math:`s`. With cycle
    spinning (Coifman and Donoho, 1995) the wavelets are shifted anew in every step, which avoids
    blocks; the shifts are random with a fixed seed, so that results are reproducible.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight :math:`\lambda` of the wavelet term, with the meaning that it has in
            BART; 0.001 to 0.02 are usual. ``"auto"`` takes the threshold of least estimated risk
            (SURE) for the noise in the wavelet coefficients, which is estimated where the data is
            not whitened.
        iterations: Largest number of steps.
        tolerance: Relative change of the image in a step at which it stops; 0 takes every step.
            Cycle spinning itself changes noisy images by a few thousandths in every step; they take
            all steps and are reported as not converged, although nothing would improve any more.
        wavelet: Daubechies wavelet with 1, 2 or 4 vanishing moments.
        levels: Number of scales.
        cycle_spinning: Whether to shift the wavelets in every step. Without it, the objective is
            the one above and decreases to its minimum.
        seed: Seed of the random shifts.
    """

    needs_grid = ""

    seed: int

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float | Literal["auto"] = 2e-3,
        iterations: int = 60,
        tolerance: float = 1e-3,
        wavelet: WaveletName = "db2",
        levels: int = 4,
        cycle_spinning: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if regularization != "auto":
            check_not_negative(regularization=regularization)
        check_at_least(1, iterations=iterations)
        check_at_least(1, levels=levels)
        check_not_negative(tolerance=tolerance)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance
        self.wavelet: WaveletName = wavelet
        self.levels = levels
        self.cycle_spinning = cycle_spinning
        self.seed = seed

    @property
    def chooses(self) -> bool:
        """Whether it makes random choices, which another seed changes."""
        return self.cycle_spinning

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the image; the objective is that of the unshifted wavelets."""
        data = DataTerm.of(sample, self.sensitivity(sample)).with_fewer_coils()
        h, w = sample.grid
        # The image lives on the wavelets' grid; what is added to odd sizes is in no data.
        padded = Wavelet((h, w), self.levels, self.wavelet).padded
        W = Wavelet(padded, self.levels, self.wavelet)
        if self.regularization == "auto":
            weight: float | Tensor = self._weight(sample, data)
        else:
            weight = float(self.regularization) * data.penalty_share

        def pad(x: Tensor) -> Tensor:
            return torch.nn.functional.pad(x, (0, padded[1] - w, 0, padded[0] - h))

        def objective(x: Tensor) -> Tensor:
            penalty = (weight * W(x).abs()).sum((-2, -1))
            return data.value(x[..., :h, :w]) + penalty

        solution = fista(
            lambda x: pad(data.gradient(x[..., :h, :w])),
            self._prox(W, weight),
            pad(data.adjoint),
            iterations=self.iterations,
            tolerance=self.tolerance,
            objective=objective if trace else None,
        )
        image = solution.x[..., :h, :w] * data.scale
        return Solution(image, solution.iterations, solution.converged, solution.objective)

    def _prox(self, W: Wavelet, weight: float | Tensor) -> Callable[[Tensor, float], Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        period = 2**W.depth

        def prox(x: Tensor, step: float) -> Tensor:
            if not self.cycle_spinning:
                return W.H(soft_threshold(W(x), step * weight))
            shift = torch.randint(period, (2,), generator=generator).tolist()
            rolled = x.roll(shift, (-2, -1))
            shrunk = W.H(soft_threshold(W(rolled), step * weight))
            return shrunk.roll([-s for s in shift], (-2, -1))

        return prox

    def _weight(self, sample: Sample, data: DataTerm) -> Tensor:
        r"""Threshold the image of a few CG steps at least risk; :math:`A^HA` acts as the density.

        Its noise is about :math:`\sigma / \sqrt d` at the density :math:`d`, and near it the data
        term is :math:`\tfrac d2\|x - x_0\|^2`, so a threshold :math:`t` needs
        :math:`\lambda = d\,t`.
        """
        part = density(sample)
        std = sample_noise_std(sample) / data.scale / part.clamp_min(1e-6).sqrt()
        W = Wavelet(sample.grid, 1, self.wavelet)
        coefficients = W(data.warm_start()).flatten(-2)
        threshold = sure_threshold(coefficients, std[..., 0, 0])
        return part * threshold[..., None, None]
