"""A circular convolution that stands for the normal operator of SENSE, inverted."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from mrirecon.fourier import plain_fft, plain_ifft
from mrirecon.image import squared_magnitude
from mrirecon.operators.normal import SenseNormal

LEAST = 0.1
"""Added to all eigenvalues: waves that fall between samples are seen by their neighbours, too, and
must not be amplified. From 0.03 to 0.3 the number of steps changes little (Cartesian and radial
scans, R = 2 to 8)."""


@dataclass(frozen=True)
class CirculantInverse:
    r"""Approximates :math:`(A^HA + \lambda)^{-1}`, by which conjugate gradients take fewer steps.

    The circular convolution nearest to :math:`A^HA` has the eigenvalue
    :math:`\sum_j W_j |\hat S(j - k)|^2` for the wave :math:`k`: how much of its energy is sampled
    after the coils have spread it, :math:`|\hat S|^2` being the sum over the coils' spectra
    (Chan, SIAM J Sci Stat Comput 9:766, 1988; for SENSE Koolstra et al., Magn Reson Med 81:670,
    2019). It costs two transforms of the image, where :math:`A^HA` costs two of every coil.

    Attributes:
        inverse: Reciprocals of the eigenvalues, with the centre of k-space at index 0, twice: for
            the real and the imaginary part.
        axes: Axes of one system: the last where every row is a problem of its own, else both.
        support: One in the pixels that a coil sees, and zero where the image stays zero, twice.
    """

    inverse: Float[Tensor, "*b h w 2"]
    axes: tuple[int, ...]
    support: Float[Tensor, "*b h w 2"]

    @classmethod
    def of(
        cls,
        normal: SenseNormal,
        weight: float | Float[Tensor, "*#b #h #w"],
        least: float = LEAST,
    ) -> "CirculantInverse":
        r"""Build it for :math:`A^HA` and the weight :math:`\lambda` of the penalty.

        Args:
            normal: Normal operator :math:`A^HA` of the data.
            weight: One weight of the penalty, or that of every wave with the centre of k-space at
                index 0.
            least: Least of these weights that is taken.
        """
        maps, spectrum = normal.maps, normal.spectrum
        axes = (-1,) if normal.separable else (-2, -1)
        sizes = [spectrum.shape[axis] for axis in axes]
        spread = torch.zeros_like(maps[..., 0, :1, :1].real)
        for coil in maps.unbind(-3):  # one after the other: all at once would take much memory
            spread = spread + squared_magnitude(plain_fft(coil, axes, sizes))
        spread = spread / spread.sum(axes, keepdim=True).clamp_min(torch.finfo(spread.dtype).tiny)
        seen, sent = (plain_fft(one.to(maps.dtype), axes) for one in (spectrum, spread))
        sampled = plain_ifft(seen * sent.conj(), axes).real * math.prod(sizes) ** 0.5
        # along trajectories the spectrum is twice as fine
        h, w = (sampled.shape[axis] // maps.shape[axis] for axis in (-2, -1))
        added = torch.as_tensor(weight, device=maps.device).clamp_min(least)
        inverse = 1 / (sampled[..., ::h, ::w].clamp_min(0) + added)
        support = (squared_magnitude(maps, (-3,)) > 0).to(inverse.dtype)
        return cls(_twice(inverse), axes, _twice(support))

    def __call__(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        """Apply it."""
        # in place: a product of real and complex numbers would convert the real ones each time
        spectrum = plain_fft(x, self.axes)
        torch.view_as_real(spectrum).mul_(self.inverse)
        image = plain_ifft(spectrum, self.axes)
        torch.view_as_real(image).mul_(self.support)
        return image


def _twice(values: Float[Tensor, "..."]) -> Float[Tensor, "... 2"]:
    return torch.stack([values, values], -1)
