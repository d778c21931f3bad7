"""Low rank plus sparse: a background that hardly changes, and what moves before it."""

import torch
from torch import Tensor

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.fourier import plain_fft, plain_ifft
from mrirecon.reconstructors.base import FrameWindows, IterativeReconstructor
from mrirecon.reconstructors.parts.data_term import DataTerm, soft_threshold
from mrirecon.reconstructors.parts.low_rank import shrink_singular_values
from mrirecon.reconstructors.parts.mean_image import mean_image
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.sensitivity.series import series_maps
from mrirecon.solvers import Solution, fista
from mrirecon.types import Sample


class LowRankPlusSparse(IterativeReconstructor):
    r"""Reconstructs all frames of a slice as a sum, of which it makes one part low rank.

    .. math:: \hat L, \hat S = \arg\min_{L, S} \sum_t\tfrac12\|A_t(L + S)_t - y_t / s\|^2
              + \lambda_L\sqrt n\,\|L\|_* + \lambda_S\|F_tS\|_1, \qquad
              \text{image} = s\,(\hat L + \hat S)

    (Otazo, Candès and Sodickson, Magn Reson Med 73:1125, 2015), where :math:`\|L\|_*` is the sum of
    the singular values of the matrix of all :math:`n` pixels and frames, :math:`F_t` the
    orthonormal Fourier transform along time, and :math:`s` the
    :func:`~mrirecon.reconstructors.parts.data_scale.data_scale` of all frames. A frame of
    brightness one all over has the singular value :math:`\sqrt n`, which makes weights independent
    of the size.

    Args:
        sensitivity: Estimator of the coil sensitivities, from the time average.
        low_rank: Weight :math:`\lambda_L` of the singular values; 0.001 to 0.05 are usual.
        sparse: Weight :math:`\lambda_S` of the temporal frequencies; 0.001 to 0.05 are usual.
        iterations: Largest number of steps.
        tolerance: Relative change of both parts in a step at which it stops; 0 takes every step.
        window: Largest number of frames that are held at once; None for all.
        overlap: Frames at the ends of a window whose images the next window has better.
    """

    needs_grid = ""
    joint = True

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        low_rank: float = 5e-3,
        sparse: float = 5e-3,
        iterations: int = 100,
        tolerance: float = 1e-3,
        window: int | None = 64,
        overlap: int = 4,
    ) -> None:
        super().__init__()
        check_not_negative(low_rank=low_rank, sparse=sparse, tolerance=tolerance)
        check_at_least(1, iterations=iterations)
        self.sensitivity = sensitivity
        self.low_rank, self.sparse = low_rank, sparse
        self.iterations, self.tolerance = iterations, tolerance
        self.windows = FrameWindows(window, overlap, in_time=True)

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the frames; ``iterations`` and ``converged`` are of all of them together."""
        solution, data = self._solved(sample, trace)
        x = data.where_measured(solution.x.sum(-4)) * data.scale
        return Solution(x, solution.iterations, solution.converged, solution.objective)

    def parts(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Return the background and what moves before it."""
        solution, data = self._solved(sample, trace=False)
        low_rank, sparse = solution.x * data.scale
        return low_rank, sparse

    def _solved(self, sample: Sample, trace: bool) -> tuple[Solution, DataTerm]:
        maps = series_maps(self.sensitivity, sample)
        data = DataTerm.of(sample, maps, joint=True)
        share = torch.as_tensor(data.penalty_share).amin()
        pixels = sample.grid[0] * sample.grid[1]
        rank, sparse = self.low_rank * share * pixels**0.5, self.sparse * share

        # the unknown is (L, S) along axis -4
        def gradient(parts: Tensor) -> Tensor:
            return data.gradient(parts.sum(-4)).expand_as(parts)

        def prox(parts: Tensor, step: float) -> Tensor:
            L, S = parts
            L = shrink_singular_values(_matrix(L), step * rank).mT.reshape(L.shape)
            S = plain_ifft(soft_threshold(plain_fft(S, (-3,)), step * sparse), (-3,))
            return torch.stack([L, S])

        def objective(parts: Tensor) -> Tensor:
            L, S = parts
            penalty = rank * torch.linalg.svdvals(_matrix(L)).sum()
            penalty = penalty + sparse * plain_fft(S, (-3,)).abs().sum()
            return data.value(L + S).sum(-1) + penalty

        mean = mean_image(sample, maps, data.scale)
        solution = fista(
            gradient, prox, torch.stack([mean, torch.zeros_like(mean)]), step=0.5,
            iterations=self.iterations, tolerance=self.tolerance,
            objective=objective if trace else None, axes=(-4, -3, -2, -1),
        )  # fmt: skip
        return solution, data


def _matrix(x: Tensor) -> Tensor:
    """Return the matrix of pixels and frames."""
    return x.flatten(-2).mT
