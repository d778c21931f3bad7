"""Combining coil images without sensitivities."""

from typing import Literal

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.buffers import at_once
from mrirecon.image import complex_image, root_sum_of_squares
from mrirecon.types import Image

Combination = Literal["rss", "adaptive"]
CHUNK = 2**19  # elements of the local correlations held at a time: as many as a cache holds
STEPS = 10


def combine_coils(images: Complex64[Tensor, "*b coil h w"], how: Combination) -> Image:
    """Combine coil images without sensitivities; the root-sum-of-squares is real and positive."""
    if how == "adaptive":
        return adaptive_combine(images)
    return complex_image(root_sum_of_squares(images))


def adaptive_combine(images: Complex64[Tensor, "*b coil h w"], block: int = 7) -> Image:
    r"""Combine coils by the stochastic matched filter (Walsh et al., Magn Reson Med 43:682, 2000).

    .. math:: \hat x = m^H x, \qquad R\,m = \lambda_{\max} m, \quad
              R_{cd}(r) = \sum_{s \in \text{block}(r)} x_c(s)\, x_d^*(s)

    The filter :math:`m` has unit norm, so white noise keeps its standard deviation, and its phase
    is referenced to the coil combination of largest energy. The eigenvector is found by power
    iteration from that combination. Coils must be whitened.

    Args:
        images: Image of each coil, with white noise of equal variance.
        block: Width in pixels of the neighbourhood, an odd number.
    """
    check_block(block)
    coils, h, w = images.shape[-3:]
    flat = images.reshape(-1, coils, h, w)
    reference = _virtual_coil(flat)
    m = _filters(flat, reference, block)
    return torch.einsum("bchw,bchw->bhw", m.conj(), flat).reshape(*images.shape[:-3], h, w)


def _filters(
    x: Complex64[Tensor, "b coil h w"], reference: Complex64[Tensor, "b coil"], block: int
) -> Complex64[Tensor, "b coil h w"]:
    """Compute the filters on every few pixels, as they vary no faster, and interpolate them."""
    coils, h, w = x.shape[-3:]
    stride, halo = max(1, block // 2), block // 2
    padded = torch.nn.functional.pad(x, (halo, halo + stride, halo, halo + stride))
    rows, columns = (-(-(n - 1) // stride) + 1 for n in (h, w))
    step = max(1, at_once(CHUNK) // (len(x) * columns * coils * max(coils, block**2)))
    parts = []
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        R = _correlation(padded[:, :, start * stride : (stop - 1) * stride + block], block, stride)
        m = _normalized(torch.einsum("bhwcd,bd->bhwc", R, reference))
        for _ in range(STEPS):
            m = _normalized((R @ m.unsqueeze(-1)).squeeze(-1))
        phase = torch.einsum("bc,bhwc->bhw", reference.conj(), m).sgn()
        parts.append(m * phase.conj().unsqueeze(-1))
    nodes = torch.view_as_real(torch.cat(parts, 1)).permute(0, 3, 4, 1, 2).flatten(1, 2)
    size = tuple((n - 1) * stride + 1 for n in nodes.shape[-2:])
    fine = torch.nn.functional.interpolate(nodes, size, mode="bilinear", align_corners=True)
    real, imag = fine[..., :h, :w].unflatten(1, (coils, 2)).unbind(2)
    return _normalized(torch.complex(real, imag).movedim(1, -1)).movedim(-1, 1)


def _correlation(
    x: Complex64[Tensor, "b coil h w"], block: int, stride: int
) -> Complex64[Tensor, "b y x coil coil"]:
    """Average the products of coils over a block every ``stride`` pixels."""
    patches = x.unfold(-2, block, stride).unfold(-2, block, stride)
    columns = patches.permute(0, 2, 3, 1, 4, 5).flatten(-2)
    return columns @ columns.mH / block**2


def _virtual_coil(x: Complex64[Tensor, "b coil h w"]) -> Complex64[Tensor, "b coil"]:
    """Return the unit coil combination of largest energy, its largest weight real and positive."""
    flat = x.flatten(2)
    vector = torch.linalg.eigh((flat @ flat.mH).to(torch.complex128)).eigenvectors[..., -1]
    largest = vector.gather(-1, vector.abs().argmax(-1, keepdim=True))
    return (vector * largest.sgn().conj()).to(x.dtype)


def _normalized(x: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(norm == 0, 1.0, norm)


def check_block(block: int) -> None:
    if block < 1 or block % 2 == 0:
        raise ValueError(f"block must be an odd number of pixels, got {block}")
