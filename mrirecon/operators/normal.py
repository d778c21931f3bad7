r"""The normal operator :math:`A^HA` of SENSE and the right-hand side :math:`A^Hy`, fast."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from mrirecon.fourier import center_phases, plain_fft, plain_ifft
from mrirecon.operators.base import LinearOperator
from mrirecon.types import Image, Maps, Sample

TILE = 2**17  # complex numbers of one tile: as many as stay in a processor's cache


@dataclass(frozen=True)
class SenseNormal(LinearOperator):
    r""":math:`S^H F^H W F S` with real weights :math:`W`, the same numbers as the plain operators.

    Two identities make it fast. The centred transform is the plain one between two diagonal
    phases; those of k-space cancel, and that of the image, :math:`p`, commutes with the coils, so
    no data is shifted. Where the weights do not depend on the readout, the transform along it
    cancels as well, and every row is a problem of its own with transforms along ``w`` only. On a
    CPU the work is cut into tiles that stay in the cache.

    Attributes:
        maps: Coil sensitivities.
        weights: The mask, times the weights of the samples if there are any.
    """

    maps: Complex[Tensor, "*b coil h w"]
    weights: Float[Tensor, "*b #h #w"]

    @property
    def separable(self) -> bool:
        """Whether every row is a problem of its own."""
        return self.weights.shape[-2] == 1

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that have to be transformed."""
        return (-1,) if self.separable else (-2, -1)

    def phase(self) -> Complex[Tensor, "#h w"]:
        """Return :math:`p`, by which :meth:`modulated` differs from the operator."""
        h, w = self.maps.shape[-2:]
        columns = center_phases(w, self.maps)[0][None, :]
        return columns if self.separable else center_phases(h, self.maps)[0][:, None] * columns

    def forward(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        phase = self.phase()
        return phase.conj() * self.modulated(phase * x)

    def adjoint(self, y: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        return self.forward(y)

    def modulated(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        """Apply it to an image that is multiplied by :meth:`phase`; so is the result."""
        if x.is_cuda:
            return combine(self.maps, self._filter(self.maps * x.unsqueeze(-3), self.weights))
        coils, h, w = self.maps.shape[-3:]
        maps = self.maps.expand(*x.shape[:-2], coils, h, w).reshape(-1, coils, h, w)
        weights = self.weights.expand(*x.shape[:-2], *self.weights.shape[-2:])
        weights = weights.reshape(-1, *weights.shape[-2:])
        pieces = self._rows if self.separable else self._coils
        members = [
            pieces(maps[i], weights[i], image) for i, image in enumerate(x.reshape(-1, h, w))
        ]
        return torch.stack(members).reshape(x.shape) if members else x

    def _filter(self, coil_images: Tensor, weights: Tensor) -> Tensor:
        return plain_ifft(plain_fft(coil_images, self.axes) * weights.unsqueeze(-3), self.axes)

    def _rows(self, maps: Tensor, weights: Tensor, x: Tensor) -> Tensor:
        parts = []
        for rows in row_tiles(maps):
            tile = maps[:, rows]
            parts.append(combine(tile, self._filter(tile * x[rows], weights)))
        return torch.cat(parts)

    def _coils(self, maps: Tensor, weights: Tensor, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for coil in maps:
            image = plain_ifft(plain_fft(coil * x, self.axes) * weights, self.axes)
            total = total + coil.conj() * image
        return total


def sense_normal(sample: Sample, maps: Maps) -> SenseNormal:
    r"""Return :math:`A^HA` of :func:`~mrirecon.operators.sense.least_squares`.

    A full-size mask whose rows are all alike is recognised as a line mask.
    """
    weights = sample.mask.float()
    if sample.weights is not None:
        weights = weights * sample.weights
    first = weights[..., :1, :]
    return SenseNormal(maps, first if (weights == first).all() else weights)


def adjoint_image(sample: Sample, maps: Maps) -> Image:
    r"""Return :math:`A^Hy` of :func:`~mrirecon.operators.sense.least_squares`."""
    return demodulate(modulated_adjoint(sample, maps))


def modulated_adjoint(sample: Sample, maps: Maps) -> Image:
    r"""Return :math:`A^Hy` times the phases of both axes."""
    h, w = sample.kspace.shape[-2:]
    weights = sample.mask if sample.weights is None else sample.mask * sample.weights
    rows, columns = (center_phases(n, sample.kspace)[1].conj() for n in (h, w))
    factors = (weights * (rows[:, None] * columns)).unsqueeze(-3)
    if sample.kspace.is_cuda:
        return combine(maps, plain_ifft(sample.kspace * factors, (-2, -1)))
    total = torch.zeros_like(sample.kspace[..., 0, :, :])
    for coil in range(maps.shape[-3]):
        image = plain_ifft(sample.kspace[..., coil, :, :] * factors[..., 0, :, :], (-2, -1))
        total = total + maps[..., coil, :, :].conj() * image
    return total


def demodulate(x: Image) -> Image:
    """Remove the phases of both axes."""
    h, w = x.shape[-2:]
    return x * center_phases(h, x)[0].conj()[:, None] * center_phases(w, x)[0].conj()


def combine(
    maps: Complex[Tensor, "*b coil h w"], coil_images: Complex[Tensor, "*b coil h w"]
) -> Complex[Tensor, "*b h w"]:
    """Return the sum over coils of ``maps.conj() * coil_images``."""
    return (maps.conj() * coil_images).sum(-3)


def row_tiles(maps: Complex[Tensor, "*b coil h w"]) -> list[slice]:
    """Cut the rows so that a tile of all coils has about :data:`TILE` complex numbers."""
    coils, h, w = maps.shape[-3:]
    size = max(1, round(TILE * torch.get_num_threads() / (coils * w)))
    return [slice(start, min(start + size, h)) for start in range(0, h, size)]
