"""Density compensation: what samples weigh so that the adjoint is nearly the inverse.

Only for gridding and as a preconditioner: in a least-squares problem all samples of equal noise
weigh the same.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.operators.nonuniform import NonUniformFourier


def iterated_density(operator: NonUniformFourier, iterations: int = 20) -> Float[Tensor, "sample"]:
    r"""Return weights of any trajectory, by repeated smoothing.

    .. math:: w \leftarrow \frac{w}{K w}

    (Pipe and Menon, Magn Reson Med 41:179, 1999). The kernel is that of Fejér,
    :math:`\operatorname{sinc}^2` of the field of view: it is never negative, and zero at the other
    points of the Cartesian grid, so that weights are positive and those of a full grid are 1. It is
    applied as a transform to an image of twice the size, a triangular window, and back.

    Args:
        operator: Transform along the trajectory.
        iterations: Number of repetitions.
    """
    check_at_least(1, iterations=iterations)
    places = operator.trajectory.detach()
    twice = tuple(2 * n for n in operator.shape)
    smooth = NonUniformFourier(places * 2, twice, operator.tolerance)
    window = torch.ones((), dtype=places.dtype, device=places.device)
    for size in operator.shape:
        index = torch.arange(2 * size, dtype=places.dtype, device=places.device) - size
        window = window[..., None] * (1 - index.abs() / size)
    window = window / window.mean()
    weights = torch.ones(len(places), dtype=places.dtype, device=places.device)
    for _ in range(iterations):
        image = smooth.H(torch.complex(weights, torch.zeros_like(weights)))
        spread = smooth(window * image).real
        weights = weights / spread.clamp(min=torch.finfo(weights.dtype).eps)
    return weights


def radial_density(
    trajectory: Float[Tensor, "spoke sample axis"], shape: tuple[int, ...]
) -> Float[Tensor, "spoke sample"]:
    """Return the area, or the volume, that belongs to each sample of straight spokes.

    Spokes are diameters that are spread evenly over all directions, samples are evenly spaced along
    each. The areas are those between the circles midway to the next samples, shared by all spokes,
    in units of the area of one Cartesian sample: on a well-sampled disc of k-space the adjoint with
    these weights is nearly the inverse.

    Args:
        trajectory: Places in cycles per field of view.
        shape: Size of the image.
    """
    axes = trajectory.shape[-1]
    if axes != len(shape) or axes not in (2, 3):
        raise ValueError(f"trajectory: expected {len(shape)} axes as the image has, got {axes}")
    radius = trajectory.norm(dim=-1)
    step = (trajectory[:, 1:] - trajectory[:, :-1]).norm(dim=-1).mean()
    outer, inner = radius + step / 2, (radius - step / 2).clamp(min=0)
    volume = torch.pi if axes == 2 else 4 / 3 * torch.pi
    # a diameter meets each ring twice; around the centre it does so once, in one disc
    shared = torch.where(radius < step / 2, 1, 2) * len(trajectory)
    return volume * (outer**axes - inner**axes) / shared
