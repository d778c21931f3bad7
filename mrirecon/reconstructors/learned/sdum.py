"""SDUM as it was published: unrolled over the coil images of a window of frames."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Complex64
from torch import Tensor

from mrirecon.arguments import check_not_negative
from mrirecon.buffers import sent
from mrirecon.fourier import fft, ifft
from mrirecon.image import squared_magnitude
from mrirecon.networks.affine_unet import AffineUnet
from mrirecon.networks.cascaded_restormer import CascadedRestormer
from mrirecon.reconstructors.base import Along, CoilImages, CoilwiseReconstructor
from mrirecon.reconstructors.parts.adjacent_slices import adjacent_slices
from mrirecon.reconstructors.parts.nominal_sampling import NominalSampling
from mrirecon.reconstructors.parts.sdum_cascade import PlaceWeights, SdumCascade, WindowData
from mrirecon.reconstructors.parts.unrolled import check_fits, for_each_step
from mrirecon.sensitivity.base import CalibrationError, in_center
from mrirecon.types import Sample

PATTERNS = ("uniform", "gaussian", "radial")
ACCELERATIONS = (8, 16, 24)
ACQUISITIONS = (
    "BlackBlood", "Cine", "Flow2d", "LGE", "Mapping", "Perfusion", "T1rho", "T1w", "T2w",
)  # fmt: skip
"""What the published networks tell apart, in their order."""
Pattern = Literal["uniform", "gaussian", "radial"]
Acquisition = Literal[
    "BlackBlood", "Cine", "Flow2d", "LGE", "Mapping", "Perfusion", "T1rho", "T1w", "T2w"
]


class Sdum(CoilwiseReconstructor):
    r"""Cascades of maps, a Restormer and a data step on the coil images of a window of frames.

    .. math:: x_c \leftarrow F^H\big((1 - W M)\,F z_c + W y_c\big), \qquad
              z_c = x_c + S_c\,N\Big(\textstyle\sum_j S_j^* x_j\Big), \qquad S = U(x)

    :math:`W` are weights for every place of k-space and kind of sampling, :math:`N` hands features
    from one cascade to the next. The images of each frame are shifted and divided by their complex
    mean and standard deviation first. The output is the root-sum-of-squares of the coil images of
    the frame in the middle. Wang et al., arXiv:2512.17137; the readout lies along the columns there
    and here. Published weights are read by :mod:`mrirecon.toolkits.sdum`;
    :class:`~mrirecon.reconstructors.DeepUnrolled` with a Restormer is unrolled over one image.

    Args:
        network: Network :math:`N` of a cascade; its images are ``2 * context + 1``.
        maps: Features of each level of the network :math:`U`.
        iterations: Number of cascades.
        context: Frames or slices on each side, to be found in ``sample.neighbors``.
        context_along: Whether they are adjacent slices or frames, which may be those of a cycle.
        grid: Size ``(w, h)`` of the grid of the data weights :math:`W`; None for a single weight.
        pattern: Kind of sampling; None tells that of each slice from its mask.
        acceleration: Acceleration that a network which is told it is told; None estimates it.
        acquisition: Kind of images that such a network is told.

    Attributes:
        context: Number of neighbours on each side that a Sample must come with, as above.
        context_along: Whether these neighbours are slices or frames, as above.
    """

    needs_grid = "its weights belong to places of the grid"

    def __init__(
        self,
        network: CascadedRestormer,
        maps: Sequence[int] = (12, 24, 48, 96, 192),
        iterations: int = 6,
        context: int = 2,
        context_along: Along = "cycle",
        grid: Sequence[int] | None = (328, 806),
        pattern: Pattern | None = None,
        acceleration: Literal[8, 16, 24] | None = None,
        acquisition: Acquisition = "Cine",
    ) -> None:
        super().__init__()
        check_not_negative(context=context)
        check_fits("network", network, images=2 * context + 1)
        self.context, self.context_along = context, context_along
        self.pattern, self.acceleration, self.acquisition = pattern, acceleration, acquisition
        weights = PlaceWeights(len(PATTERNS), 2 * context + 1, grid)
        cascade = SdumCascade(network, AffineUnet(2, 2, maps), weights)
        self.cascades = for_each_step(cascade, iterations)
        self.told = network.told

    def coil_images(self, sample: Sample) -> CoilImages:
        """Return the coil images of the frame in the middle.

        Raises:
            ShapeError: When the neighbours that the context needs are missing.
            CalibrationError: When the centre of k-space was not measured.
        """
        kspace, mask = self._window(sample)
        images = ifft(kspace.mT)
        mean = images.mean((-3, -2, -1), keepdim=True)
        power = squared_magnitude(images - mean).mean((-3, -2, -1), keepdim=True)
        deviation = torch.where(power == 0, 0.0, torch.where(power == 0, 1.0, power).sqrt())
        x = (images - mean) / torch.where(power == 0, 1.0, deviation)
        data = self._data(fft(x), mask, sample)
        carried: tuple[Tensor, ...] = ()
        for step, cascade in enumerate(self.cascades):
            x, carried = cascade(x, data, carried, step, step == len(self.cascades) - 1)
        t = self.context
        made = (x[:, 0] * deviation[:, t] + mean[:, t]).mT
        return made.reshape(*sample.kspace.shape)

    def _window(
        self, sample: Sample
    ) -> tuple[Complex64[Tensor, "b t coil h w"], Bool[Tensor, "b t h w"]]:
        slices = adjacent_slices(sample, self.context)
        mask = slices.mask.expand(*slices.kspace.shape[:-3], *slices.kspace.shape[-2:])
        frames = 2 * self.context + 1
        return (
            slices.kspace.reshape(-1, frames, *slices.kspace.shape[-3:]),
            mask.reshape(-1, frames, *mask.shape[-2:]),
        )

    def _data(self, kspace: Tensor, mask: Bool[Tensor, "b t h w"], sample: Sample) -> WindowData:
        device = kspace.device
        seen = mask.cpu()
        patterns = [self._kind(one) for one in seen]
        numbers = torch.zeros(len(patterns), device=device)
        if self.told:
            told = NominalSampling(self.acceleration, logarithm=False)(sample).reshape(-1, 2)[:, 0]
            kinds = zip(patterns, told.tolist(), strict=True)
            numbers = sent([self._protocol(*one) for one in kinds], device)
        centers = torch.stack([central(one.all(0)) for one in seen])
        return WindowData(
            kspace,
            mask.mT.unsqueeze(2),
            sent(centers.mT[:, None, None], device),
            sent(patterns, device),
            numbers,
        )

    def _protocol(self, pattern: int, R: float) -> float:
        """Return the number of what is told of a slice: sampling, acceleration and acquisition."""
        distances = [abs(math.log(one / R)) for one in ACCELERATIONS]
        nearest = distances.index(min(distances))
        acquisition = ACQUISITIONS.index(self.acquisition)
        return float((pattern * len(PATTERNS) + nearest) * len(ACQUISITIONS) + acquisition)

    def _kind(self, mask: Bool[Tensor, "t h w"]) -> int:
        return PATTERNS.index(self.pattern or pattern_of(mask))


def pattern_of(mask: Bool[Tensor, "t h w"]) -> Pattern:
    """Tell regular lines, other lines, and points apart; points are those of radial sampling."""
    rows = mask.any(-1)
    lines = (mask == mask.any(-2, keepdim=True)) | ~rows.unsqueeze(-1)
    if not lines.all():
        return "radial"
    for frame in mask.any(-2).numpy():
        gaps = np.diff(np.flatnonzero(frame))
        outside = gaps[gaps > 1]  # within the centre, and beside it, lines may be nearer
        if len(outside) and (outside < outside.max()).sum() > 2:
            return "gaussian"
    return "uniform"


def central(mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Mark the fully sampled centre: a block that grows by a line on each side in turn.

    It has one line and one column less than the block that was found, as published. All is marked
    where nothing was measured.

    Raises:
        CalibrationError: When the very centre was not measured.
    """
    h, w = mask.shape
    if not mask.any():
        return torch.ones_like(mask)
    if not mask[h // 2, w // 2]:
        raise CalibrationError(
            "the centre of k-space was not measured in all frames of the window, where the maps "
            "come from; choose a method that takes maps from elsewhere, or sampling with a centre"
        )
    left = right = w // 2
    top = bottom = h // 2
    grown = True
    while grown:
        before = (left, right, top, bottom)
        # along the readout first, as published
        if top > 0 and mask[top - 1, left : right + 1].all():
            top -= 1
        if bottom < h - 1 and mask[bottom + 1, left : right + 1].all():
            bottom += 1
        if left > 0 and mask[top : bottom + 1, left - 1].all():
            left -= 1
        if right < w - 1 and mask[top : bottom + 1, right + 1].all():
            right += 1
        grown = before != (left, right, top, bottom)
    rows, columns = (
        in_center(size, torch.tensor(count))
        for size, count in ((h, bottom - top), (w, right - left))
    )
    return rows[:, None] & columns
