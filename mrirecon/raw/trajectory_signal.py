"""Whether k-space and trajectory belong together, judged by the signal."""

import numpy as np
import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

CENTRAL = 0.125
"""Places closer to k = 0, relative to the farthest, are central."""
MORE = 2.0
"""The share of the energy that is central exceeds that of the samples at least so many times."""


def misplaced(
    kspace: Complex64[np.ndarray, "coil h w"], trajectory: Float32[Tensor, "h w 2"]
) -> str:
    """Say that the signal is not strongest where the trajectory passes k = 0; else empty.

    Args:
        kspace: Samples of a plane.
        trajectory: Places of the samples.
    """
    energy = np.zeros(kspace.shape[1:])
    for coil in kspace:
        energy += np.square(np.abs(coil), dtype=np.float64)
    radius = trajectory.norm(dim=-1).numpy()
    measured = energy > 0
    central = (radius <= CENTRAL * radius.max()) & measured
    if not central.any() or central.sum() * MORE >= measured.sum():
        return ""
    share, part = energy[central].sum() / energy.sum(), central.sum() / measured.sum()
    if share >= MORE * part:
        return ""
    return (
        f"{share:.0%} of the signal is in the {part:.0%} of the samples that the trajectory places "
        f"closest to k = 0, expected far more of it: this is noise, or k-space and trajectory do "
        "not belong together"
    )


def measured_samples(
    kspace: Complex64[Tensor, "coil h w"],
) -> torch.Tensor:
    """Return the mask of what is not zero in all coils, a single row when readouts are complete."""
    found = (kspace != 0).any(0)
    lines = found.any(0, keepdim=True)
    return lines if bool((found == lines).all()) else found
