"""Weights of the measured samples in a data term.

Samples that were averaged more often have less noise, and the best linear estimate weighs each by
its inverse noise variance. Taken relative to the most averaged sample, a single line that was
measured often would make all others count less, which acts as a stronger regularization and slows
down every iteration of a fixed number of steps. So they are taken relative to what is usual.
"""

import math

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.operators.areas import areas
from mrirecon.types import Sample

RANGE = 4.0
"""Usual samples count at most this many times as much as those averaged least."""
OVERLAP = 2.0
"""Largest norm of :math:`F^H D F` with the areas of samples that do not lie on a grid.

Of spokes, spirals, random and jittered places it was found between 1.0 and 1.9.
"""


def data_weights(sample: Sample) -> Float32[Tensor, "*b #h #w"]:
    r"""Return the weights :math:`W` of the data term :math:`\|W^{1/2}(Ax - y)\|^2`.

    .. math:: W_i = \min\big(\max(v_i / \tilde v,\ 1/4),\ 1\big)

    for a measured sample of inverse noise variance :math:`v_i` (``sample.weights``), with the
    median :math:`\tilde v` over the measured samples of the slice; 0 for others. What was averaged
    more often than usual counts as usual, so the norm of :math:`W^{1/2}A` stays at most one and
    more data never makes other data count less. The lower limit keeps steps towards the data of
    those averaged seldom in a fixed number of iterations.

    Inverse variances relative to a single acquisition, without the upper limit, would be the best
    weights of a fixed penalty. They are not used: gradient and primal-dual steps and trained
    networks need a norm of at most one, and dividing by the largest weight would make their steps
    towards all other samples smaller by as much, at the same number of steps. On a simulated brain
    whose nine central lines were averaged 16 times, CG-SENSE lost by this 2 % of its error with a
    fixed penalty, and 15 to 16 % of it with the automatic one.

    Along a trajectory they are multiplied with the :func:`~mrirecon.operators.areas.areas` of the
    samples, divided by :data:`OVERLAP`, so that the norm is at most one there, too. Where samples
    crowd, the image is determined by more of them than unknowns, whatever their weights; without
    the areas, the edge of k-space would need many times as many steps as its centre.
    """
    parts = areas(sample)
    if sample.trajectory is not None:
        parts = parts / OVERLAP
    return parts if sample.weights is None else parts * _relative(sample)


def penalty_share(sample: Sample) -> Float32[Tensor, "*b 1 1"] | float:
    r"""Return what an absolute regularization weight has to be multiplied with.

    It is the least of the measured samples' :math:`W_i`: so the penalty is to no sample more than
    it would be if all had been averaged as seldom as that one. One where all weigh the same.
    Along a trajectory it is divided by :data:`OVERLAP`, as the data term is.
    """
    overlap = 1.0 if sample.trajectory is None else OVERLAP
    if sample.weights is None:
        return 1 / overlap
    weights = _relative(sample)
    weights = torch.where(weights > 0, weights, 1.0)
    return weights.amin((-2, -1), keepdim=True) / overlap


def noise_variance(sample: Sample, std: Float32[Tensor, "*b"]) -> Float32[Tensor, "*b 1 1"]:
    r"""Return the noise variance of a sample with :math:`W_i = 1`, per real component.

    It is :math:`\sum_i W_i^2 \sigma_i^2 / \sum_i W_i`, which is the noise that reaches
    :math:`A^H W y`, divided by the density; also along a trajectory.

    Args:
        sample: One slice or a batch.
        std: Standard deviation of the noise of the best-averaged samples, as ``sample.noise``.
    """
    variance = std[..., None, None].square()
    if sample.weights is None and sample.trajectory is None:
        return variance
    weights = data_weights(sample)
    passed = weights.square()
    if sample.weights is not None:
        passed = passed / sample.weights.clamp_min(1e-6)
    total = weights.sum((-2, -1), keepdim=True)
    share = passed.sum((-2, -1), keepdim=True) / total.clamp_min(1e-6)
    return variance * torch.where(total > 0, share, 1.0)


def _relative(sample: Sample) -> Float32[Tensor, "*b #h #w"]:
    """Return the limited weights; what is zero counts as unmeasured."""
    assert sample.weights is not None
    measured = sample.mask & (sample.weights > 0)
    values = torch.where(measured, sample.weights, math.nan)
    usual = values.flatten(-2).nanmedian(-1).values[..., None, None]
    limited = (sample.weights / usual).clamp(1 / RANGE, 1.0)
    return torch.where(measured, limited, 0.0)
