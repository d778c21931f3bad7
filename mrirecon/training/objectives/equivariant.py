"""Equivariant imaging: what is known of anatomy without seeing a reference."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mrirecon.errors import ConfigError
from mrirecon.networks.parts.channels import from_channels, to_channels
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.objectives.base import Objective
from mrirecon.training.objectives.measured_kspace import (
    predicted_kspace,
    reconstruct_with_maps,
    relative_error,
    unseen,
)
from mrirecon.types import Image, Sample


class EquivariantImaging(Objective):
    r"""A turned patient, scanned alike, must give the turned image.

    .. math:: \mathcal{L}(y, A x) + \alpha\,\|f(A T x) - T x\|^2 / \|T x\|^2, \qquad x = f(y)

    with random rotations :math:`T` (Chen, Tachella and Davies, ICCV 2021). The second term teaches
    what no measurement of one orientation shows; the first alone has nothing to say about it. Where
    all maps are zero, the image is drawn to zero.

    Args:
        weight: Weight :math:`\alpha` of the second term.
        other_masks: Scan the turned image with the mask of the next member of the batch, so that
            methods learn from each other's measurements (MO-EI); needs batches.
    """

    def __init__(self, weight: float = 1.0, other_masks: bool = False) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}")
        self.weight, self.other_masks = weight, other_masks

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Tensor:
        if sample.neighbors is not None:
            raise ConfigError(
                f"objective: EquivariantImaging turns one slice, but {type(reconstructor).__name__}"
                " sees its neighbours too, whose images are not known; use a model without context"
            )
        image, maps = reconstruct_with_maps(reconstructor, sample)
        predicted = predicted_kspace(sample, image, maps)
        loss = relative_error(predicted, sample.kspace, sample.mask).mean()
        loss = loss + unseen(image, maps).mean()
        turned = rotated(image, 2 * math.pi * torch.rand(len(image), device=image.device))
        mask, acs = sample.mask, sample.acs
        if self.other_masks:
            mask = mask.roll(1, 0)
            acs = None if acs is None else acs.roll(1, 0)
        measured = predicted_kspace(sample, turned, maps) * mask.unsqueeze(-3)
        again = reconstructor.with_phase(
            sample.replace(kspace=measured, mask=mask, acs=acs, maps=maps, target=None)
        )
        size = turned.detach().abs().square().mean().clamp_min(1e-12)
        return loss + self.weight * (again - turned).abs().square().mean() / size


def rotated(image: Image, angle: Tensor) -> Image:
    """Turn each image about its centre by an angle in radians, with linear interpolation."""
    h, w = image.shape[-2:]
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # grid_sample measures both axes in half extents, pixels are square
    rows = [
        torch.stack([cos, -sin * (h / w), zero], -1),
        torch.stack([sin * (w / h), cos, zero], -1),
    ]
    grid = F.affine_grid(torch.stack(rows, -2), [len(image), 2, h, w], align_corners=False)
    return from_channels(F.grid_sample(to_channels(image), grid, align_corners=False))
