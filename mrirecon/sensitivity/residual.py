"""The misfit between sensitivities and the data that they come from."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.fourier import ifft
from mrirecon.image import center_fit
from mrirecon.sensitivity.base import calibration_data, in_center
from mrirecon.types import Sample

OBJECT = 0.1  # of the largest low-resolution pixel


@dataclass(frozen=True)
class CalibrationFit:
    r"""Quality of maps, per member of a batch.

    Attributes:
        residual: Relative error :math:`\|(I - S S^H)\,m\| / \|m\|` over the object, for the
            low-resolution coil images :math:`m` of the calibration data: what no image times the
            maps can explain. Includes the noise of the calibration data.
        null_energy: Part of the energy of :math:`m`, over the whole field of view, that lies where
            the maps are zero and so is lost whatever the reconstruction.
    """

    residual: Float32[Tensor, "*b"]
    null_energy: Float32[Tensor, "*b"]


@torch.no_grad()
def calibration_fit(sample: Sample, maps: Complex64[Tensor, "*b set coil h w"]) -> CalibrationFit:
    """Compare sets of maps with the calibration data of a Sample; 0 for an empty slice.

    The object is where the root-sum-of-squares of the low-resolution images exceeds a tenth of its
    maximum and the maps are not zero.
    """
    kspace, extent = calibration_data(sample)
    rows, columns = (
        in_center(size, extent[..., axis]) for axis, size in enumerate(kspace.shape[-2:])
    )
    center = kspace * (rows[..., None, :, None] & columns[..., None, None, :])
    images = ifft(center_fit(center, (maps.shape[-2], maps.shape[-1])))
    energy = images.abs().square().sum(-3)
    norms = maps.abs().square().sum(-3)
    combined = (maps.conj() * images.unsqueeze(-4)).sum(-3)
    # sets are orthogonal; maps that a soft crop shortened span the same space as unit ones
    explained = (combined.abs().square() / torch.where(norms > 0, norms, 1.0)).sum(-3)
    norm = norms.sum(-3)
    peak = energy.amax((-2, -1), keepdim=True)
    inside = (energy > OBJECT**2 * peak) & (norm > 0)
    left = torch.where(inside, (energy - explained).clamp_min(0), 0.0).sum((-2, -1))
    total = torch.where(inside, energy, 0.0).sum((-2, -1))
    everything = energy.sum((-2, -1))
    lost = torch.where(norm > 0, 0.0, energy).sum((-2, -1))
    return CalibrationFit(_ratio(left, total).sqrt(), _ratio(lost, everything))


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / torch.where(whole > 0, whole, 1.0)
