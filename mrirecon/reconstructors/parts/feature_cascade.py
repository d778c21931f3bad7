"""One unrolled step on feature maps instead of an image, for FI-VarNet."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.networks.feature_space import FeatureRefinement, FeatureUnet
from mrirecon.networks.parts.aliasing_attention import AliasingAttention

Features = Float[Tensor, "b c h w"]


class FeatureCascade(nn.Module):
    r"""A gradient step and a denoiser, both on feature maps.

    .. math:: g = \operatorname{norm} f, \qquad f \leftarrow g - \eta\,\nabla(g) - U(B(g))

    :math:`\nabla` is the gradient of the misfit, encoded as features, :math:`B` an
    :class:`~mrirecon.networks.parts.aliasing_attention.AliasingAttention` and :math:`U` a U-Net.

    Args:
        channels: Number of feature maps, and features of the first level of the U-Net.
        pools: Number of halvings of the U-Net.
        acceleration: Acceleration of the sampling along ``w``, which is how many pixels attend to
            one another.
        refine: Whether further convolutions follow.
    """

    def __init__(self, channels: int, pools: int, acceleration: int, refine: bool) -> None:
        super().__init__()
        self.attention = AliasingAttention(channels, acceleration)
        self.unet = FeatureUnet(channels, pools)
        self.step = nn.Parameter(torch.ones(()))
        self.refinement: nn.Module = FeatureRefinement(channels) if refine else nn.Identity()

    def forward(self, f: Features, gradient: Callable[[Features], Features]) -> Features:
        """Return the next feature maps."""
        g = F.instance_norm(f)
        f = g - self.step * gradient(g) - self.unet(self.attention(g))
        refined: Tensor = self.refinement(f)
        return refined
