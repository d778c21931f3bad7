"""Steps that change the coil basis: whitening, and compression to fewer virtual coils.

Each multiplies the coils by a matrix, the same for k-space, reference scan and maps, and for the
neighbouring slices, so that all share their virtual coils. Compression matrices have orthonormal
rows, so white noise stays white and keeps its variance.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Complex64, Float
from torch import Tensor

from mrirecon.arguments import check_at_least
from mrirecon.errors import ConfigError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.sensitivity.base import calibration_data, in_center, unit_norm
from mrirecon.types import Sample


@dataclass(frozen=True)
class Whiten:
    r"""Make the coils' noise white with unit variance per real component: :math:`y \leftarrow W y`.

    .. math:: W = \sqrt 2\, L^{-1}, \qquad \Psi = L L^H

    (Roemer et al., Magn Reson Med 16:192, 1990.) Readers whiten by themselves when a file brings a
    noise scan; this step is for a covariance from elsewhere. Maps are whitened with the data and
    normalized again, so images change their shading; a target keeps its own units.

    Attributes:
        covariance: Covariance :math:`\Psi = E[n n^H]` of complex noise, in the units of k-space.
    """

    covariance: Complex[Tensor, "coil coil"]

    def __post_init__(self) -> None:
        _, info = torch.linalg.cholesky_ex(self.covariance)
        if info:
            raise ConfigError(
                "the noise covariance is not positive definite (a dead or doubled channel, or too "
                "few noise samples); remove the channel or take the covariance of more noise"
            )

    def __call__(self, sample: Sample) -> Sample:
        coils = sample.kspace.shape[-3]
        if len(self.covariance) != coils:
            raise ConfigError(
                f"the noise covariance has {len(self.covariance)} coils, {sample.key} has {coils}"
            )
        L = torch.linalg.cholesky(self.covariance.to(sample.kspace.device, torch.complex128))
        eye = torch.eye(coils, dtype=L.dtype, device=L.device)
        W = 2**0.5 * torch.linalg.solve_triangular(L, eye, upper=False)
        return _white(_mixed(sample, W.to(torch.complex64)))


@dataclass(frozen=True)
class CompressCoils:
    r"""Keep the virtual coils of largest energy.

    .. math:: y \leftarrow U^H y, \qquad Y = U \Sigma V^H

    The singular vectors are those of the calibration data :math:`Y`: a separate reference scan, the
    fully sampled centre, or all that was measured when there is no such centre (Huang et al., Magn
    Reson Imaging 26:133, 2008). Coils must be whitened. A target is kept.

    Attributes:
        coils: Largest number of virtual coils.
        energy: Fewer when they hold this part of the calibration data's energy. The number may
            then differ between slices, which cannot be batched.
        calibration: Largest width of the centre that is looked at.
    """

    coils: int = 8
    energy: float = 1.0
    calibration: int = 24

    def __post_init__(self) -> None:
        _check(self.coils, self.energy, self.calibration)

    def __call__(self, sample: Sample) -> Sample:
        data = _centre(sample, self.calibration).flatten(-2)
        vectors, values = _directions(data @ data.mH)
        count = min(self.coils, _enough(values, self.energy))
        return _mixed(sample, vectors[..., :count].mH)


@dataclass(frozen=True)
class CompressCoilsGeometrically:
    r"""Coil compression with a matrix of its own at every readout position.

    .. math:: \tilde y(r, k_w) = A(r)^H\, y(r, k_w), \qquad y(r, k_w) = F_h^H y

    Fewer virtual coils suffice than with one matrix for all, because at one readout position fewer
    coils matter. Neighbouring matrices are rotated into agreement, from the centre outwards, so
    that the virtual coils vary smoothly (Zhang et al., Magn Reson Med 69:571, 2013). Needs a
    readout that was sampled alike at every position; fast scans along one phase encoding have it.

    Attributes:
        coils: Number of virtual coils.
        calibration: Largest number of central lines that are looked at.
    """

    coils: int = 6
    calibration: int = 24

    def __post_init__(self) -> None:
        _check(self.coils, 1.0, self.calibration)

    def __call__(self, sample: Sample) -> Sample:
        _check_readout(sample)
        h = sample.kspace.shape[-2]
        data = _centre(sample, self.calibration, rows=False)
        hybrid = ifft(center_fit(data, (h, data.shape[-1])), (-2,)).movedim(-3, -2)
        vectors, _ = _directions(hybrid @ hybrid.mH)
        A = _aligned(vectors[..., : self.coils]).movedim(-3, -1)  # coil, virtual coil, h
        return _mixed_per_row(sample, A)


def _mixed(sample: Sample, matrix: Complex64[Tensor, "*b new old"]) -> Sample:
    """Multiply the coils of everything that has coils."""

    def mix(x: Tensor) -> Tensor:
        return (matrix @ x.flatten(-2)).unflatten(-1, x.shape[-2:])

    return sample.replace(
        kspace=mix(sample.kspace),
        calibration=None if sample.calibration is None else mix(sample.calibration),
        maps=None if sample.maps is None else unit_norm(mix(sample.maps)),
        neighbors=sample.neighbors and _mixed(sample.neighbors, matrix.unsqueeze(-3)),
    )


def _mixed_per_row(sample: Sample, A: Complex64[Tensor, "*b coil n h"]) -> Sample:
    """Do so with a matrix for each readout position."""
    calibration, h = sample.calibration, sample.kspace.shape[-2]
    if calibration is not None:
        size = calibration.shape[-2:]
        whole = _along_readout(A, center_fit(calibration, (max(h, size[0]), size[1])))
        calibration = center_fit(whole, size)
    return sample.replace(
        kspace=_along_readout(A, sample.kspace),
        calibration=calibration,
        maps=None if sample.maps is None else unit_norm(_per_row(A, sample.maps)),
        neighbors=sample.neighbors and _mixed_per_row(sample.neighbors, A.unsqueeze(-4)),
    )


def _white(sample: Sample) -> Sample:
    """Note that the noise has unit variance."""
    noise = torch.ones(sample.kspace.shape[:-3], device=sample.kspace.device)
    return sample.replace(noise=noise, neighbors=sample.neighbors and _white(sample.neighbors))


def _check_readout(sample: Sample) -> None:
    if not sample.cartesian:
        raise ConfigError(
            f"{sample.key}: geometric coil compression needs a Cartesian readout, this scan was "
            "sampled along a trajectory; use CompressCoils"
        )
    if sample.mask.shape[-2] != 1 and not (sample.mask == sample.mask[..., :1, :]).all():
        raise ConfigError(
            f"{sample.key}: geometric coil compression needs a fully sampled readout (axis h); "
            "for patterns along two phase encodings use CompressCoils"
        )
    if sample.weights is not None and sample.weights.shape[-2] != 1:
        raise ConfigError(
            f"{sample.key}: geometric coil compression would mix readout samples of different "
            "weights; use CompressCoils"
        )
    if sample.neighbors is not None:
        _check_readout(sample.neighbors)


def _centre(sample: Sample, width: int, rows: bool = True) -> Complex64[Tensor, "*b coil hc wc"]:
    """Return calibration data, zero outside of the centre; everything when there is no centre."""
    kspace, extent = calibration_data(sample)
    extent = extent.clamp(max=width)
    some = (extent > 0).all(-1)[..., None]
    if rows:
        inside = in_center(kspace.shape[-2], extent[..., 0]) | ~some
        kspace = kspace * inside[..., None, :, None]
    inside = in_center(kspace.shape[-1], extent[..., 1]) | ~some
    return kspace * inside[..., None, None, :]


def _directions(
    gram: Complex64[Tensor, "*b coil coil"],
) -> tuple[Complex64[Tensor, "*b coil coil"], Float[Tensor, "*b coil"]]:
    """Return eigenvectors and eigenvalues, largest first."""
    values, vectors = torch.linalg.eigh(gram.to(torch.complex128))
    return vectors.flip(-1).to(torch.complex64), values.flip(-1).clamp_min(0)


def _enough(values: Float[Tensor, "*b coil"], energy: float) -> int:
    """Return how many of the largest hold ``energy`` in every member of the batch."""
    if energy >= 1:
        return values.shape[-1]
    lacking = values.cumsum(-1) < energy * values.sum(-1, keepdim=True)
    return int(lacking.sum(-1).max()) + 1


def _aligned(A: Complex64[Tensor, "*b h coil n"]) -> Complex64[Tensor, "*b h coil n"]:
    r"""Rotate each basis towards its neighbour's: :math:`A_r \leftarrow A_r V U^H`.

    :math:`A_{r-1}^H A_r = U \Sigma V^H`; the rotation keeps the subspace.
    """
    rotated = list(A.unbind(-3))
    middle = len(rotated) // 2
    for step in (1, -1):
        for row in range(middle + step, len(rotated) if step > 0 else -1, step):
            U, _, Vh = torch.linalg.svd(rotated[row - step].mH @ rotated[row])
            rotated[row] = rotated[row] @ (Vh.mH @ U.mH)
    return torch.stack(rotated, -3)


def _per_row(A: Complex64[Tensor, "*b coil n h"], x: Tensor) -> Tensor:
    return torch.einsum("...cnh,...chw->...nhw", A.conj(), x)


def _along_readout(A: Complex64[Tensor, "*b coil n h"], kspace: Tensor) -> Tensor:
    return fft(_per_row(A, ifft(kspace, (-2,))), (-2,))


def _check(coils: int, energy: float, calibration: int) -> None:
    check_at_least(1, coils=coils)
    if not 0 < energy <= 1:
        raise ValueError(f"energy must lie in (0, 1], got {energy}")
    if calibration < 1:
        raise ValueError(f"calibration must be at least 1 line, got {calibration}")
