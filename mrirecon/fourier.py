"""The centred, orthonormal Fourier pair. No other module of mrirecon imports ``torch.fft``.

Shifts are applied as ``fftshift(fftn(ifftshift(x), norm="ortho"))``, so that index ``n // 2`` is
the centre in both domains for even and odd sizes alike. There are no switches: readers convert
other conventions.
"""

import torch
from jaxtyping import Complex
from torch import Tensor

Axes = tuple[int, ...]


def fft(x: Complex[Tensor, "..."], axes: Axes = (-2, -1)) -> Complex[Tensor, "..."]:
    r"""Image to k-space, :math:`F`, along ``axes``.

    Orthonormal: :math:`F^H F = I`, so the adjoint of ``fft`` is :func:`ifft`.
    """
    shifted = torch.fft.ifftshift(x, dim=axes)
    return torch.fft.fftshift(torch.fft.fftn(shifted, dim=axes, norm="ortho"), dim=axes)


def ifft(x: Complex[Tensor, "..."], axes: Axes = (-2, -1)) -> Complex[Tensor, "..."]:
    r"""k-space to image, :math:`F^H = F^{-1}`, along ``axes``; see :func:`fft`."""
    shifted = torch.fft.ifftshift(x, dim=axes)
    return torch.fft.fftshift(torch.fft.ifftn(shifted, dim=axes, norm="ortho"), dim=axes)
