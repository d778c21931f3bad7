"""The noise amplification of SENSE, computed exactly where pixels alias in small groups."""

import numpy as np
import torch
from jaxtyping import Bool, Complex128, Float32, Int64
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.evaluation.noise_maps.raster_lines import Raster
from mrirecon.fourier import ifft
from mrirecon.types import Maps, Mask

LARGEST = 1024
CHUNK = 2**22  # elements of the systems held at a time
RANK = 0.6  # of the equations that lines beside a raster may make, per pixel of a row


@torch.no_grad()
def sense_noise(maps: Maps, mask: Mask, regularization: float = 0.0) -> Float32[Tensor, "*b h w"]:
    r"""Return the standard deviation of the noise in a SENSE image.

    .. math:: \sigma^2 = \operatorname{diag}\big[(B + \lambda I)^{-1} B\,(B + \lambda I)^{-1}\big],
              \qquad B = A^H A

    in units of the noise of one whitened k-space sample (per real component), so 1 for a fully
    sampled image and unit-norm maps. :math:`B` couples only pixels that alias into one another:
    R of them for a regular lattice that divides the grid, a whole line for any line pattern, so
    that the small systems are solved exactly (Pruessmann et al., Magn Reson Med 42:952, 1999).

    Args:
        maps: Sensitivities of whitened coils.
        mask: A pattern along one axis, or a lattice; calibration lines along one axis may be in it.
        regularization: Weight :math:`\lambda` of the penalty, as in
            :class:`~mrirecon.reconstructors.CgSense`.

    Returns:
        Zero where the maps are, infinite where the coils cannot tell the aliased pixels apart.

    Raises:
        ConfigError: When too many pixels are coupled, as by a Poisson disc.
    """
    coils, h, w = maps.shape[-3:]
    flat = maps.reshape(-1, coils, h, w)
    masks = mask.expand(*maps.shape[:-3], *mask.shape[-2:]).reshape(-1, *mask.shape[-2:])
    noise = [_member(S, M.expand(h, w), regularization) for S, M in zip(flat, masks, strict=True)]
    return torch.stack(noise).reshape(*maps.shape[:-3], h, w)


def sense_g_factor(
    maps: Maps, mask: Mask, regularization: float = 0.0
) -> Float32[Tensor, "*b h w"]:
    r"""Return :math:`g = \sigma / (\sigma_\text{full}\sqrt R)` with the achieved acceleration R.

    It is 1 where undersampling costs no more than the measuring time that it saves. See
    :func:`sense_noise` for arguments and errors. Regularization may push it below 1.
    """
    norm = torch.linalg.vector_norm(maps, dim=-3)
    share = mask.expand(*maps.shape[:-3], *mask.shape[-2:]).float().mean((-2, -1))
    noise = sense_noise(maps, mask, regularization)
    return torch.where(norm > 0, noise * norm, 0.0) * share.sqrt()[..., None, None]


def _member(S: Maps, mask: Bool[Tensor, "h w"], regularization: float) -> Float32[Tensor, "h w"]:
    known = mask.cpu().numpy()
    if (known == known[:1]).all():
        return _lines(S, mask, known[0], regularization)
    if (known == known[:, :1]).all():
        return _lines(S.mT, mask.mT, known[:, 0], regularization).mT
    return _coupled(S, mask, regularization)


def _lines(
    S: Maps, mask: Bool[Tensor, "h w"], lines: Bool[np.ndarray, " w"], regularization: float
) -> Float32[Tensor, "h w"]:
    """Return the noise for a pattern of lines, row by row of the image."""
    raster = Raster.of(lines)
    rank = len(raster.others) * len(S) if raster else 0
    if raster is None or not 0 < rank <= RANK * len(lines):
        return _coupled(S, mask, regularization)
    rows = [raster.variance(row.to(torch.complex128), regularization) for row in S.unbind(1)]
    left = [number for number, row in enumerate(rows) if row is None]
    noise = torch.stack([S.real.new_zeros(len(lines)) if r is None else r.sqrt() for r in rows])
    noise = noise.float()
    if left:
        noise[left] = _coupled(S[:, left], mask[left], regularization)
    return noise


