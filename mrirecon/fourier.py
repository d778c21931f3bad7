"""The centred, orthonormal Fourier pair. No other module of mrirecon imports ``torch.fft``.

Shifts are applied as ``fftshift(fftn(ifftshift(x), norm="ortho"))``, so that index ``n // 2`` is
the centre in both domains for even and odd sizes alike. There are no switches: readers convert
other conventions.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float, Shaped
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


def plain_fft(
    x: Complex[Tensor, "..."], axes: Axes, sizes: Sequence[int] | None = None
) -> Complex[Tensor, "..."]:
    """Orthonormal transform with the origin at index 0, several times faster than :func:`fft`.

    For inner loops: :func:`center_phases` turns it into the centred one.

    Args:
        x: Array with any other axes.
        axes: Axes that are transformed.
        sizes: Sizes to which these axes are padded with zeros behind their ends; None pads none.
    """
    return torch.fft.fftn(x, s=sizes, dim=axes, norm="ortho")


def plain_ifft(x: Complex[Tensor, "..."], axes: Axes) -> Complex[Tensor, "..."]:
    """Inverse and adjoint of :func:`plain_fft`."""
    return torch.fft.ifftn(x, dim=axes, norm="ortho")


def convolved(
    x: Complex[Tensor, "..."], spectrum: Float[Tensor, "..."], axes: Axes
) -> Complex[Tensor, "..."]:
    """Multiply the spectrum of an image: :meth:`mrirecon.operators.NonUniformFourier.spectrum`.

    Where the spectrum has a larger grid, the image is padded with zeros behind its end, so that
    the convolution does not wrap around. Each axis is padded when it is transformed, and cut off
    before the next one is.

    Args:
        x: Images with any leading axes.
        spectrum: Real spectrum with its centre at index 0.
        axes: Axes that are transformed, in order.
    """
    y = x
    for axis in reversed(axes):
        y = torch.fft.fft(y, n=spectrum.shape[axis], dim=axis, norm="ortho")
    y = y * spectrum
    for axis in axes:
        y = torch.fft.ifft(y, dim=axis, norm="ortho").narrow(axis, 0, x.shape[axis])
    return y


def displacement_phase(
    y: Float[Tensor, "..."], x: Float[Tensor, "..."], shape: tuple[int, int]
) -> Complex[Tensor, "..."]:
    """Return what the k-space of a displaced object is multiplied by.

    Args:
        y: Displacement along ``h`` as a share of the field of view.
        x: Displacement along ``w``, likewise.
        shape: Size ``(h, w)`` of k-space.
    """
    ky, kx = (torch.arange(n, device=y.device) - n // 2 for n in shape)
    angle = -2 * torch.pi * (ky[:, None] * y + kx * x)
    return torch.polar(torch.ones_like(angle), angle)


def origin_first(x: Shaped[Tensor, "..."], axes: Axes = (-2, -1)) -> Shaped[Tensor, "..."]:
    """Move the centre of k-space, or of an image, to index 0, where the plain transforms have it.

    An axis of one entry, that broadcasts, stays as it is.
    """
    return torch.fft.ifftshift(x, dim=axes)


def center_phases(size: int, like: Complex[Tensor, "..."]) -> tuple[Tensor, Tensor]:
    r"""Return the phases that move the centre of a transform to ``size // 2`` in both domains.

    With :math:`c = \lfloor n / 2 \rfloor`, the centred transform is
    :math:`F = \operatorname{diag}(q)\,F_0\,\operatorname{diag}(p)`, where

    .. math:: p_x = e^{2\pi i\,cx/n}, \qquad q_k = e^{2\pi i\,c(k - c)/n}

    Returns:
        ``p`` of the image and ``q`` of k-space, with the dtype and on the device of ``like``.
    """
    center = size // 2
    index = torch.arange(size, device=like.device)
    image, kspace = (
        torch.polar(
            torch.ones(size, dtype=torch.float64, device=like.device),
            (2 * torch.pi / size) * turns.remainder(size).double(),
        ).to(like.dtype)
        for turns in (center * index, center * (index - center))
    )
    return image, kspace
