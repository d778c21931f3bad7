"""Model-based deep learning (Aggarwal, Mani and Jacob, IEEE Trans Med Imaging 2019)."""

from typing import Literal

from torch import nn

from mrirecon.networks import ResidualCnn
from mrirecon.reconstructors.base import FrameWindows, Reconstructor
from mrirecon.reconstructors.parts.data_consistency import ImageConsistency, ProximalStep
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.mean_image import mean_image
from mrirecon.reconstructors.parts.unrolled import (
    check_makes_one,
    coil_maps,
    for_each_step,
    restore_scale,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class MoDL(Reconstructor):
    r"""Alternates a denoiser with the exact solution of a regularized least-squares problem.

    .. math:: z_k &= D(x_k) \\
              x_{k+1} &= (A^HA + \lambda I)^{-1}(A^Hy + \lambda z_k), \qquad x_0 = A^Hy

    All iterations share the denoiser and :math:`\lambda`, as in the paper (38:394), unless they are
    untied. k-space is divided by the brightness of the object, so the result follows the scale of
    the data. The paper's batch normalization is left out: it would mix the slices of a batch.

    With a :class:`~mrirecon.networks.SpaceTimeUnet` all frames of a slice are reconstructed
    together, with maps from the time average, and :math:`x_0` may be its image.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        regularizer: Network :math:`D` from complex images to complex images; None takes the paper's
            five layers of 64 features.
        consistency: The second line; None takes a
            :class:`~mrirecon.reconstructors.ProximalStep` with
            :math:`\lambda = 0.05` before training. With a ``GradientStep`` this is unrolled
            proximal gradient descent.
        iterations: Number of unrolled iterations.
        tied: Whether all iterations share their parameters.
        start: First image :math:`x_0`: that of the data, or for frames that of their time average.
        window: Largest number of frames that are held and reconstructed at once; None for all.
        overlap: Frames at the ends of a window whose images the next window has better.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularizer: nn.Module | None = None,
        consistency: ImageConsistency | None = None,
        iterations: int = 10,
        tied: bool = True,
        start: Literal["adjoint", "average"] = "adjoint",
        window: int | None = None,
        overlap: int = 0,
    ) -> None:
        super().__init__()
        self.sensitivity = sensitivity
        self.iterations = iterations
        denoiser = ResidualCnn(64, 5) if regularizer is None else regularizer
        check_makes_one("regularizer", denoiser, frames=True)
        self.denoisers = for_each_step(denoiser, iterations, tied)
        step = ProximalStep() if consistency is None else consistency
        self.consistency = for_each_step(step, iterations, tied)

        self.joint = bool(getattr(denoiser, "joint", False))
        if not self.joint and (start == "average" or window is not None or overlap):
            raise ValueError(
                f"start={start}, window and overlap are for networks that see all frames of a "
                f"series, and {type(denoiser).__name__} sees one image; choose space_time_unet"
            )
        self.windows = FrameWindows(window, overlap, in_time=True)
        self.start = start

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image, or that of every frame."""
        maps = coil_maps(self.sensitivity, sample, self.joint)
        data = DataTerm.of(sample, maps, joint=self.joint)
        average = self.start == "average"
        x = mean_image(sample, maps, data.scale) if average else data.adjoint
        for k in range(self.iterations):
            i = k % len(self.denoisers)
            x = self.consistency[i](self.denoisers[i](x), data)
        return restore_scale(x, data)
