r"""The Cartesian multi-coil forward model :math:`A = M F S`."""

from dataclasses import dataclass

from jaxtyping import Complex, Float
from torch import Tensor

from mrirecon.errors import ShapeError
from mrirecon.fourier import fft, ifft
from mrirecon.operators.base import LinearOperator
from mrirecon.operators.weighting import data_weights
from mrirecon.types import KSpace, Maps, Mask, Sample


@dataclass(frozen=True)
class Coils(LinearOperator):
    """Multiply an image by each coil's sensitivity; the adjoint sums over coils."""

    maps: Complex[Tensor, "*b coil h w"]

    def forward(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b coil h w"]:
        _check_grid("image", x, self.maps)
        return self.maps * x.unsqueeze(-3)

    def adjoint(self, y: Complex[Tensor, "*b coil h w"]) -> Complex[Tensor, "*b h w"]:
        _check_grid("coil images", y, self.maps)
        return (self.maps.conj() * y).sum(-3)


@dataclass(frozen=True)
class Fourier(LinearOperator):
    """Centred orthonormal 2-D Fourier transform; unitary, so its adjoint is its inverse."""

    def forward(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        return fft(x)

    def adjoint(self, y: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        return ifft(y)


@dataclass(frozen=True)
class Sampling(LinearOperator):
    """Zero what was not acquired; a projection, so it is its own adjoint."""

    mask: Mask

    def forward(self, x: Complex[Tensor, "*b coil h w"]) -> Complex[Tensor, "*b coil h w"]:
        return x * self.mask.unsqueeze(-3)

    def adjoint(self, y: Complex[Tensor, "*b coil h w"]) -> Complex[Tensor, "*b coil h w"]:
        return self.forward(y)


@dataclass(frozen=True)
class Weights(LinearOperator):
    """Multiply each k-space sample of every coil by a real number."""

    weights: Float[Tensor, "*b #h #w"]

    def forward(self, x: Complex[Tensor, "*b coil h w"]) -> Complex[Tensor, "*b coil h w"]:
        return x * self.weights.unsqueeze(-3)

    def adjoint(self, y: Complex[Tensor, "*b coil h w"]) -> Complex[Tensor, "*b coil h w"]:
        return self.forward(y)


def least_squares(sample: Sample, maps: Maps) -> tuple[LinearOperator, KSpace]:
    r"""Return :math:`A` and :math:`y` of the data term :math:`\|Ax - y\|^2` of a Sample.

    Where samples were averaged differently, both carry the square root of
    :func:`~mrirecon.operators.weighting.data_weights`, which makes the noise of :math:`y` white
    again as far as these go. The norm of :math:`A` is at most one either way.
    """
    A = sense(maps, sample.mask)
    if sample.weights is None:
        return A, sample.kspace
    root = Weights(data_weights(sample).sqrt())
    return root @ A, root(sample.kspace)


def sense(maps: Complex[Tensor, "*b coil h w"], mask: Mask) -> LinearOperator:
    """Build the SENSE model ``Sampling(mask) @ Fourier() @ Coils(maps)``.

    Its norm is at most one when the maps have unit root-sum-of-squares, so a gradient step of
    one is always stable (Pruessmann et al., Magn Reson Med 42:952, 1999).
    """
    return Sampling(mask) @ Fourier() @ Coils(maps)


def _check_grid(name: str, x: Tensor, maps: Tensor) -> None:
    if x.shape[-2:] != maps.shape[-2:]:
        raise ShapeError(
            f"the {name} and the sensitivity maps must share the grid (h, w), "
            f"but have {tuple(x.shape)} and {tuple(maps.shape)}"
        )
