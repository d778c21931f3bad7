"""Iterative SENSE (Pruessmann et al., Magn Reson Med 46:638, 2001)."""

from mrirecon.operators import least_squares
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import conjugate_gradient
from mrirecon.types import Image, Sample


class CgSense(Reconstructor):
    r"""Solves a regularized least-squares problem by conjugate gradients.

    .. math:: \hat x = \arg\min_x \|Ax - y\|^2 + \lambda\|x\|^2
              \iff (A^HA + \lambda I)\,\hat x = A^Hy

    Samples that were averaged less often than others weigh less.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularization: :math:`\lambda`. As :math:`\|A\| \le 1` for maps of unit norm, it needs no
            adaptation to the scale of the data or the size of the image.
        iterations: Largest number of conjugate-gradient steps.
        tolerance: Stop once the residual is this part of :math:`\|A^Hy\|`; 0 takes every step.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float = 3e-3,
        iterations: int = 30,
        tolerance: float = 1e-4,
    ) -> None:
        super().__init__()
        if regularization < 0:
            raise ValueError(f"regularization must not be negative, got {regularization}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}")
        if tolerance < 0:
            raise ValueError(f"tolerance must not be negative, got {tolerance}")
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance

    def forward(self, sample: Sample) -> Image:
        """Return the complex image; zero where the maps are."""
        A, y = least_squares(sample, self.sensitivity(sample))
        return conjugate_gradient(
            lambda x: A.gram(x) + self.regularization * x,
            A.H(y),
            iterations=self.iterations,
            tolerance=self.tolerance,
        )
