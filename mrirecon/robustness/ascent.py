"""Climbing to the perturbation that does most harm: by gradients, or without."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import MriReconError
from mrirecon.types import KSpace

Harm = Callable[[KSpace], Float32[Tensor, ""]]
GRADIENT = "gradient"
DIFFERENCES = "finite differences"
PAIRS = 4
"""Pairs of evaluations for one estimate of a gradient by simultaneous perturbation."""
SMALL = 0.1
"""Part of the allowed norm by which finite differences reach to either side."""
CHECKED = 0.02
"""Part of the norm of a step that tells whether a gradient holds."""
FIRST = 1.0
"""First step, as a part of the norm; a third of it after each one that does no more harm."""


def climb(
    harm: Harm, start: KSpace, mask: Tensor, steps: int, generator: torch.Generator
) -> tuple[KSpace, str]:
    """Return the worst perturbation of the norm of the first one that was met.

    Args:
        harm: Function that is made large.
        start: Perturbation to begin with.
        mask: True where k-space may be perturbed.
        steps: Number of steps, each towards the normalised gradient.
        generator: Source of random directions, for functions without a gradient that holds.

    Returns:
        The perturbation, and how slopes were found: :data:`GRADIENT` or :data:`DIFFERENCES`.
    """
    norm, stride = float(size_of(start)), FIRST
    best, (most, slope) = start, slope_of(harm, start)
    by = GRADIENT if slope is not None and _holds(harm, start, slope, most) else DIFFERENCES
    for step in range(steps):
        if slope is None:
            by = DIFFERENCES
        if by == DIFFERENCES:
            slope = _differences(harm, best, mask, generator)
        assert slope is not None
        slope = slope * mask
        size = float(size_of(slope))
        if not (size > 0 and math.isfinite(size)):
            break
        tried = best + (stride * norm / size) * slope
        tried = tried * (norm / size_of(tried))
        last = step == steps - 1 or by == DIFFERENCES
        value, found = slope_of(harm, tried, wanted=not last)
        if value > most:
            best, most, slope = tried, value, found
        else:
            stride /= 3
    return best, by


def worse(harm: Harm, one: KSpace, other: KSpace) -> KSpace:
    """Return whichever of two perturbations does more harm; the first where the other fails."""
    try:
        with torch.no_grad():
            return other if float(harm(other)) > float(harm(one)) else one
    except MriReconError:
        return one


def size_of(kspace: KSpace) -> Float32[Tensor, ""]:
    """Return the norm over coils and samples."""
    return torch.linalg.vector_norm(torch.view_as_real(kspace))


def random_unit(kspace: KSpace, mask: Tensor, generator: torch.Generator) -> KSpace:
    """Draw a perturbation of norm one.

    Args:
        kspace: Tensor of the wanted shape.
        mask: True where k-space may be perturbed.
        generator: Source of random numbers.
    """
    drawn = torch.randn(*kspace.shape, 2, generator=generator)
    white = torch.view_as_complex(drawn).to(kspace.device) * mask
    return white / size_of(white)


def slope_of(harm: Harm, perturbation: KSpace, wanted: bool = True) -> tuple[float, KSpace | None]:
    """Return the harm and its gradient; None where there is none.

    Args:
        harm: Function of the perturbation.
        perturbation: Perturbation at which it is evaluated.
        wanted: Whether the gradient is wanted at all.
    """
    if not wanted:
        with torch.no_grad():
            return float(harm(perturbation)), None
    leaf = perturbation.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        value = harm(leaf)
        if not value.requires_grad:
            return float(value), None
        try:
            (slope,) = torch.autograd.grad(value, leaf, allow_unused=True)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError:  # it was not written to be differentiated
            slope = None
    if slope is None or not slope.isfinite().all() or not slope.any():
        return float(value.detach()), None
    return float(value.detach()), slope.detach()


def _holds(harm: Harm, place: KSpace, slope: KSpace, value: float) -> bool:
    """Tell whether a small step along a gradient does a fifth of the harm that it foretells.

    Methods whose calibration or solver passes no gradient on have one that means little.
    """
    size, reach = float(size_of(slope)), CHECKED * float(size_of(place))
    with torch.no_grad():
        ahead = float(harm(place + (reach / size) * slope))
    return (ahead - value) > 0.2 * size * reach


def _differences(harm: Harm, place: KSpace, mask: Tensor, generator: torch.Generator) -> KSpace:
    """Estimate the gradient by simultaneous perturbation."""
    slope, reach = torch.zeros_like(place), SMALL * float(size_of(place))
    with torch.no_grad():
        for _ in range(PAIRS):
            direction = random_unit(place, mask, generator)
            ahead, behind = (harm(place + sign * reach * direction) for sign in (1, -1))
            slope = slope + (ahead - behind) / (2 * reach) * direction
    return slope
