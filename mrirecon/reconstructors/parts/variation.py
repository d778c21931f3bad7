"""Common parts of the methods whose penalty sums up differences between neighbouring pixels."""

from torch import Tensor

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.image import squared_magnitude
from mrirecon.operators import FiniteDifference
from mrirecon.reconstructors.base import IterativeReconstructor
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution

D = FiniteDifference()
EVEN, LEAST = 1e-2, 1e-2
"""Weight from which on both steps are alike, and the least balance."""


class VariationMethod(IterativeReconstructor):
    """The settings of a method whose penalty sums up differences.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: Weight of the penalty; 0.001 to 0.01 are usual.
        iterations: Largest number of steps.
        tolerance: Relative change of the image in a step at which it stops; 0 takes every step.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float = 1e-3,
        iterations: int = 300,
        tolerance: float = 1e-4,
    ) -> None:
        super().__init__()
        check_not_negative(regularization=regularization, tolerance=tolerance)
        check_at_least(1, iterations=iterations)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance


def balance(largest: float) -> float:
    """Return the balance of the dual and the primal step.

    The dual grows no larger than the weight of the penalty, while the image is of brightness one:
    with even steps, hundreds of them are far from enough for a small weight. So found for brains
    and a fruit with weights from 0.0003 to 0.016.

    Args:
        largest: Largest weight of a term of the penalty.
    """
    return min(1.0, max(LEAST, largest / EVEN))


def lengths(field: Tensor) -> Tensor:
    """The norm of the vector at each pixel; the axis -3 keeps size one."""
    squares = squared_magnitude(field, (-3,)).unsqueeze(-3)
    return squares.clamp_min(1e-30).sqrt()  # whose gradient is finite


def field_weight(regularization: float, data: DataTerm) -> float | Tensor:
    """Return the weight for fields of vectors, which lie along the axis -3."""
    weight = regularization * data.penalty_share
    return weight.unsqueeze(-3) if isinstance(weight, Tensor) else weight


def shortened(field: Tensor, radius: float | Tensor) -> Tensor:
    """Shorten the vectors that are longer than ``radius``: the proximal map of the dual norm."""
    return field * (radius / lengths(field).clamp_min(1e-30)).clamp(max=1)


def rescaled(solution: Solution, x: Tensor, data: DataTerm) -> Solution:
    return Solution(x * data.scale, solution.iterations, solution.converged, solution.objective)
