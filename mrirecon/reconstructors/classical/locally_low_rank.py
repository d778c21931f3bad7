"""Locally low rank reconstruction of a series of frames."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.reconstructors.base import FrameWindows, IterativeReconstructor
from mrirecon.reconstructors.parts.automatic_weight import density, sample_noise_std
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.low_rank import shrink_singular_values
from mrirecon.reconstructors.parts.mean_image import mean_image
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.sensitivity.series import calibrated_apart, series_maps
from mrirecon.solvers import Solution, fista
from mrirecon.types import Sample


class LocallyLowRank(IterativeReconstructor):
    r"""Reconstructs all frames of a slice together; nearby pixels have few time courses.

    .. math:: \hat x = \arg\min_x \sum_t\tfrac12\|A_tx_t - y_t / s\|^2
              + \lambda\sum_b \|C_bx\|_*, \qquad \text{image} = s\,\hat x

    where :math:`C_bx` is the matrix of pixels and frames of block :math:`b` and :math:`\|\cdot\|_*`
    the sum of singular values (Trzasko and Manduca, ISMRM 2011; Zhang, Pauly and Levesque, Magn
    Reson Med 73:655, 2015), with the :func:`~mrirecon.reconstructors.parts.data_scale.data_scale`
    :math:`s` of all frames. The blocks are moved at random in every step, with a fixed seed.

    Args:
        sensitivity: Estimator of the coil sensitivities, of each frame where each has calibration
            data. Else they come from the time average, whose image is where the iteration begins.
        regularization: Weight :math:`\lambda` of the singular values; 0.001 to 0.05 are usual. It
            is the threshold of singular values itself; BART multiplies its own with the norm of a
            block of noise. ``"auto"`` takes the largest singular value of a block of noise, of
            which the level is estimated where the data is not whitened. It knows nothing of
            aliasing, for which a weight must be chosen where a frame has few samples.
        block: Width of a block.
        iterations: Largest number of steps.
        tolerance: Relative change of the images in a step at which it stops; 0 takes every step.
        shifting: Whether to move the blocks. Without it, the objective is the one above.
        seed: Seed of the random shifts.
        window: Largest number of frames that are held at once; None for all.
        overlap: Frames at the ends of a window whose images the next window has better.
    """

    needs_grid = ""

    joint = True

    seed: int

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float | Literal["auto"] = 2e-2,
        block: int = 8,
        iterations: int = 60,
        tolerance: float = 1e-3,
        shifting: bool = True,
        seed: int = 0,
        window: int | None = 64,
        overlap: int = 4,
    ) -> None:
        super().__init__()
        if regularization != "auto":
            check_not_negative(regularization=regularization)
        check_at_least(1, iterations=iterations, block=block)
        check_not_negative(tolerance=tolerance)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.block = block
        self.iterations = iterations
        self.tolerance = tolerance
        self.shifting = shifting
        self.seed = seed
        self.windows = FrameWindows(window, overlap)

    @property
    def chooses(self) -> bool:
        """Whether it makes random choices, which another seed changes."""
        return self.shifting

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the frames; ``iterations`` and ``converged`` are of all of them together."""
        if sample.kspace.ndim == 3:
            raise ValueError("the frames must be the members of a batch, got a single slice")
        apart = calibrated_apart(sample)
        maps = self.sensitivity(sample) if apart else series_maps(self.sensitivity, sample)
        data = DataTerm.of(sample, maps, joint=True)
        if self.regularization == "auto":
            weight: float | Tensor = self._weight(sample, data)
        else:
            weight = float(self.regularization) * torch.as_tensor(data.penalty_share).amin()

        def objective(x: Tensor) -> Tensor:
            values = torch.linalg.svdvals(_to_blocks(x, self.block, (0, 0)))
            return data.value(x).sum(-1) + weight * values.sum((-3, -2, -1))

        solution = fista(
            data.gradient,
            self._prox(weight),
            data.adjoint if apart else mean_image(sample, maps, data.scale),
            iterations=self.iterations,
            tolerance=self.tolerance,
            objective=objective if trace else None,
            axes=(-3, -2, -1),
        )
        return Solution(
            data.where_measured(solution.x) * data.scale,
            solution.iterations,
            solution.converged,
            solution.objective,
        )

    def _prox(self, weight: float | Tensor) -> Callable[[Tensor, float], Tensor]:
        generator = torch.Generator().manual_seed(self.seed)

        def prox(x: Tensor, step: float) -> Tensor:
            shift = (0, 0)
            if self.shifting:
                first, second = torch.randint(self.block, (2,), generator=generator).tolist()
                shift = (first, second)
            blocks = shrink_singular_values(_to_blocks(x, self.block, shift), step * weight)
            return _from_blocks(blocks, self.block, shift, (x.shape[-2], x.shape[-1]))

        return prox

    def _weight(self, sample: Sample, data: DataTerm) -> Tensor:
        r"""The norm of a block of noise, :math:`\sigma\sqrt{2d}\,(b + \sqrt T)` at density d."""
        part = density(sample).mean()
        std = (sample_noise_std(sample) / data.scale).mean() * (2 * part).sqrt()
        return std * (self.block + sample.kspace.shape[-4] ** 0.5)


def _to_blocks(x: Tensor, block: int, shift: tuple[int, int]) -> Tensor:
    """Arrange frames as matrices ``(rows, columns, pixels, frames)``; zeros fill the rim."""
    h, w = x.shape[-2:]
    (top, left), (bottom, right) = shift, (-(h + shift[0]) % block, -(w + shift[1]) % block)
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    x = x.unflatten(-1, (-1, block)).unflatten(-3, (-1, block))  # t i y j x
    return x.movedim(-5, -1).movedim(-4, -3).flatten(-3, -2)


def _from_blocks(x: Tensor, block: int, shift: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    x = x.unflatten(-2, (block, block)).movedim(-1, -5)  # t i j y x
    x = x.movedim(-3, -2).flatten(-2).flatten(-3, -2)
    return x[..., shift[0] : shift[0] + shape[0], shift[1] : shift[1] + shape[1]]