def _coupled(S: Maps, mask: Bool[Tensor, "h w"], regularization: float) -> Float32[Tensor, "h w"]:
    """Return the noise by the equations of all pixels that alias into one another."""
    h, w = S.shape[-2:]
    spread = ifft(mask.to(torch.complex128)) / (h * w) ** 0.5
    spread = torch.roll(spread, (-(h // 2), -(w // 2)), (0, 1))  # shift 0 comes first
    shifts = _group(spread, (h, w))
    count = len(shifts)
    dy, dx = (shifts[:, None] - shifts).transpose(2, 0, 1) % np.array([[[h]], [[w]]])
    coupling = spread[torch.from_numpy(dy).to(S.device), torch.from_numpy(dx).to(S.device)]
    pixels = _cosets(shifts, (h, w)).to(S.device)
    S = S.flatten(1).to(torch.complex128)
    variance = torch.empty(h * w, dtype=torch.float64, device=S.device)
    for at in pixels.split(max(1, CHUNK // count**2)):
        chosen = S[:, at].transpose(0, 1)
        B = coupling * (chosen.mH @ chosen)
        seen = (chosen != 0).any(1)
        variance[at] = _variance(B, seen, regularization)
    return variance.sqrt().float().reshape(h, w)


def _variance(
    B: Complex128[Tensor, "g n n"], inside: Bool[Tensor, "g n"], regularization: float
) -> Tensor:
    r"""Return the diagonal of the covariance; pixels without sensitivity take no part.

    Of :math:`M = B + D` it is that of :math:`M^{-1} - M^{-1} D M^{-1}`.
    """
    damped = B + torch.diag_embed(torch.where(inside, regularization, 1.0).to(B.dtype))
    factor, failed = torch.linalg.cholesky_ex(damped)
    smallest = factor.diagonal(dim1=-2, dim2=-1).real.amin(-1)
    unsolvable = (failed > 0) | (smallest < 1e-6)
    eye = torch.eye(B.shape[-1], dtype=B.dtype, device=B.device)
    factor = torch.where(unsolvable[:, None, None], eye, factor)
    inverse = torch.cholesky_inverse(factor)
    variance = inverse.diagonal(dim1=-2, dim2=-1).real
    if regularization:
        damping = torch.where(inside, regularization, 0.0).to(variance)
        variance = variance - (inverse.abs().square() @ damping.unsqueeze(-1)).squeeze(-1)
    variance = variance.clamp_min(0)
    variance = torch.where(unsolvable[:, None], torch.inf, variance)
    return torch.where(inside, variance, 0.0)


def _group(spread: Complex128[Tensor, "h w"], shape: tuple[int, int]) -> Int64[np.ndarray, "n 2"]:
    """Return every shift by which aliasing couples two pixels, directly or through others."""
    size = spread.abs().cpu().numpy()
    support = np.argwhere(size > 1e-5 * size.flat[0])
    group = np.zeros((1, 2), np.int64)
    for shift in support:
        if (group == shift).all(1).any():
            continue
        multiple, cosets = shift.copy(), [group]
        while not (group == multiple).all(1).any():
            cosets.append((group + multiple) % shape)
            multiple = (multiple + shift) % shape
        group = np.concatenate(cosets)
        if len(group) > LARGEST:
            raise ConfigError(
                f"the pattern couples more than {LARGEST} pixels, so its noise has no cheap exact "
                "formula; use pseudo-replicas (mrirecon.evaluation.noise_maps.replicas)"
            )
    return group


def _cosets(shifts: Int64[np.ndarray, "n 2"], shape: tuple[int, int]) -> Int64[Tensor, "g n"]:
    """Return the groups of pixels that alias into one another."""
    h, w = shape
    free = np.ones(h * w, bool)
    groups = []
    for start in range(h * w):
        if free[start]:
            members = (start // w + shifts[:, 0]) % h * w + (start % w + shifts[:, 1]) % w
            free[members] = False
            groups.append(members)
    return torch.from_numpy(np.stack(groups))
