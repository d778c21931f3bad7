"""Total variation along time, by the primal-dual iteration."""

import torch
from torch import Tensor

from mrirecon.arguments import check_not_negative
from mrirecon.operators import TemporalDifference
from mrirecon.reconstructors.base import FrameWindows
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.mean_image import mean_image
from mrirecon.reconstructors.parts.variation import (
    D,
    VariationMethod,
    balance,
    lengths,
    rescaled,
    shortened,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.sensitivity.series import series_maps
from mrirecon.solvers import Solution, SplitProblem, primal_dual
from mrirecon.types import Sample


class TemporalTv(VariationMethod):
    r"""Reconstructs all frames of a slice together; pixels rarely change from frame to frame.

    .. math:: \hat x = \arg\min_x \sum_t\tfrac12\|A_tx_t - y_t / s\|^2
              + \lambda\sum_{t,r}|x_{t+1,r} - x_{t,r}| + \mu\sum_{t,r}|(\nabla x_t)_r|, \qquad
              \text{image} = s\,\hat x

    (Adluru et al., J Magn Reson Imaging 32:1217, 2010; with golden-angle spokes GRASP: Feng et al.,
    Magn Reson Med 72:707, 2014), with the
    :func:`~mrirecon.reconstructors.parts.data_scale.data_scale` :math:`s` of all frames.

    Args:
        sensitivity: Estimator of the coil sensitivities, from the time average.
        regularization: Weight :math:`\lambda` of the changes in time; 0.003 to 0.03 are usual.
        spatial: Weight :math:`\mu` of the total variation of each frame.
        cyclic: Whether the first frame follows the last one, as in a heart cycle.
        iterations: Largest number of steps.
        tolerance: Relative change of the images in a step at which it stops; 0 takes every step.
        window: Largest number of frames that are held at once; of no effect on a cycle.
        overlap: Frames at the ends of a window whose images the next window has better.
    """

    needs_grid = ""
    joint = True

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float = 1e-2,
        spatial: float = 0.0,
        cyclic: bool = False,
        iterations: int = 300,
        tolerance: float = 1e-4,
        window: int | None = 64,
        overlap: int = 4,
    ) -> None:
        super().__init__(sensitivity, regularization, iterations, tolerance)
        check_not_negative(spatial=spatial)
        self.spatial, self.cyclic = spatial, cyclic
        self.windows = FrameWindows(None if cyclic else window, overlap, in_time=True)

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the frames; ``iterations`` and ``converged`` are of all of them together."""
        maps = series_maps(self.sensitivity, sample)
        data = DataTerm.of(sample, maps, joint=True)
        share = torch.as_tensor(data.penalty_share).amin()
        temporal, spatial = self.regularization * share, self.spatial * share
        Dt = TemporalDifference(self.cyclic)

        # the dual has the changes in time first along axis -3, then the two differences in space
        def forward(x: Tensor) -> Tensor:
            changes = Dt(x).unsqueeze(-3)
            return torch.cat([changes, D(x)], -3) if self.spatial else changes

        def adjoint(dual: Tensor) -> Tensor:
            x = Dt.adjoint(dual[..., 0, :, :])
            return x + D.adjoint(dual[..., 1:, :, :]) if self.spatial else x

        def prox_dual(dual: Tensor, _: float) -> Tensor:
            changes = shortened(dual[..., :1, :, :], temporal)
            if not self.spatial:
                return changes
            return torch.cat([changes, shortened(dual[..., 1:, :, :], spatial)], -3)

        def objective(x: Tensor) -> Tensor:
            value = data.value(x).sum(-1) + temporal * Dt(x).abs().sum((-3, -2, -1))
            return value + spatial * lengths(D(x)).sum((-4, -3, -2, -1))

        problem = SplitProblem(
            data.gradient, forward, adjoint, prox_dual, objective=objective, axes=(-3, -2, -1),
            norm=(Dt.NORM**2 + (8 if self.spatial else 0)) ** 0.5,
        )  # fmt: skip
        solution = primal_dual(
            problem, mean_image(sample, maps, data.scale).clone(),
            balance=balance(max(self.regularization, self.spatial)),
            iterations=self.iterations, tolerance=self.tolerance, trace=trace,
        )  # fmt: skip
        return rescaled(solution, data.where_measured(solution.x), data)
