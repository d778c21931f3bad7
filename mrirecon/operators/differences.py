"""Finite differences of images, and of vector fields."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float32
from torch import Tensor

from mrirecon.operators.base import LinearOperator


@dataclass(frozen=True)
class FiniteDifference(LinearOperator):
    r"""Forward differences along ``h`` and ``w``; zero across the far edges.

    .. math:: (\nabla x)_{1,ij} = x_{i+1,j} - x_{ij}, \qquad (\nabla x)_{2,ij} = x_{i,j+1} - x_{ij}

    Its norm is at most :math:`\sqrt 8` (Chambolle, J Math Imaging Vis 20:89, 2004).
    """

    def forward(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b 2 h w"]:
        return torch.stack([_forward(x, -2), _forward(x, -1)], -3)

    def adjoint(self, y: Complex[Tensor, "*b 2 h w"]) -> Complex[Tensor, "*b h w"]:
        return _adjoint(y[..., 0, :, :], -2) + _adjoint(y[..., 1, :, :], -1)

    @staticmethod
    def eigenvalues(h: int, w: int, device: torch.device) -> Float32[Tensor, "h w"]:
        r"""Return those of :math:`\nabla^H\nabla` for waves, if differences went around the edges.

        Args:
            h: Number of rows of the image.
            w: Number of columns of the image.
            device: Device of the result.
        """
        y, x = (
            2 - 2 * torch.cos(2 * torch.pi * torch.arange(n, device=device) / n) for n in (h, w)
        )
        return y[:, None] + x


@dataclass(frozen=True)
class SymmetrizedGradient(LinearOperator):
    r"""Symmetric part of the derivative of a vector field.

    .. math:: E v = \big(\partial_1 v_1,\ \partial_2 v_2,\
              \tfrac{1}{\sqrt 2}(\partial_1 v_2 + \partial_2 v_1)\big)

    with the adjoint differences of :class:`FiniteDifference` (Bredies, Kunisch and Pock, SIAM J
    Imaging Sci 3:492, 2010). The factor of the mixed component makes the norm of the three numbers
    that of the symmetric matrix. The norm of :math:`E` is at most :math:`\sqrt 8`.
    """

    def forward(self, x: Complex[Tensor, "*b 2 h w"]) -> Complex[Tensor, "*b 3 h w"]:
        v1, v2 = x[..., 0, :, :], x[..., 1, :, :]
        mixed = (_adjoint(v2, -2) + _adjoint(v1, -1)) * -(0.5**0.5)
        return torch.stack([-_adjoint(v1, -2), -_adjoint(v2, -1), mixed], -3)

    def adjoint(self, y: Complex[Tensor, "*b 3 h w"]) -> Complex[Tensor, "*b 2 h w"]:
        first, second, mixed = (y[..., i, :, :] for i in range(3))
        mixed = mixed * 0.5**0.5
        v1 = -_forward(first, -2) - _forward(mixed, -1)
        v2 = -_forward(second, -1) - _forward(mixed, -2)
        return torch.stack([v1, v2], -3)


@dataclass(frozen=True)
class TemporalDifference(LinearOperator):
    r"""Differences from each frame to the next, :math:`x_{t+1} - x_t`; frames are the axis -3.

    The last frame has none, or, in a cycle, that to the first one. Its norm is at most 2.

    Attributes:
        cyclic: Whether the first frame follows the last one.
    """

    cyclic: bool = False

    NORM = 2.0

    def forward(self, x: Complex[Tensor, "*b t h w"]) -> Complex[Tensor, "*b t h w"]:
        return x.roll(-1, -3) - x if self.cyclic else _forward(x, -3)

    def adjoint(self, y: Complex[Tensor, "*b t h w"]) -> Complex[Tensor, "*b t h w"]:
        return y.roll(1, -3) - y if self.cyclic else _adjoint(y, -3)


def _forward(x: Tensor, axis: int) -> Tensor:
    n = x.shape[axis]
    difference = x.narrow(axis, 1, n - 1) - x.narrow(axis, 0, n - 1)
    return torch.cat([difference, torch.zeros_like(x.narrow(axis, 0, 1))], axis)


def _adjoint(y: Tensor, axis: int) -> Tensor:
    n = y.shape[axis]
    inside = y.narrow(axis, 0, n - 1)
    edge = torch.zeros_like(y.narrow(axis, 0, 1))
    return torch.cat([edge, inside], axis) - torch.cat([inside, edge], axis)
