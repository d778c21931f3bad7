"""k-space and maps in half precision: stored and sent at half the size, never computed with.

Half-precision numbers have 11 significant bits between 6e-5 and 65504. Scaled to that range, each
sample of k-space is off by 5e-4 of its magnitude at most, or by 1e-12 of the largest one where that
is more; the image as a whole by about 2e-4. That is less than the noise wherever k-space is no more
than 66 dB above it, which excepts the very centre of good scans.
"""

import warnings

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.buffers import empty_like
from mrirecon.types import Sample, StoredComplex

# nothing is computed with such numbers: they are copied, sent, and taken apart into real ones
warnings.filterwarnings("ignore", message="ComplexHalf support is experimental")

HIGHEST = 2.0**15
"""What the largest real or imaginary part becomes at most; numbers overflow at twice that."""


def narrowed(sample: Sample) -> Sample:
    """Return a slice with k-space and maps in half precision (complex32).

    It is expressed in a unit that is a power of two, which :attr:`Sample.scale` tells, so that
    nothing but k-space and maps is rounded.
    """
    largest = torch.view_as_real(sample.kspace).abs().amax()
    exponent = torch.log2(largest / HIGHEST).ceil().clamp(-100, 100)
    unit = torch.where(largest > 0, torch.exp2(exponent), 1.0)
    sample = sample.divided(unit)
    maps = None if sample.maps is None else _half(sample.maps)
    return sample.replace(kspace=_half(sample.kspace), maps=maps)


def widened(sample: Sample) -> Sample:
    """Return a Sample with everything that is in half precision as complex64, on its device."""
    return sample.map(lambda x: _single(x) if x.dtype == torch.complex32 else x)


def physical(sample: Sample) -> Sample:
    """Return what :func:`narrowed` was given, but for the rounding; another Sample as it is."""
    if sample.kspace.dtype != torch.complex32:
        return sample
    assert sample.scale is not None  # narrowed has set it
    return widened(sample).divided(1 / sample.scale).replace(scale=None)


def _half(x: Complex64[Tensor, "..."]) -> StoredComplex[Tensor, "..."]:
    return torch.view_as_complex(torch.view_as_real(x.contiguous()).half())


def _single(x: StoredComplex[Tensor, "..."]) -> Complex64[Tensor, "..."]:
    out = empty_like(x, torch.complex64)
    # twice as fast as copying complex numbers
    torch.view_as_real(out).copy_(torch.view_as_real(x))
    return out
