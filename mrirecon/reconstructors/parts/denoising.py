"""What methods share whose prior is a denoiser that is told the level of the noise."""

from abc import abstractmethod

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.automatic_weight import sample_noise_std
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.sensitivity.base import SensitivityEstimator

MODEL_ERROR = 1e-3
"""Errors of maps and model, relative to the brightness of the object: as if it were noise."""


class DenoisingReconstructor(Reconstructor):
    """A method with a denoiser of complex images.

    Attributes:
        sensitivity: Estimator of the coil sensitivities.
    """

    sensitivity: SensitivityEstimator

    @abstractmethod
    def denoised(
        self, images: Complex64[Tensor, "b h w"], level: Float32[Tensor, "b"]
    ) -> Complex64[Tensor, "b h w"]:
        """Return the denoised images.

        Args:
            images: Images in units of the brightness of the object.
            level: Standard deviation of the errors in each real component.
        """


def error_level(data: DataTerm) -> Float32[Tensor, "*b 1 1"]:
    """Return the noise of a fully sampled image and the errors of the model, in units of the data.

    It is the standard deviation in each real component.
    """
    noise = sample_noise_std(data.sample) / data.scale
    return (noise.square() + MODEL_ERROR**2).sqrt()


def with_others(images: Complex64[Tensor, "b h w"], count: int) -> Complex64[Tensor, "b n h w"]:
    """Put empty images in the places of those that a denoiser sees beside the first one."""
    return torch.stack([images, *[torch.zeros_like(images)] * (count - 1)], 1)
