"""GRAPPA (Griswold et al., Magn Reson Med 47:1202, 2002)."""

import numpy as np
import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.reconstructors.parts.coil_combination import Combination
from mrirecon.reconstructors.parts.grappa_lines import fill_lines
from mrirecon.reconstructors.parts.grappa_points import fill_points
from mrirecon.reconstructors.parts.grappa_region import fillable
from mrirecon.reconstructors.parts.kspace_filling import Alike, KSpaceFilling
from mrirecon.sensitivity.base import SensitivityEstimator


class Grappa(KSpaceFilling):
    r"""Predicts each missing sample of each coil from measured neighbours in all coils.

    .. math:: \hat y_c(k) = \sum_d \sum_{\delta} w_{cd\delta}\, y_d(k + \delta)

    The weights are those that predict the fully sampled centre, or a separate reference scan, best
    in the regularized least-squares sense. Every constellation of measured neighbours has weights
    of its own, so any pattern works: regular ones with any offset and wherever they meet the
    centre, lattices along two axes (also CAIPIRINHA), Poisson discs (slower). Wide gaps, as random
    lines leave them, amplify noise until the image is worse than zero-filled: take
    :class:`~mrirecon.reconstructors.Spirit` or :class:`~mrirecon.reconstructors.CgSense` for
    those. What was measured is kept; what lies outside of the measured region, such as the side
    left out by partial Fourier, stays zero.

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

    needs_grid = "it fills in the missing places of the grid"

    def __init__(
        self,
        kernel: tuple[int, int] = (5, 4),
        regularization: float = 0.01,
        combination: Combination = "rss",
        sensitivity: SensitivityEstimator | None = None,
    ) -> None:
        super().__init__(combination, sensitivity)
        if kernel[0] < 1 or kernel[1] < 2:
            raise ValueError(f"kernel must be at least 1 sample x 2 lines, got {kernel}")
        if regularization <= 0:
            raise ValueError(f"regularization must be positive, got {regularization}")
        self.kernel = kernel
        self.regularization = regularization

    def fill_group(self, group: Alike) -> Complex64[Tensor, "b coil h w"]:
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
