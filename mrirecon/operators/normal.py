r"""The normal operator :math:`A^HA` of SENSE and the right-hand side :math:`A^Hy`, fast."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from mrirecon.fourier import center_phases, convolved, origin_first, plain_fft, plain_ifft
from mrirecon.operators.base import LinearOperator
from mrirecon.operators.gridding import transforms, transposed
from mrirecon.operators.weighting import data_weights
from mrirecon.types import Image, Maps, Sample

TILE = 2**18  # complex numbers of one tile: as many as stay in a processor's cache


@dataclass(frozen=True)
class SenseNormal(LinearOperator):
    r""":math:`S^H F^H W F S` with real weights :math:`W`, the same numbers as the plain operators.

    Two identities make it fast. :math:`F^H W F` is a circular convolution, which does not care
    where the origin is, so no data is shifted: only :math:`W`, once. Where the weights do not
    depend on the readout, the transform along it cancels, and every row is a problem of its own
    with transforms along ``w`` only. On a CPU the work is cut into tiles that stay in the cache.
    Along a trajectory :math:`F^H W F` is a convolution that does not wrap around: its spectrum has
    a grid of twice the size (Fessler et al., IEEE Trans Signal Process 53:3393, 2005).

    The gradient with respect to image and maps computes the coil images again instead of keeping
    them; it can not be differentiated once more.

    Attributes:
        maps: Coil sensitivities :math:`S`.
        spectrum: The weights with the centre of k-space at index 0; see :meth:`of`.
    """

    maps: Complex[Tensor, "*b coil h w"]
    spectrum: Float[Tensor, "*b hs ws"]

    @classmethod
    def of(
        cls, maps: Complex[Tensor, "*b coil h w"], weights: Float[Tensor, "*b #h #w"]
    ) -> "SenseNormal":
        """Build it from weights with the centre of k-space where it is everywhere else."""
        return cls(maps, origin_first(weights))

    @property
    def separable(self) -> bool:
        """Whether every row is a problem of its own."""
        return self.spectrum.shape[-2] == 1

    def forward(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        coils, h, w = self.maps.shape[-3:]
        batch = x.shape[:-2]
        maps = self.maps.expand(*batch, coils, h, w).reshape(-1, coils, h, w)
        spectrum = self.spectrum.expand(*batch, *self.spectrum.shape[-2:])
        # a Function takes longer to call than small images take to compute
        apply = _Normal.apply if torch.is_grad_enabled() else _Normal.forward
        result: Tensor = apply(
            x.reshape(-1, h, w), maps, spectrum.reshape(-1, 1, *spectrum.shape[-2:])
        )
        return result.reshape(x.shape)

    def adjoint(self, y: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b h w"]:
        return self.forward(y)

    def filter(self, coil_images: Complex[Tensor, "*b coil h w"]) -> Tensor:
        """Apply :math:`F^H W F` to every coil image."""
        return _filter(coil_images, self.spectrum.unsqueeze(-3))


class _Normal(torch.autograd.Function):
    """On a flat batch: image (b, h, w), maps (b, coil, h, w), spectrum (b, 1, #h, w)."""

    @staticmethod
    def forward(x: Tensor, maps: Tensor, spectrum: Tensor) -> Tensor:  # type: ignore[override]
        if not x.is_cuda and spectrum.shape[-2] == 1:
            return _by_rows(x, maps, spectrum)
        if not x.is_cuda and spectrum.shape[-2:] == x.shape[-2:]:
            return _coil_by_coil(x, maps, spectrum)
        y = torch.zeros_like(x)
        for members, coils, rows in _tiles(maps, spectrum):
            S = maps[members, coils, rows]
            coil_images = S * x[members, None, rows]
            _add_combined(y[members, rows], S, _filter(coil_images, spectrum[members]))
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx: Any, dx: Tensor, dS: Tensor, dw: Tensor) -> Tensor:  # type: ignore[override]
        x, S, spectrum = ctx.saved_tensors
        image, change = x.unsqueeze(1), dx.unsqueeze(1)
        filtered = _filter(S * image, spectrum)
        varied = _filter(S * change + dS * image, spectrum) + _filter(S * image, dw)
        return combine(dS, filtered) + combine(S, varied)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor | None, None]:  # type: ignore[override]
        x, maps, spectrum = ctx.saved_tensors
        if ctx.needs_input_grad[2]:
            raise NotImplementedError("SenseNormal has no gradient with respect to its weights")
        dx = torch.zeros_like(x)
        dS = torch.empty_like(maps) if ctx.needs_input_grad[1] else None
        for members, coils, rows in _tiles(maps, spectrum):
            S = maps[members, coils, rows]
            image, gradient = x[members, None, rows], g[members, None, rows]
            filtered = _filter(S * gradient, spectrum[members])
            _add_combined(dx[members, rows], S, filtered)
            if dS is not None:
                again = _filter(S * image, spectrum[members])
                dS[members, coils, rows] = gradient.conj() * again + image.conj() * filtered
        return dx, dS, None


