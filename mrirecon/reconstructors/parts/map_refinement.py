r"""Sensitivities that are estimated again in every iteration of an unrolled method.

:class:`RefinedMaps` is a consistency like those of
:mod:`~mrirecon.reconstructors.parts.data_consistency`, so it serves any method that takes one.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.operators import data_weights
from mrirecon.operators.gridding import transposed
from mrirecon.reconstructors.parts.data_consistency import GradientStep, ImageConsistency
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.unrolled import coil_maps
from mrirecon.sensitivity.base import SensitivityEstimator, unit_norm
from mrirecon.types import Image, Maps


class MapUpdate(nn.Module, ABC):
    """Makes the maps of an iteration."""

    @abstractmethod
    def forward(self, x: Image, data: DataTerm) -> Maps:
        """Return maps for the image ``x``; those of ``data`` are the first estimate."""


class EstimatedMaps(MapUpdate):
    """An estimator of its own for every iteration, as in SDUM (Wang et al., arXiv:2512.17137).

    It looks at the calibration data, not at the image.

    Args:
        estimator: Estimator of the coil sensitivities, usually
            :class:`~mrirecon.sensitivity.LearnedMaps`.
    """

    def __init__(self, estimator: SensitivityEstimator) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, x: Image, data: DataTerm) -> Maps:  # noqa: ARG002 - one signature for all
        """Return the estimator's maps."""
        return coil_maps(self.estimator, data.sample)


class CorrectedMaps(MapUpdate):
    r"""The first estimate, corrected where the image and the data disagree with it.

    .. math:: S' = N\big(S - \tau\,U(S,\ \bar x \odot F^H M(F S x - y))\big)

    :math:`U` is a network of each coil that sees its map and the gradient of the misfit for it, and
    :math:`N` divides by the root-sum-of-squares. :math:`\tau` is learned and starts at zero, so the
    maps start as estimated. Where no coil is sensitive, none becomes so. It is our own; Arvinte et
    al. (MICCAI 2021) and Jun et al. (CVPR 2021) alternate between image and maps as well.

    Args:
        network: Network :math:`U` from two complex images to one; None takes a small
            :class:`~mrirecon.networks.FusionUnet`.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        super().__init__()
        self.network = FusionUnet(2, 8, 3) if network is None else network
        self.step = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from the first estimate."""
        nn.init.zeros_(self.step)

    def forward(self, x: Image, data: DataTerm) -> Maps:
        """Return the corrected maps."""
        maps, image = data.normal.maps, x.unsqueeze(-3)
        sample = data.scaled_sample()
        measured = transposed(sample, data_weights(sample).unsqueeze(-3) * sample.kspace)
        gradient = image.conj() * (data.normal.filter(maps * image) - measured)
        correction: Tensor = self.network(torch.stack([maps, gradient], -3))
        sensitive = (maps != 0).any(-3, keepdim=True)
        return unit_norm(torch.where(sensitive, maps - self.step * correction, 0.0))


class RefinedMaps(ImageConsistency):
    """A consistency with maps of its own.

    Args:
        maps: How they are made; None takes :class:`CorrectedMaps`.
        consistency: What is done with them, from
            :mod:`~mrirecon.reconstructors.parts.data_consistency`; None takes a ``GradientStep``.
    """

    def __init__(
        self, maps: MapUpdate | None = None, consistency: ImageConsistency | None = None
    ) -> None:
        super().__init__()
        self.maps = CorrectedMaps() if maps is None else maps
        self.consistency = GradientStep() if consistency is None else consistency

    def forward(self, x: Image, data: DataTerm) -> Image:
        """Return the next image."""
        return self.consistency(x, data.with_maps(self.maps(x, data)))
