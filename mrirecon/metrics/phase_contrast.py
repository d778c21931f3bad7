r"""Phase-contrast imaging: velocities from the phases of two flow encodings, and their errors.

Spins that move with the velocity :math:`v` along the encoded direction have the phase
:math:`\pi v/v_{enc}` more in the encoded image than in the reference (Pelc et al., Magn Reson Q
7:229, 1991). Where :math:`|v| > v_{enc}` the phase is wrapped, and so is the velocity.
"""

import math

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from mrirecon.errors import ShapeError


def phase_difference(
    encoded: Complex[Tensor, "..."], reference: Complex[Tensor, "..."]
) -> Float[Tensor, "..."]:
    r"""Return the phase of an image less that of another in :math:`(-\pi, \pi]`, zero of nothing.

    Args:
        encoded: Image with the flow encoding.
        reference: Image without it, or with the opposite one.
    """
    product = encoded * reference.conj()
    return torch.where(product == 0, 0.0, torch.angle(product))  # that of -0 would be half a turn


def velocity(
    encoded: Complex[Tensor, "..."], reference: Complex[Tensor, "..."], venc: float
) -> Float[Tensor, "..."]:
    """Return the velocity along the encoded direction, in the units of ``venc``.

    Args:
        encoded: Image with the flow encoding.
        reference: Image without it, or with the opposite one.
        venc: Velocity that turns the phase difference of both by half a turn, mostly in cm/s.

    Raises:
        ValueError: When it is not above zero.
    """
    check_venc(venc)
    return phase_difference(encoded, reference) * (venc / math.pi)


def phase_error(
    found: Float[Tensor, "..."],
    expected: Float[Tensor, "..."],
    where: Bool[Tensor, "..."] | None = None,
) -> float:
    r"""Return the root-mean-square error of phases in radians; no error is beyond half a turn.

    Phases of single images hold the phase that the coil maps of a method leave to the image, so
    those of other maps do not compare; phase differences of two encodings do.

    Args:
        found: Phases, or phase differences, in radians.
        expected: Phases that they should be.
        where: Pixels that count; None for all.

    Raises:
        ShapeError: When shapes differ, or no pixel counts.
    """
    return float(_wrapped(found, expected, where, math.pi).square().mean().sqrt())


def velocity_error(
    found: Float[Tensor, "..."],
    expected: Float[Tensor, "..."],
    venc: float,
    where: Bool[Tensor, "..."] | None = None,
) -> float:
    """Return the root-mean-square error of velocities, in their units.

    A velocity that was wrapped by noise at its limit, ``venc``, is off by as much as it would be
    without: no error is beyond ``venc``.

    Args:
        found: Velocities of the images.
        expected: Velocities that they should be.
        venc: Largest velocity of the encoding.
        where: Pixels that count; None for all.

    Raises:
        ShapeError: When shapes differ, or no pixel counts.
    """
    check_venc(venc)
    return float(_wrapped(found, expected, where, venc).square().mean().sqrt())


def velocity_bias(
    found: Float[Tensor, "..."],
    expected: Float[Tensor, "..."],
    venc: float,
    where: Bool[Tensor, "..."] | None = None,
) -> float:
    """Return the mean error of velocities, by which flow through a vessel is wrong.

    Args:
        found: Velocities of the images.
        expected: Velocities that they should be.
        venc: Largest velocity of the encoding.
        where: Pixels that count, such as those of the vessel; None for all.

    Raises:
        ShapeError: When shapes differ, or no pixel counts.
    """
    check_venc(venc)
    return float(_wrapped(found, expected, where, venc).mean())


def check_venc(venc: float) -> None:
    """Raise ValueError unless this can be the largest velocity of an encoding."""
    if not 0 < venc < math.inf:
        raise ValueError(f"venc must be a velocity above zero, got {venc}")


def _wrapped(found: Tensor, expected: Tensor, where: Tensor | None, half: float) -> Tensor:
    """Return the differences of the pixels that count, within half a period of zero."""
    shapes = {tuple(one.shape) for one in (found, expected, where) if one is not None}
    if len(shapes) > 1:
        raise ShapeError(f"the images and the mask must share a shape, but have {sorted(shapes)}")
    difference = (found - expected).double()
    chosen = difference.flatten() if where is None else difference[where]
    if not len(chosen):
        raise ShapeError("no pixel counts: the mask is empty")
    return torch.remainder(chosen + half, 2 * half) - half
