"""The subspace of the patches of calibration data, seen as a small matrix per pixel.

A matrix per pixel that is a trigonometric polynomial of degree ``kernel - 1`` is known everywhere
once it is known on ``2 kernel - 1`` equidistant nodes along each axis; both functions that make
such matrices return them there, node ``j`` at the fraction ``j / (2 kernel - 1)`` of the field of
view from its centre.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Complex, Complex64, Complex128, Float32, Float64
from torch import Tensor

Calibration = Complex64[Tensor, "b coil hc wc"]
Nodes = Complex64[Tensor, "b p p coil coil"]
FLOOR = 1e-3  # automatic threshold of noise-free data
BLOCKS = 4  # of rows of a Hermitian product, of which only the lower triangle is computed
MARGIN = 1.05  # of the automatic threshold over the largest singular value that noise has


def espirit_nodes(
    calibration: Calibration,
    kernel: int,
    threshold: float | None,
    noise: Float32[Tensor, "b"] | None = None,
) -> Nodes:
    r"""Return :math:`G_{cd}(r) = k^{-2} \sum_{u,v} e^{2\pi i (u - v) r} P_{(c,u),(d,v)}`.

    :math:`P` projects on the row space of the calibration matrix, without its small singular
    values. It comes from the smaller Gram matrix of that matrix, in float64 because that squares
    the singular values.

    Args:
        calibration: Fully sampled centre.
        kernel: Width of a patch.
        threshold: Part of the largest singular value below which singular values are noise; None
            takes the largest that noise alone would have.
        noise: Standard deviation of each real component of white noise, one per member; None finds
            it in the data.
    """
    A = calibration_matrix(calibration, kernel)
    wide = A.shape[-2] <= A.shape[-1]
    values, vectors = torch.linalg.eigh(_lower_gram(A if wide else A.mT.conj()))
    singular = values.clamp_min(0).sqrt()
    largest = singular[..., -1:]
    level = (
        noise_singular_value(singular, calibration, kernel, noise)
        if threshold is None
        else threshold * largest
    )
    signal = (singular > level) & (singular > 1e-7 * largest)
    # all members keep as many vectors as the one that has the most; the others' are zeroed
    most = int(signal.sum(-1).max())
    signal, singular, vectors = (x[..., x.shape[-1] - most :] for x in (signal, singular, vectors))
    if wide:
        vectors = A.mT @ (vectors / torch.where(signal, singular, 1.0).unsqueeze(-2))
    return _on_nodes(vectors * signal.unsqueeze(-2), kernel)


def walsh_nodes(calibration: Calibration, kernel: int) -> Nodes:
    r"""Return the covariance of the coil images, averaged over neighbouring pixels.

    .. math:: R_{cd}(r) = \int m_c(r')\, \overline{m_d(r')}\, F_k(r - r')\, dr'

    :math:`m` are the coil images of the calibration data and :math:`F_k` Fejér's kernel, positive
    and ``1 / kernel`` of the field of view wide: this is :func:`espirit_nodes` with the Gram matrix
    in place of its projector. Scaled to a largest trace of one.
    """
    A = calibration_matrix(calibration, kernel)
    # the square root of the Gram matrix plays the part of the basis
    wide = A.shape[-2] <= A.shape[-1]
    if wide:
        nodes = _on_nodes(A.mT, kernel)
    else:
        values, vectors = torch.linalg.eigh(A.mT @ A.conj())
        nodes = _on_nodes(vectors * values.clamp_min(0).sqrt().unsqueeze(-2), kernel)
    trace = nodes.diagonal(dim1=-2, dim2=-1).real.sum(-1)
    largest = trace.flatten(1).amax(-1)[:, None, None, None, None]
    return nodes / torch.where(largest == 0, 1.0, largest)


def calibration_matrix(
    calibration: Calibration, kernel: int
) -> Complex128[Tensor, "b patch element"]:
    """Return a row for every position of a sliding patch, elements ordered coil, h, w.

    Scaled by the largest sample, so that no unit of k-space overflows when it is squared.
    """
    batch, coils = calibration.shape[:2]
    scaled = calibration.to(torch.complex128) / _largest(calibration)[:, None, None, None]
    patches = scaled.unfold(-2, kernel, 1).unfold(-2, kernel, 1).movedim(1, 3)
    return patches.reshape(batch, -1, coils * kernel**2)


def noise_singular_value(
    singular: Float64[Tensor, "b n"],
    calibration: Calibration,
    kernel: int,
    noise: Float32[Tensor, "b"] | None = None,
) -> Float64[Tensor, "b 1"]:
    r"""Return the largest singular value that white noise alone would have, per member.

    Where its standard deviation is not told, it is found: signal does not fill the calibration
    matrix, so the smallest singular values are noise, and their ratio to the same singular values
    of simulated noise is its amplitude. The matrix repeats its entries, so simulation takes the
    place of the law of Marchenko and Pastur (as in ``ecalib -a`` of BART). Coils must be
    prewhitened.
    """
    _, coils, hc, wc = calibration.shape
    unit = _noise_values(coils, hc, wc, kernel).to(singular)
    if noise is None:
        rank = min(singular.shape[-1], (hc - kernel + 1) * (wc - kernel + 1), coils * kernel**2)
        smallest, found = unit[-rank:], singular[..., -rank:]
        quarter = max(1, rank // 4)
        ratio = (found[..., :quarter] / smallest[:quarter]).median(-1, keepdim=True).values
    else:
        ratio = (noise / _largest(calibration)).unsqueeze(-1)
    return torch.maximum(MARGIN * ratio * unit[-1], FLOOR * singular[..., -1:])


@lru_cache(maxsize=16)
def _noise_values(coils: int, hc: int, wc: int, kernel: int) -> Float64[Tensor, "n"]:
    """Return the singular values of the calibration matrix of unit noise, in rising order."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(1, coils, hc, wc, 2, generator=generator)
    noise = torch.view_as_complex(drawn)
    A = calibration_matrix(noise, kernel) * noise.abs().max()
    gram = A.conj() @ A.mT if A.shape[-2] <= A.shape[-1] else A.mT @ A.conj()
    return torch.linalg.eigvalsh(gram)[0].clamp_min(0).sqrt()


def _lower_gram(A: Complex128[Tensor, "b n m"]) -> Complex128[Tensor, "b n n"]:
    r"""Return :math:`\overline{A} A^T`, above the diagonal, which ``eigh`` ignores, zeros."""
    n = A.shape[-2]
    result = A.new_zeros(*A.shape[:-1], n)
    for start in range(0, n, n // BLOCKS + 1):
        rows = slice(start, start + n // BLOCKS + 1)
        result[..., rows, : rows.stop] = A[..., rows, :].conj() @ A[..., : rows.stop, :].mT
    return result


def _on_nodes(basis: Complex128[Tensor, "b element r"], kernel: int) -> Nodes:
    """Return ``K K^H / k²`` on the nodes, with the Fourier transform K of the basis' kernels."""
    batch, elements, rank = basis.shape
    coils, count = elements // kernel**2, 2 * kernel - 1
    u = torch.arange(kernel, dtype=torch.float64, device=basis.device)
    j = torch.arange(count, dtype=torch.float64, device=basis.device)
    angle = 2 * math.pi / count * j[:, None] * u
    waves = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
    kernels = basis.to(torch.complex64).reshape(batch, coils, kernel, kernel, rank)
    images = torch.einsum("bcuvr,yu,xv->byxcr", kernels, waves, waves)
    return images @ images.mH / kernel**2


def virtual_coil(calibration: Calibration) -> Complex[Tensor, "b coil"]:
    """Return the unit coil combination of largest energy, its largest weight real and positive."""
    flat = calibration.flatten(-2).to(torch.complex128)
    flat = flat / _largest(calibration)[:, None, None]
    _, vectors = torch.linalg.eigh(flat @ flat.mH)
    vector = vectors[..., -1]
    largest = vector.gather(-1, vector.abs().argmax(-1, keepdim=True))
    return (vector * largest.sgn().conj()).to(calibration.dtype)


def _largest(calibration: Calibration) -> Float32[Tensor, "b"]:
    """Return the largest magnitude of each member, 1 for an empty one."""
    largest = calibration.abs().flatten(1).amax(-1)
    return torch.where(largest == 0, 1.0, largest)
