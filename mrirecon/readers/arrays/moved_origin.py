"""The origin of the image of a k-space array, moved from its first pixel into the middle."""

import numpy as np
import torch
from jaxtyping import Complex64

from mrirecon.fourier import center_phases


def moved_origin(kspace: Complex64[np.ndarray, "..."], axis: int) -> Complex64[np.ndarray, "..."]:
    """Move the origin of the image along one axis of k-space.

    Args:
        kspace: k-space with k = 0 at index ``n // 2``.
        axis: Axis along which the Fourier transform had its origin in the first pixel.
    """
    tensor = torch.from_numpy(kspace).movedim(axis, -1)
    _, phases = center_phases(tensor.shape[-1], tensor)
    moved: np.ndarray = (tensor * phases).movedim(-1, axis).numpy()
    return moved
