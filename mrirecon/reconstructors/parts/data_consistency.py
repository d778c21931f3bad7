r"""Layers that pull an image towards the measured data.

Each takes a :class:`~mrirecon.reconstructors.parts.data_term.DataTerm`, that is :math:`A` and
:math:`y` with the weights of the samples, and stays in complex64 under autocast. Those of k-space
are in :mod:`mrirecon.reconstructors.parts.kspace_consistency`.
"""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.operators import SenseNormal
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.solvers.recomputed import recomputed_cg
from mrirecon.types import Image


class ImageConsistency(nn.Module, ABC):
    """Makes the next image of one image and the data."""

    @abstractmethod
    def forward(self, x: Image, data: DataTerm) -> Image:
        """Return the next image."""


class LearnedStep(nn.Module):
    """Holds a learned step length.

    Args:
        step: The length before training.
    """

    def __init__(self, step: float = 1.0) -> None:
        super().__init__()
        self.initial = float(step)
        self.step = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the length to its value before training."""
        nn.init.constant_(self.step, self.initial)


class GradientStep(LearnedStep, ImageConsistency):
    r"""A gradient step with a learned length, :math:`x - \eta A^H(Ax - y)`.

    As :math:`\|A\| \le 1`, it does not increase the misfit for :math:`0 \le \eta \le 2`.

    Args:
        step: Step length :math:`\eta` before training.
    """

    def forward(self, x: Image, data: DataTerm) -> Image:
        """Return the next image."""
        return x - self.step * data.gradient(x)


class ProximalStep(ImageConsistency):
    r"""The image that fits the data and is close to ``x``, by conjugate gradients.

    .. math:: \arg\min_u \|Au - y\|^2 + \lambda\|u - x\|^2
              = (A^HA + \lambda I)^{-1}(A^Hy + \lambda x)

    (Aggarwal, Mani and Jacob, IEEE Trans Med Imaging 38:394, 2019.) Its gradient is that of the
    steps taken, not that of the exact solution as in the paper, so it is right for any
    :math:`\lambda`; what is kept for it does not grow with the steps: see
    :func:`~mrirecon.solvers.recomputed.recomputed_cg`.

    Args:
        weight: Weight :math:`\lambda` before training; its logarithm is learned, so it stays
            positive.
        iterations: Largest number of conjugate-gradient steps.
        tolerance: Ratio of the residual to the right-hand side at which it stops; 0 takes every
            step, without the synchronisation that the test costs on a GPU.
    """

    def __init__(self, weight: float = 0.05, iterations: int = 10, tolerance: float = 0.0) -> None:
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be positive, got {weight}")
        check_at_least(1, iterations=iterations)
        check_not_negative(tolerance=tolerance)
        self.initial = float(weight)
        self.iterations = iterations
        self.tolerance = tolerance
        self.log_weight = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to its value before training."""
        nn.init.constant_(self.log_weight, math.log(self.initial))

    @property
    def weight(self) -> Tensor:
        r""":math:`\lambda`."""
        return self.log_weight.exp()

    def forward(self, x: Image, data: DataTerm) -> Image:
        """Return the next image."""
        return proximal_image(
            data.normal,
            data.adjoint,
            x,
            self.weight * data.penalty_share,
            self.iterations,
            self.tolerance,
        )


def proximal_image(
    normal: SenseNormal,
    adjoint: Complex[Tensor, "*b h w"],
    x: Complex[Tensor, "*b h w"],
    weight: Float[Tensor, "..."],
    iterations: int,
    tolerance: float = 0.0,
) -> Complex[Tensor, "*b h w"]:
    r"""Return :math:`(A^HA + \lambda)^{-1}(A^Hy + \lambda x)`, starting at ``x``.

    Gradients reach ``adjoint``, ``x``, the weight and the maps.
    """
    return recomputed_cg(
        lambda u: normal(u) + weight * u,
        adjoint + weight * x,
        iterations=iterations,
        tolerance=tolerance,
        x0=x,
    )


class SplittingStep(nn.Module):
    r"""Image and multiplier updates of ADMM on :math:`\tfrac12\|Ax - y\|^2 + R(z)`, :math:`x = z`.

    .. math:: x &\leftarrow x - \eta_j\big(A^H(Ax - y) + \rho_t (x - z) + u\big), \quad j = 1..J \\
              u &\leftarrow u + \rho_t (x - z)

    (Yiasemis et al., arXiv:2309.09954.) There is one penalty :math:`\rho_t` per iteration; all
    iterations have the same lengths :math:`\eta_j`.

    Args:
        iterations: Number of penalties.
        steps: Number of gradient steps :math:`J` in one update.
        penalty: Penalty weight :math:`\rho_t` before training.
        positive: Whether training keeps the penalties positive, by learning their logarithms.
    """

    def __init__(
        self, iterations: int, steps: int = 8, penalty: float = 0.1, positive: bool = True
    ) -> None:
        super().__init__()
        check_at_least(1, iterations=iterations, steps=steps)
        if penalty <= 0:
            raise ValueError(f"penalty must be positive, got {penalty}")
        self.initial = float(penalty)
        self.positive = positive
        if positive:
            self.log_penalty = nn.Parameter(torch.empty(iterations))
        else:
            self.penalty = nn.Parameter(torch.empty(iterations))
        self.steps = nn.Parameter(torch.empty(steps))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set penalties and lengths to their values before training."""
        if self.positive:
            nn.init.constant_(self.log_penalty, math.log(self.initial))
        else:
            nn.init.constant_(self.penalty, self.initial)
        nn.init.ones_(self.steps)

    @property
    def penalties(self) -> Float[Tensor, "t"]:
        r""":math:`\rho_t`."""
        return self.log_penalty.exp() if self.positive else self.penalty

    def forward(
        self, x: Image, z: Image, u: Image, data: DataTerm, iteration: int
    ) -> tuple[Image, Image]:
        """Return the next image and the next multiplier."""
        penalty = self.penalties[iteration] * data.penalty_share
        for step in self.steps:
            x = x - step * (data.gradient(x) + penalty * (x - z) + u)
        return x, u + penalty * (x - z)