def _by_rows(x: Tensor, maps: Tensor, spectrum: Tensor) -> Tensor:
    """Return what :class:`_Normal` does where every row is a problem of its own, on a CPU."""
    y = torch.empty_like(x)
    for image, of_coils, weights, result in zip(x, maps, spectrum[:, 0], y, strict=True):
        conjugating = torch.stack([weights, -weights], -1)
        for rows in row_tiles(maps):
            S = of_coils[:, rows]
            filtered = _conjugate_filtered(S * image[rows], conjugating, (-1,))
            result[rows] = (filtered * S).sum(-3).conj()
    return y


def _coil_by_coil(x: Tensor, maps: Tensor, spectrum: Tensor) -> Tensor:
    """Return what :class:`_Normal` does for weights on the grid of the image, on a CPU."""
    y = torch.empty_like(x)
    for image, of_coils, weights, result in zip(x, maps, spectrum[:, 0], y, strict=True):
        conjugating = torch.stack([weights, -weights], -1)
        total = torch.zeros_like(image)
        for S in of_coils:
            total.addcmul_(S, _conjugate_filtered(S * image, conjugating, (-2, -1)))
        result.copy_(total.conj())
    return y


def _conjugate_filtered(z: Tensor, conjugating: Tensor, axes: tuple[int, ...]) -> Tensor:
    r"""Return :math:`\overline{F^H W F z} = F\,(W\,\overline{Fz})`, as :math:`F` is symmetric.

    The conjugate goes with the weights, ``conjugating``, and no copy of the maps is conjugated.
    """
    kspace = plain_fft(z, axes)
    torch.view_as_real(kspace).mul_(conjugating)
    return plain_fft(kspace, axes)


def _add_combined(image: Tensor, maps: Tensor, coil_images: Tensor) -> None:
    """Add what :func:`combine` returns, in one go where there is a single coil."""
    if maps.shape[-3] == 1:
        image.addcmul_(maps[..., 0, :, :].conj(), coil_images[..., 0, :, :])
    else:
        image += combine(maps, coil_images)


def _filter(coil_images: Tensor, spectrum: Tensor) -> Tensor:
    if spectrum.shape[-1] > coil_images.shape[-1]:
        return convolved(coil_images, spectrum, (-2, -1))
    axes = (-1,) if spectrum.shape[-2] == 1 else (-2, -1)
    return plain_ifft(plain_fft(coil_images, axes) * spectrum, axes)


def _tiles(maps: Tensor, spectrum: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Yield the members, coils and rows of pieces that can be computed one after the other."""
    everything = slice(None)
    if maps.is_cuda:
        yield everything, everything, everything
        return
    members, coils = (range(n) for n in maps.shape[:2])
    for i in members:
        member = slice(i, i + 1)
        if spectrum.shape[-2] == 1:
            yield from ((member, everything, rows) for rows in row_tiles(maps))
        else:
            yield from ((member, slice(c, c + 1), everything) for c in coils)


def sense_normal(sample: Sample, maps: Maps) -> SenseNormal:
    r"""Return :math:`A^HA` of :func:`~mrirecon.operators.sense.least_squares`.

    On the CPU a full-size mask whose rows are all alike is recognised as a line mask; a GPU would
    keep the host waiting for the answer.
    """
    weights = data_weights(sample)
    if sample.trajectory is not None:
        of_samples = weights.expand(sample.trajectory.shape[:-1]).flatten(-2)
        of_samples = of_samples.reshape(-1, of_samples.shape[-1])
        pairs = zip(transforms(sample), of_samples, strict=True)
        spectra = torch.stack([F.spectrum(W) for F, W in pairs])
        return SenseNormal(maps, spectra.reshape(*maps.shape[:-3], *spectra.shape[-2:]))
    if weights.shape[-2] > 1 and not weights.is_cuda and (weights == weights[..., :1, :]).all():
        weights = weights[..., :1, :]
    return SenseNormal.of(maps, weights)


def adjoint_image(sample: Sample, maps: Maps) -> Image:
    r"""Return :math:`A^Hy` of :func:`~mrirecon.operators.sense.least_squares`.

    The phases that centre the transforms are multiplied with the weights in k-space, and with the
    image after the coils were combined.
    """
    h, w = sample.kspace.shape[-2:]
    weights = data_weights(sample)
    if sample.trajectory is not None:
        return combine(maps, transposed(sample, sample.kspace * weights.unsqueeze(-3)))
    (p_h, q_h), (p_w, q_w) = (center_phases(n, sample.kspace) for n in (h, w))
    factors = (weights * (q_h[:, None] * q_w).conj()).unsqueeze(-3)
    if sample.kspace.is_cuda:
        total = combine(maps, plain_ifft(sample.kspace * factors, (-2, -1)))
    else:
        total = torch.zeros_like(sample.kspace[..., 0, :, :])
        for coil in range(maps.shape[-3]):
            image = plain_ifft(sample.kspace[..., coil, :, :] * factors[..., 0, :, :], (-2, -1))
            total = torch.addcmul(total, maps[..., coil, :, :].conj(), image)
    return total * (p_h[:, None] * p_w).conj()


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
