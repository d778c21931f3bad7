"""Coil sensitivities from a small network that is trained with the reconstruction."""

from typing import Literal

import torch
from jaxtyping import Bool, Int64
from torch import Tensor, nn

from mrirecon.fourier import ifft
from mrirecon.networks.norm_unet import NormUnet
from mrirecon.operators.gridding import central_kspace
from mrirecon.sensitivity.base import (
    SensitivityEstimator,
    calibration_extent,
    in_center,
    unit_norm,
)
from mrirecon.sensitivity.coilwise import coil_by_coil
from mrirecon.types import Extent, Maps, Sample


class LearnedMaps(SensitivityEstimator):
    r"""The sensitivity network of the end-to-end VarNet (Sriram et al., MICCAI 2020).

    .. math:: S = N\big(U(F^H M_{center}\,y)\big)

    One normalized U-Net :math:`U` runs on every coil image of the central k-space, and :math:`N`
    divides by the root-sum-of-squares. The centre is ``sample.acs`` when told. Else, for line
    patterns, it is found by fastMRI's rule, which its public weights were used with: the largest
    *even* number of lines; for other patterns it is the fully sampled central block.

    Args:
        channels: Features of the first level of the U-Net.
        pools: Number of halvings.
        dropout: Probability of zeroing a feature map.
        network: Another network :math:`U` from a complex image to one; None takes the U-Net above.
        center: ``"found"`` finds the centre by this rule even where it was told.
    """

    def __init__(
        self,
        channels: int = 8,
        pools: int = 4,
        dropout: float = 0.0,
        network: nn.Module | None = None,
        center: Literal["told", "found"] = "told",
    ) -> None:
        super().__init__()
        self.center = center
        self.norm_unet = NormUnet(channels, pools, dropout) if network is None else network

    def forward(self, sample: Sample) -> Maps:
        """Return the maps; zero for an empty slice."""
        h, w = sample.grid
        extent = _center(sample if self.center == "told" else sample.replace(acs=None))
        rows = in_center(h, extent[..., 0])[..., None, :, None]
        columns = in_center(w, extent[..., 1])[..., None, None, :]
        # the centre of a trajectory is gridded, whatever calibration data there is beside
        kspace = sample.kspace if sample.cartesian else central_kspace(sample, (h, w))
        images = ifft(kspace * (rows & columns))
        return unit_norm(coil_by_coil(self.norm_unet, images))


def _center(sample: Sample) -> Extent:
    if sample.acs is not None:
        return sample.acs.clamp(min=1)
    if not sample.cartesian:
        return calibration_extent(sample).clamp(min=1)
    *batch, _, h, w = sample.kspace.shape
    mask = sample.mask.expand(*batch, sample.mask.shape[-2], w)
    width = _even_width(mask[..., 0, :])
    lines = torch.stack([torch.full_like(width, h), width], -1)
    if mask.shape[-2] == 1:
        return lines
    of_lines = (mask == mask[..., :1, :]).all(-1).all(-1, keepdim=True)
    return torch.where(of_lines, lines, calibration_extent(sample).clamp(min=1))


def _even_width(lines: Bool[Tensor, "*b w"]) -> Int64[Tensor, "*b"]:
    """Return fastMRI's automatic number of central lines; all of them when all are sampled."""
    w = lines.shape[-1]
    left = lines[..., : w // 2].flip(-1).long().cumprod(-1).sum(-1)
    right = lines[..., w // 2 :].long().cumprod(-1).sum(-1)
    width = (2 * torch.minimum(left, right)).clamp(min=1)
    return torch.where(lines.all(-1), w, width)
