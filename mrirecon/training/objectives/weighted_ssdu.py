"""SSDU whose expectation is the supervised loss, without noise or with it."""

import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.added_noise import noise_like
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from mrirecon.sampling import SamplingPattern
from mrirecon.training.objectives.base import Objective
from mrirecon.training.objectives.mask_partition import MaskPartition
from mrirecon.training.objectives.measured_kspace import (
    predicted_kspace,
    reconstruct_with_maps,
    refuse_neighbors,
    unseen,
)
from mrirecon.types import KSpace, Sample


class WeightedSsdu(Objective):
    r"""SSDU with the error weighted by the densities of both masks.

    .. math:: \Big(\big\|(1-K)^{-1/2} M_{\Omega\setminus\Lambda}(E\,f(\tilde y) - y)\big\|^2
              + \beta\,\big\|M_{\Omega\cap\Lambda}(E\,f(\tilde y) - y)\big\|^2\Big)
              \Big/ \|\tilde y\|^2,
              \qquad \tilde y = M_\Lambda\,y

    (Millard and Chiew, IEEE Trans Comput Imaging 9:707, 2023; :class:`MaskPartition` explains
    :math:`K`). With :math:`\beta = 1` its expectation over the masks is the squared error
    of all of k-space, as if the scans had been fully sampled. Where all maps are zero, the image is
    drawn to zero.

    Args:
        sampling: Pattern by which the scans were undersampled, in YAML ``${sampling}``.
        partition: Pattern that draws :math:`\Lambda`, the part that the method sees.
        consistency: Weight :math:`\beta` of the second term. Zero is the paper's loss, which suits
            methods that end by enforcing consistency with the data.
        draws: Masks from which the densities are estimated.
    """

    def __init__(
        self,
        sampling: SamplingPattern,
        partition: SamplingPattern,
        consistency: float = 1.0,
        draws: int = 1000,
    ) -> None:
        super().__init__()
        if consistency < 0:
            raise ValueError(f"consistency must not be negative, got {consistency}")
        self.partition, self.consistency = MaskPartition(sampling, partition, draws), consistency

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        seen, held = self.partition.split(sample)
        image, maps = reconstruct_with_maps(reconstructor, seen)
        weight = held * self.partition.weight(sample) + self.consistency * seen.mask
        error = predicted_kspace(sample, image, maps) - sample.kspace
        return _relative(error, weight, seen) + unseen(image, maps).square().mean()


class RobustSsdu(Objective):
    r"""Weighted SSDU that also learns to remove the noise, from noisy scans alone.

    The method sees :math:`\tilde y = M_\Lambda(y + \tilde n)` with more noise :math:`\tilde n` of
    standard deviation :math:`\alpha\sigma` (Millard and Chiew, Bioengineering 11:1305, 2024):

    .. math:: \Big(\big\|(1-K)^{-1/2} M_{\Omega\setminus\Lambda}(E\,g(\tilde y) - y)\big\|^2
              + \big\|M_{\Omega\cap\Lambda}(E\,g(\tilde y) - y + \tilde n/\alpha^2)\big\|^2\Big)
              \Big/ \|\tilde y\|^2

    The paper trains :math:`f` with the weight :math:`1 + 1/\alpha^2` on
    :math:`\Omega\cap\Lambda` and corrects it afterwards, :math:`g = ((1+\alpha^2) f -
    \tilde y)/\alpha^2` there. Written for :math:`g` this is the same loss, and the network returns
    the clean image itself, so reconstruction needs no correction. Its expectation is the squared
    error to the noise-free, fully sampled k-space, up to a constant. Methods that end by enforcing
    the data cannot profit.

    Args:
        sampling: Pattern by which the scans were undersampled, in YAML ``${sampling}``.
        partition: Pattern that draws :math:`\Lambda`, the part that the method sees.
        alpha: Standard deviation of the added noise, relative to that of the data.
        draws: Masks from which the densities are estimated.
    """

    def __init__(
        self,
        sampling: SamplingPattern,
        partition: SamplingPattern,
        alpha: float = 0.75,
        draws: int = 1000,
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.partition, self.alpha = MaskPartition(sampling, partition, draws), alpha

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        refuse_neighbors(sample, "RobustSsdu adds noise to")
        seen, held = self.partition.split(sample)
        level = noise_std(sample)
        added = noise_like(seen, self.alpha * level)
        noisier = seen.replace(kspace=seen.kspace + added, noise=level * (1 + self.alpha**2) ** 0.5)
        image, maps = reconstruct_with_maps(reconstructor, noisier)
        error = predicted_kspace(sample, image, maps) - sample.kspace + added / self.alpha**2
        weight = held * self.partition.weight(sample) + 1.0 * seen.mask
        return _relative(error, weight, noisier) + unseen(image, maps).square().mean()


def _relative(error: KSpace, weight: Float[Tensor, "b #h w"], seen: Sample) -> Float[Tensor, ""]:
    """Return the weighted squared error relative to the energy of what the method has seen.

    The best method depends on no factor that is a function of its input.
    """
    squares = (error.abs().square().sum(-3) * weight).sum((-2, -1))
    energy = seen.kspace.abs().square().sum((-3, -2, -1))
    return (squares / torch.where(energy == 0, 1.0, energy)).mean()
