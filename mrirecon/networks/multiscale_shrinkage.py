"""Soft thresholding in a learned multi-scale domain, the core of Adaptive-CS-Net."""

from itertools import pairwise

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.networks.learned_shrinkage import inverse_softplus, shrink
from mrirecon.networks.parts.channels import from_channels, stacked_channels
from mrirecon.networks.unet import DEEPEST


class MultiscaleShrinkage(nn.Module):
    r"""A correction of one or several images from thresholded features at several scales.

    .. math:: D(v) = \hat U\big(\operatorname{soft}(U_s v,\ \lambda_{s,f})\big)_s

    The analysis :math:`U` has two convolutions per scale and halves the image by max-pooling from
    one to the next, with twice the features. Every feature has a threshold of its own. The
    synthesis :math:`\hat U` enlarges bilinearly, sees the thresholded features of the same scale,
    and has two convolutions per scale.

    Args:
        images: Number of complex images in the input.
        scales: Number of scales; 1 does not halve the image.
        channels: Features of the first scale.
        threshold: Threshold :math:`\lambda` before training; its softplus is applied.
        outputs: Number of complex images in the output.
    """

    def __init__(
        self,
        images: int = 1,
        scales: int = 4,
        channels: int = 16,
        threshold: float = 0.01,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        counts = {"images": images, "scales": scales, "channels": channels, "outputs": outputs}
        check_at_least(1, **counts)
        if scales > DEEPEST:
            raise ValueError(f"scales must be at most {DEEPEST}, got {scales}")
        if threshold <= 0:
            raise ValueError(f"threshold must be positive, got {threshold}")
        widths = [channels * 2**s for s in range(scales)]
        self.initial = inverse_softplus(threshold)
        self.analysis = nn.ModuleList(
            _pair(before, after) for before, after in pairwise([2 * images, *widths])
        )
        self.thresholds = nn.ParameterList(torch.empty(width, 1, 1) for width in widths)
        self.synthesis = nn.ModuleList(
            nn.Sequential(_pair(fine + coarse, fine), nn.ReLU())
            for fine, coarse in pairwise(widths)
        )
        self.last = nn.Conv2d(channels, 2 * outputs, 3, padding=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the thresholds to their value before training."""
        for threshold in self.thresholds:
            nn.init.constant_(threshold, self.initial)

    def forward(self, images: Complex64[Tensor, "*b n h w"]) -> Complex64[Tensor, "*b m h w"]:
        """Return corrections; ``n`` images are the inputs, every other leading axis is batch."""
        *batch, _, h, w = images.shape
        flat = images.reshape(-1, *images.shape[-3:])
        kept = self._analyze(stacked_channels(flat))
        z = kept[-1]
        for synthesis, skip in zip(reversed(self.synthesis), kept[-2::-1], strict=True):
            z = F.interpolate(z, skip.shape[-2:], mode="bilinear", align_corners=False)
            z = synthesis(torch.cat([skip, z], 1))
        return from_channels(self.last(z).reshape(-1, 2, h, w)).reshape(*batch, -1, h, w)

    def _analyze(self, z: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Return the thresholded features of each scale."""
        kept = []
        for scale, (convolutions, threshold) in enumerate(
            zip(self.analysis, self.thresholds, strict=True)
        ):
            z = convolutions(z if scale == 0 else F.max_pool2d(z, 2, ceil_mode=True))
            kept.append(shrink(z, F.softplus(threshold)))
        return kept


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
    )
