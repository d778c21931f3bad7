"""The regularized least-squares fit behind every GRAPPA and SPIRiT kernel."""

import torch
from jaxtyping import Complex, Complex64, Float
from torch import Tensor

SINGLE = 1e-6
"""Regularization per weight above which rounding in single precision does not matter."""


def precise(x: Complex64[Tensor, "*b n p"], regularization: float) -> Complex[Tensor, "*b n p"]:
    """Return samples in the precision that their Gram matrix needs.

    The Gram matrix squares the singular values; double precision takes twice the time.
    """
    return x if regularization > SINGLE * x.shape[-2] else x.to(torch.complex128)


def interpolation_weights(
    gram: Complex[Tensor, "*b n n"],
    cross: Complex[Tensor, "*b n m"],
    regularization: float,
) -> Complex64[Tensor, "*b m n"]:
    r"""Return the weights that predict targets from sources.

    .. math:: W = \arg\min_W \|W X - Y\|_F^2 + \mu \|W\|_F^2
                = Y X^H (X X^H + \mu I)^{-1}, \qquad \mu = \lambda\,\|X X^H\|_F / n

    The scale of :math:`\mu` makes :math:`\lambda` independent of units and matrix size; it is that
    of pygrappa, whose default is 0.01 too.

    Args:
        gram: Gram matrix :math:`X X^H` of the sources.
        cross: Products :math:`X Y^H` of sources and targets.
        regularization: Relative weight :math:`\lambda` of the penalty, positive.
    """
    mu = regularization * torch.linalg.matrix_norm(gram.to(torch.complex128)) / gram.shape[-1]
    return penalized_weights(gram.to(torch.complex128, copy=True), cross, mu)


def penalized_weights(
    gram: Complex[Tensor, "*b n n"], cross: Complex[Tensor, "*b n m"], mu: Float[Tensor, "*b"]
) -> Complex64[Tensor, "*b m n"]:
    r"""Return the weights of :func:`interpolation_weights` for a given :math:`\mu`.

    Args:
        gram: Gram matrix of the sources, in the precision of :func:`precise`; overwritten.
        cross: Products of sources and targets.
        mu: Weight of the penalty; one where it is zero, so that an empty slice has zeros.
    """
    gram.diagonal(dim1=-2, dim2=-1).add_(torch.where(mu > 0, mu, 1.0).unsqueeze(-1))
    factor = torch.linalg.cholesky(gram)
    # two triangular systems, as cholesky_solve would copy the factor
    half = torch.linalg.solve_triangular(factor, cross.to(gram.dtype), upper=False)
    W = torch.linalg.solve_triangular(factor, half.mH, upper=False, left=False)
    return W.to(torch.complex64)
