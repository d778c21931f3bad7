"""Common parts of methods that fill in k-space coil by coil, without a model of the coils."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex64
from torch import Tensor

from mrirecon.fourier import ifft
from mrirecon.operators import Coils
from mrirecon.reconstructors.base import CoilImages, CoilwiseReconstructor
from mrirecon.reconstructors.parts.coil_combination import Combination, combine_coils
from mrirecon.sampling.calibration import center_slice
from mrirecon.sensitivity.base import SensitivityEstimator, calibration_data
from mrirecon.types import Image, KSpace, Sample


@dataclass(frozen=True)
class Alike:
    """Members of a batch that were sampled alike.

    Attributes:
        members: Indices of the members within the batch.
        kspace: Measured k-space of these members.
        mask: Mask that all of them have in common.
        calibration: Fully sampled centre or reference scan of each member.
    """

    members: list[int]
    kspace: Complex64[Tensor, "b coil h w"]
    mask: Bool[np.ndarray, "h w"]
    calibration: Complex64[Tensor, "b coil hc wc"]


def alike(sample: Sample) -> Iterator[Alike]:
    """Group the members of a batch, usually slices of one scan, by mask and calibration area."""
    *batch, coils, h, w = sample.kspace.shape
    kspace = sample.kspace.reshape(-1, coils, h, w)
    masks = sample.mask.expand(*batch, *sample.mask.shape[-2:]).reshape(-1, *sample.mask.shape[-2:])
    calibration, extent = calibration_data(sample)
    calibration = calibration.reshape(-1, *calibration.shape[-3:])
    groups: dict[tuple[bytes, tuple[int, ...]], list[int]] = {}
    for index, size in enumerate(extent.reshape(-1, 2).tolist()):
        key = (masks[index].cpu().numpy().tobytes(), tuple(size))
        groups.setdefault(key, []).append(index)
    for (_, size), members in groups.items():
        rows, columns = map(center_slice, calibration.shape[-2:], size)
        mask = masks[members[0]].expand(h, w).cpu().numpy()
        centre = calibration[..., rows, columns][members]
        yield Alike(members, kspace[members], mask, centre)


class KSpaceFilling(CoilwiseReconstructor):
    """Predicts the missing samples of every coil, then combines the coils' images.

    ``Sample.weights`` take no part: each sample counts as measured once.

    Args:
        combination: How the coils are combined without ``sensitivity``.
        sensitivity: Estimator of coil sensitivities to combine the coils with.
    """

    needs_grid = "it fills in the missing places of the grid"

    def __init__(
        self, combination: Combination = "rss", sensitivity: SensitivityEstimator | None = None
    ) -> None:
        super().__init__()
        self.combination: Combination = combination
        self.sensitivity = sensitivity
        self.rss = combination == "rss" and sensitivity is None

    def forward(self, sample: Sample) -> Image:
        """Return the image; real and positive unless coils are combined otherwise.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        images = self.coil_images(sample)
        if self.sensitivity is None:
            return combine_coils(images, self.combination)
        return Coils(self.sensitivity(sample)).H(images)

    def coil_images(self, sample: Sample) -> CoilImages:
        """Return the images of the filled k-space.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        return ifft(self.fill(sample))

    @torch.no_grad()
    def fill(self, sample: Sample) -> KSpace:
        """Return k-space of every coil with its missing samples predicted.

        Raises:
            CalibrationError: When the fully sampled centre is too small.
        """
        found = [(group.members, self.fill_group(group)) for group in alike(sample)]
        filled = sample.kspace.new_empty(sample.kspace.shape)
        for members, kspace in found:
            filled.view(-1, *kspace.shape[-3:])[members] = kspace
        return filled

    @abstractmethod
    def fill_group(self, group: Alike) -> Complex64[Tensor, "b coil h w"]:
        """Predict the missing samples of members that were sampled alike."""
