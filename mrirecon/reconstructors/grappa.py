"""GRAPPA (Griswold et al., Magn Reson Med 47:1202, 2002)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex64
from torch import Tensor

from mrirecon.fourier import ifft
from mrirecon.operators import Coils
from mrirecon.reconstructors.adaptive_combine import Combination, combine_coils
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.grappa_lines import fill_lines
from mrirecon.reconstructors.grappa_points import fill_points
from mrirecon.reconstructors.grappa_region import fillable
from mrirecon.sampling.calibration import center_slice
from mrirecon.sensitivity.base import SensitivityEstimator, calibration_data
from mrirecon.types import Image, KSpace, Sample


class Grappa(Reconstructor):
    r"""Predicts each missing sample of each coil from measured neighbours in all coils.

    .. math:: \hat y_c(k) = \sum_d \sum_{\delta} w_{cd\delta}\, y_d(k + \delta)

    The weights are those that predict the fully sampled centre, or a separate reference scan, best
    in the regularized least-squares sense. Every constellation of measured neighbours has weights
    of its own, so any pattern works: regular ones with any offset and wherever they meet the
    centre, lattices along two axes (also CAIPIRINHA), Poisson discs (slower). Wide gaps, as random
    lines leave them, amplify noise until the image is worse than zero-filled: take
    :class:`Spirit` or :class:`CgSense` for those. What was measured is kept; what lies outside of
    the measured region, such as the side left out by partial Fourier, stays zero.

    Args:
        kernel: How many measured samples along the readout and lines along the phase encoding
            predict a sample; with two phase-encoding axes their product counts. Fewer are used
            where the calibration data could not determine as many weights.
        regularization: Tikhonov weight relative to the norm of the Gram matrix; larger values
            amplify less noise and leave more aliasing.
        combination: How the coils are combined without ``sensitivity``; ``"adaptive"`` gives a
            complex image with less noise bias.
        sensitivity: Estimator of coil sensitivities to combine the coils with.
    """

    def __init__(
        self,
        kernel: tuple[int, int] = (5, 4),
        regularization: float = 0.01,
        combination: Combination = "rss",
        sensitivity: SensitivityEstimator | None = None,
    ) -> None:
        super().__init__()
        if kernel[0] < 1 or kernel[1] < 2:
            raise ValueError(f"kernel must be at least 1 sample x 2 lines, got {kernel}")
        if regularization <= 0:
            raise ValueError(f"regularization must be positive, got {regularization}")
        self.kernel = kernel
        self.regularization = regularization
        self.combination: Combination = combination
        self.sensitivity = sensitivity

    def forward(self, sample: Sample) -> Image:
        """Return the image; real and positive unless coils are combined otherwise.

        Raises:
            CalibrationError: When the fully sampled centre is too small for the gaps.
        """
        images = ifft(self.fill(sample))
        if self.sensitivity is None:
            return combine_coils(images, self.combination)
        return Coils(self.sensitivity(sample)).H(images)

    @torch.no_grad()
    def fill(self, sample: Sample) -> KSpace:
        """Return k-space of every coil with its missing samples predicted.

        Raises:
            CalibrationError: When the fully sampled centre is too small for the gaps.
        """
        filled = sample.kspace.reshape(-1, *sample.kspace.shape[-3:]).clone()
        for group in alike(sample):
            filled[group.members] = self._fill(group)
        return filled.reshape(sample.kspace.shape)

    def _fill(self, group: "Alike") -> Complex64[Tensor, "b coil h w"]:
        kspace, mask = group.kspace, group.mask
        region = fillable(mask)
        if (mask == region).all():
            return kspace
        rows, lines = np.asarray(mask.any(1)), np.asarray(mask.any(0))
        if (mask == (rows[:, None] & lines)).all() and (region.any(1) == rows).all():
            filled = fill_lines(
                kspace,
                lines,
                np.asarray(region.any(0)),
                group.calibration,
                self.kernel,
                self.regularization,
            )
            return filled * torch.from_numpy(rows[:, None]).to(kspace.device)
        count = self.kernel[0] * self.kernel[1]
        members = zip(kspace, group.calibration, strict=True)
        return torch.stack(
            [fill_points(y, mask, region, c, count, self.regularization) for y, c in members]
        )


@dataclass(frozen=True)
class Alike:
    """Members of a batch that were sampled alike.

    Attributes:
        members: Their indices.
        kspace: Of these members.
        mask: Of all of them.
        calibration: Their fully sampled centre or reference scan.
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
        yield Alike(members, kspace[members], mask, calibration[members][:, :, rows, columns])
