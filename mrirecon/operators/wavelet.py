"""Orthogonal wavelet transforms of images of any size."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from mrirecon.operators.base import LinearOperator

WaveletName = Literal["haar", "db2", "db4"]
SQRT3 = math.sqrt(3)
FILTERS: dict[str, tuple[float, ...]] = {
    "haar": (math.sqrt(0.5), math.sqrt(0.5)),
    "db2": tuple(v / math.sqrt(32) for v in (1 + SQRT3, 3 + SQRT3, 3 - SQRT3, 1 - SQRT3)),
    "db4": (
        0.23037781330885523, 0.7148465705525415, 0.6308807679295904, -0.02798376941698385,
        -0.18703481171888114, 0.030841381835986965, 0.032883011666982945, -0.010597401784997278,
    ),
}  # fmt: skip
BLOCK = 24  # pairs of samples that one matrix product handles
SMALLEST = 8  # along each axis, of what a level splits


@dataclass(frozen=True)
class Wavelet(LinearOperator):
    r"""Orthogonal periodic wavelet transform of images, with several levels.

    .. math:: c_k = \sum_i h_i\,x_{2k + 2 - L + i}, \qquad
              d_k = \sum_i (-1)^i h_{L-1-i}\,x_{2k + 2 - L + i}

    along both axes, again for the low-pass part at every level (Daubechies, Commun Pure Appl Math
    41:909, 1988; Mallat, IEEE Trans Pattern Anal 11:674, 1989). The samples' alignment is that of
    PyWavelets. An axis that ``2**levels`` does not divide is padded with zeros behind, which keeps
    :math:`W^HW = I`; there :math:`WW^H` is a projection.

    Attributes:
        shape: Size ``(h, w)`` of the images in pixels.
        levels: Largest number of levels; a level is left out when an axis has fewer than
            :data:`SMALLEST` samples to split there.
        name: Daubechies wavelet with 1, 2 or 4 vanishing moments (2, 4 or 8 taps).
    """

    shape: tuple[int, int]
    levels: int = 4
    name: WaveletName = "db4"

    @property
    def depth(self) -> int:
        """The number of levels that the shape allows."""
        depth = 0
        while depth < self.levels and min(self.shape) >= SMALLEST * 2**depth:
            depth += 1
        return depth

    @property
    def padded(self) -> tuple[int, int]:
        """The shape of the coefficients."""
        unit = 2**self.depth
        h, w = (-(-n // unit) * unit for n in self.shape)
        return h, w

    def forward(self, x: Complex[Tensor, "*b h w"]) -> Complex[Tensor, "*b hc wc"]:
        (h, w), (full_h, full_w) = x.shape[-2:], self.padded
        if (h, w) != (full_h, full_w):
            x = torch.nn.functional.pad(x, (0, full_w - w, 0, full_h - h))
        return self._split(torch.view_as_real(x.contiguous()).flatten(-2), self.depth)

    def _split(self, x: Tensor, depth: int) -> Tensor:
        if not depth:
            return torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        low, high = _analyze_columns(x, self.name)
        (ll, lh), (hl, hh) = _analyze_rows(low, self.name), _analyze_rows(high, self.name)
        quarters = [_complex(q) for q in (hl, lh, hh)]
        top = torch.cat([self._split(ll, depth - 1), quarters[0]], -1)
        return torch.cat([top, torch.cat([quarters[1], quarters[2]], -1)], -2)

    def adjoint(self, y: Complex[Tensor, "*b hc wc"]) -> Complex[Tensor, "*b h w"]:
        x = self._merge(torch.view_as_real(y.contiguous()).flatten(-2), self.depth)
        return _complex(x)[..., : self.shape[0], : self.shape[1]]

    def _merge(self, y: Tensor, depth: int) -> Tensor:
        if not depth:
            return y
        h, w = y.shape[-2] // 2, y.shape[-1] // 2
        ll = self._merge(y[..., :h, :w], depth - 1)
        low = _synthesize_rows(ll, y[..., h:, :w], self.name)
        high = _synthesize_rows(y[..., :h, w:], y[..., h:, w:], self.name)
        return _synthesize_columns(low, high, self.name)


# Each axis is transformed by products with a small banded matrix on overlapping blocks: a BLAS does
# them faster than strided sums. Complex numbers lie interleaved along the last axis. Blocks that
# overlap along the last axis are copied first: a BLAS does not take rows that share numbers, and
# torch would multiply row after row.


def _analyze_rows(x: Tensor, name: str) -> tuple[Tensor, Tensor]:
    pairs, overlap = x.shape[-2] // 2, len(FILTERS[name]) - 2
    block = _block(pairs)
    low, high = _matrices(name, block, x.dtype, x.device, False)[:2]
    x = torch.cat([x[..., x.shape[-2] - overlap :, :], x], -2)
    windows = x.unfold(-2, 2 * block + overlap, 2 * block).mT
    return (low @ windows).flatten(-3, -2), (high @ windows).flatten(-3, -2)


def _synthesize_rows(low: Tensor, high: Tensor, name: str) -> Tensor:
    pairs, overlap = low.shape[-2], len(FILTERS[name]) // 2 - 1
    block = _block(pairs)
    matrices = _matrices(name, block, low.dtype, low.device, False)[2:]
    total = None
    for part, matrix in zip((low, high), matrices, strict=True):
        part = torch.cat([part, part[..., :overlap, :]], -2)
        product = matrix @ part.unfold(-2, block + overlap, block).mT
        total = product if total is None else total + product
    assert total is not None
    return total.flatten(-3, -2)


def _analyze_columns(x: Tensor, name: str) -> tuple[Tensor, Tensor]:
    pairs, overlap = x.shape[-1] // 4, len(FILTERS[name]) - 2
    block = _block(pairs)
    low, high = _matrices(name, block, x.dtype, x.device, True)[:2]
    x = torch.cat([x[..., x.shape[-1] - 2 * overlap :], x], -1)
    windows = x.unfold(-1, 4 * block + 2 * overlap, 4 * block).contiguous()
    return (windows @ low.mT).flatten(-2), (windows @ high.mT).flatten(-2)


def _synthesize_columns(low: Tensor, high: Tensor, name: str) -> Tensor:
    pairs, overlap = low.shape[-1] // 2, len(FILTERS[name]) // 2 - 1
    block = _block(pairs)
    matrices = _matrices(name, block, low.dtype, low.device, True)[2:]
    total = None
    for part, matrix in zip((low, high), matrices, strict=True):
        part = torch.cat([part, part[..., : 2 * overlap]], -1)
        windows = part.unfold(-1, 2 * (block + overlap), 2 * block).contiguous()
        product = windows @ matrix.mT
        total = product if total is None else total + product
    assert total is not None
    return total.flatten(-2)


def _complex(x: Tensor) -> Tensor:
    return torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())


def _block(pairs: int) -> int:
    """The largest divisor of ``pairs`` up to BLOCK; all of them if that is tiny."""
    best = max(d for d in range(1, min(pairs, BLOCK) + 1) if pairs % d == 0)
    return best if best >= 4 else pairs


@lru_cache(maxsize=256)
def _matrices(
    name: str, block: int, dtype: torch.dtype, device: torch.device, interleaved: bool
) -> tuple[Float[Tensor, "out into"], ...]:
    """Low and high analysis, low and high synthesis of one block."""
    h = np.array(FILTERS[name])
    taps = len(h)
    g = h[::-1] * np.where(np.arange(taps) % 2, -1.0, 1.0)
    result: list[np.ndarray] = []
    for f in (h, g):
        matrix = np.zeros((block, 2 * block + taps - 2))
        for k in range(block):
            matrix[k, 2 * k : 2 * k + taps] = f
        result.append(matrix)
    for f in (h, g):
        # sample 2p + s gets coefficient p + j through tap taps - 2 - 2j + s
        matrix = np.zeros((2 * block, block + taps // 2 - 1))
        for p in range(block):
            for s in range(2):
                for j in range(taps // 2):
                    matrix[2 * p + s, p + j] = f[taps - 2 - 2 * j + s]
        result.append(matrix)
    if interleaved:
        result = [np.kron(matrix, np.eye(2)) for matrix in result]
    with torch.inference_mode(False):  # the cache outlives the mode of the first call
        return tuple(torch.tensor(matrix, dtype=dtype, device=device) for matrix in result)
