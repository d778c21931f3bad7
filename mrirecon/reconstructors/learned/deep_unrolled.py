"""PromptMR, PromptMR+ and SDUM: large unrolled networks, composed of the same parts."""

import torch
from jaxtyping import Complex64, Float
from torch import Tensor, nn

from mrirecon.arguments import check_not_negative
from mrirecon.networks.denoiser import ImageNetwork
from mrirecon.networks.parts.conditioning import Conditioning
from mrirecon.networks.parts.features import FeatureNetwork, History
from mrirecon.reconstructors.base import Along, Reconstructor
from mrirecon.reconstructors.parts.adjacent_slices import adjacent_slices, scale_of_middle
from mrirecon.reconstructors.parts.data_consistency import GradientStep, ImageConsistency
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.unrolled import (
    check_fits,
    coil_maps,
    for_each_step,
    restore_scale,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample

Slices = Complex64[Tensor, "*b slice h w"]


class DeepUnrolled(Reconstructor):
    r"""Cascades of a data step and a large network that sees all of a window of adjacent slices.

    .. math:: d_t &= C_t(x_t), \qquad x_0 = A^Hy \\
              x_{t+1} &= d_t + N_t\big(x_t,\ d_t,\ x_0;\ f_{t-1}, f_{t-2}, \dots;\ c_t\big)

    :math:`x` holds the slices of the window, each with its own maps and data; all of them are
    updated, and the one in the middle is the result. :math:`f` are features of earlier cascades,
    :math:`c` an embedding of the acquisition and the cascade. With a
    :class:`~mrirecon.networks.PromptUnet` this is

    - PromptMR (Xin et al., arXiv:2309.13839) with ``context=2`` and ``adaptive=False``, but
      unrolled over the image, not over the k-space of the coils as published, which is
      :class:`~mrirecon.reconstructors.PromptMR`;
    - like PromptMR+ (Xin et al., ECCV 2024) with ``adaptive`` and a history in the network, but
      not the same: published weights do not fit. The paper's network sees
      :math:`A^HAx_t` and :math:`A^HAx_t - x_0` where this one sees :math:`d_t`, which tells it as
      much and is computed anyway; it hands an image-sized state of its own from each cascade to
      the next, beside the features; what it sees is shifted and divided by its mean and standard
      deviation, and its output back, where here all images are in units of the brightness of the
      object; and the maps come from a prompt network of half the width, here from ``sensitivity``.

    With a :class:`~mrirecon.networks.Restormer`, maps for each cascade
    (:class:`~mrirecon.reconstructors.RefinedMaps`), a sampling-aware data step
    (:class:`~mrirecon.reconstructors.KspaceStep`) and ``conditioning`` it is
    like SDUM (Wang et al., arXiv:2512.17137), which learns the weights of k-space on a fixed grid.

    Args:
        sensitivity: Estimator of the coil sensitivities, of each slice.
        body: Network that :math:`N` is made of.
        consistency: Step :math:`C` towards the data, from
            :mod:`~mrirecon.reconstructors.parts.data_consistency`; None takes a ``GradientStep``.
        conditioning: Module that, called with the Sample and the number of the cascade, returns the
            embedding ``[*b, e]``; ``body.condition`` must be its length. None for none.
        iterations: Number of cascades.
        context: Adjacent slices on each side, to be found in ``sample.neighbors``.
        context_along: Whether they are adjacent slices or adjacent frames of the same slice, the
            frames of a cycle being those of which the first follows the last.
        adaptive: Whether :math:`N` sees :math:`d_t` and :math:`x_0` beside :math:`x_t`.
        tied: Whether all cascades share their parameters.

    Attributes:
        context: Number of neighbours on each side that a Sample must come with, as above.
        context_along: Whether these neighbours are slices or frames, as above.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        body: FeatureNetwork,
        consistency: ImageConsistency | None = None,
        conditioning: nn.Module | None = None,
        iterations: int = 12,
        context: int = 0,
        context_along: Along = "slices",
        adaptive: bool = True,
        tied: bool = False,
    ) -> None:
        super().__init__()
        check_not_negative(context=context)
        if (conditioning is None) != (body.condition == 0):
            told = "no conditioning" if conditioning is None else "a conditioning"
            raise ValueError(
                f"there is {told}, but the network takes an embedding of {body.condition} numbers; "
                "set body.condition to the length of the embedding, or to 0 without conditioning"
            )
        if isinstance(conditioning, Conditioning):
            steps = iterations if conditioning.steps else 0
            check_fits("conditioning", conditioning, features=body.condition, steps=steps)
        self.sensitivity = sensitivity
        self.conditioning = conditioning
        self.iterations = iterations
        self.context = context
        self.context_along = context_along
        slices = 2 * context + 1
        network = ImageNetwork(body, slices * (3 if adaptive else 1), slices)
        step = GradientStep() if consistency is None else consistency
        self.cascades = for_each_step(Cascade(network, step, adaptive), iterations, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image.

        Raises:
            ShapeError: When the neighbours that the context needs are missing.
        """
        slices = adjacent_slices(sample, self.context)
        maps = coil_maps(self.sensitivity, slices)
        data = DataTerm.of(slices, maps, scale=scale_of_middle(sample, slices))
        x, history = data.adjoint, ()
        for t in range(self.iterations):
            condition = None if self.conditioning is None else self.conditioning(sample, t)
            x, history = self.cascades[t % len(self.cascades)](x, data, history, condition)
        return restore_scale(x, data)[..., self.context, :, :]


class Cascade(nn.Module):
    """One data step and one network, of all slices of a window.

    Args:
        network: Network from the complex images that it sees to a correction of every slice.
        consistency: The data step.
        adaptive: Whether the network sees :math:`d_t` and :math:`x_0` too, as in
            :class:`DeepUnrolled`.
    """

    def __init__(
        self, network: ImageNetwork, consistency: ImageConsistency, adaptive: bool
    ) -> None:
        super().__init__()
        self.network = network
        self.consistency = consistency
        self.adaptive = adaptive

    def forward(
        self,
        x: Slices,
        data: DataTerm,
        history: History = (),
        condition: Float[Tensor, "*b e"] | None = None,
    ) -> tuple[Slices, History]:
        """Return the next images and the history that the next cascade takes."""
        pulled = self.consistency(x, data)
        seen = torch.cat([x, pulled, data.adjoint], -3) if self.adaptive else x
        flat = seen.reshape(-1, *seen.shape[-3:])
        embedding = None if condition is None else condition.reshape(-1, condition.shape[-1])
        change, history = self.network(flat, history, embedding)
        return pulled + change.reshape(x.shape), history
