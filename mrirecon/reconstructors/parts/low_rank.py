"""The proximal map of the sum of singular values."""

import torch
from torch import Tensor


def shrink_singular_values(matrices: Tensor, threshold: float | Tensor) -> Tensor:
    """Subtract ``threshold`` from the singular values: the proximal map of the nuclear norm.

    By the eigenvectors of the small Gram matrix, in float64 because that squares them.
    """
    tall = matrices.to(torch.complex128)
    values, vectors = torch.linalg.eigh(tall.mH @ tall)
    singular = values.clamp_min(0).sqrt()
    gain = (singular - threshold).clamp_min(0) / singular.clamp_min(1e-30)
    return (tall @ ((vectors * gain.unsqueeze(-2)) @ vectors.mH)).to(matrices.dtype)
