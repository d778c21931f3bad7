"""How far k-space is from what its own neighbourhoods predict, without matrices of every pixel.

A kernel of a few samples is a product with a coil x coil matrix at every pixel; but along one axis
such a short convolution can be done block by block of k-space (overlap-save), and all blocks of a
row have the few matrices of one block in common: a twentieth of the memory, and products of
matrices instead of products of matrices with vectors.
"""

import torch
from jaxtyping import Complex64, Int64
from torch import Tensor

from mrirecon.buffers import at_once
from mrirecon.fourier import plain_fft, plain_ifft

CHUNK = 2**17
"""Elements of blocks, and of matrices, worked on at a time: as stay in a processor's cache."""


class SelfConsistency:
    r"""Applies :math:`(G - I)^H (G - I)`, where :math:`G` predicts all samples of all coils.

    It is applied to k-space whose first axis alone is transformed to the image, by
    :func:`~mrirecon.fourier.plain_ifft`; all borders are cyclic, as those of the transform are.

    Args:
        weights: Kernel that predicts each coil from all coils around a sample.
        shape: Size ``(h, w)`` of k-space.
        columns: Columns of k-space where the result is wanted.
    """

    def __init__(
        self,
        weights: Complex64[Tensor, "b coil coil k k"],
        shape: tuple[int, int],
        columns: Int64[Tensor, "n"],
    ) -> None:
        h, self.w = shape
        reach = weights.shape[-1] - 1  # the kernel and its adjoint, half of it each
        self.width, self.step = 4 * reach, 2 * reach
        self.blocks = -(-self.w // self.step)
        place = torch.arange(self.blocks * self.step + 2 * reach, device=weights.device)
        self.places = (place - reach) % self.w
        self.kept = slice(reach, reach + self.step)
        self.columns = columns
        self.matrices = _products(weights, (h, self.width)).flatten(0, 1)

    def __call__(
        self, x: Complex64[Tensor, "b h m coil"], given: Int64[Tensor, "m"] | None = None
    ) -> Complex64[Tensor, "b h n coil"]:
        """Return the wanted columns of what it makes of k-space.

        Args:
            x: Columns of k-space; the others are zero. The coils come last.
            given: Numbers of these columns; the wanted ones by default.
        """
        rows, coils = x.flatten(0, 1), x.shape[-1]
        number = x.new_full((self.w,), -1, dtype=torch.int64)
        number[self.columns if given is None else given] = torch.arange(x.shape[2], device=x.device)
        number = number[self.places]
        there, number = (number >= 0).unsqueeze(-1), number.clamp_min(0)
        out = x.new_empty(len(rows), len(self.columns), coils)
        count = max(1, at_once(CHUNK) // (self.blocks * self.width * coils))
        parts = (each.split(count) for each in (rows, self.matrices, out))
        for row, matrices, result in zip(*parts, strict=True):
            blocks = row.index_select(1, number).mul_(there).unfold(1, self.width, self.step)
            image = plain_ifft(blocks, axes=(-1,)).permute(0, 3, 1, 2)
            kspace = plain_fft(image @ matrices, axes=(1,))[:, self.kept]
            torch.index_select(kspace.transpose(1, 2).flatten(1, 2), 1, self.columns, out=result)
        return out.reshape(*x.shape[:2], *out.shape[1:])


def _products(
    weights: Complex64[Tensor, "b coil coil k k"], shape: tuple[int, int]
) -> Complex64[Tensor, "b h w coil coil"]:
    r"""Return :math:`(G - I)^H (G - I)` at every pixel, transposed: to be multiplied from the left.

    :math:`G` multiplies the image at :math:`r` by :math:`\sum_\delta w_\delta e^{-2\pi i \delta r}`
    because ``y(k + delta)`` is the transform of the image times that wave.
    """
    batch, coils, _, size, _ = weights.shape
    h, w = shape
    rows, columns = (_waves(n, size).to(weights) for n in shape)
    lines = torch.einsum("wm,bcdkm->bkwdc", columns, weights)
    eye = torch.eye(coils, dtype=weights.dtype, device=weights.device)
    products = weights.new_empty(batch, h, w, coils, coils)
    count = max(1, at_once(CHUNK) // (batch * w * coils**2))
    for waves, part in zip(rows.split(count), products.split(count, dim=1), strict=True):
        G = torch.einsum("hk,bkwdc->bhwdc", waves, lines) - eye
        torch.matmul(G, G.mH, out=part)
    return products


def _waves(count: int, size: int) -> Complex64[Tensor, "n k"]:
    step = torch.arange(size) - size // 2
    turns = torch.arange(count)[:, None] * step % count
    angle = turns.to(torch.float64) * (-2 * torch.pi / count)
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
