"""The learned primal-dual network (Adler and Öktem, IEEE Trans Med Imaging 2018)."""

import torch

from mrirecon.networks.joint_cnn import JointCnn
from mrirecon.networks.parts.joint_network import JointNetwork
from mrirecon.operators import least_squares
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.unrolled import check_fits, coil_maps, for_each_step, scaled
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class LpdNet(Reconstructor):
    r"""Networks take the place of both proximal maps of a primal-dual iteration.

    .. math:: h_{t+1} &= h_t + \Gamma_t\big(h_t,\ A f_t^{(2)},\ y\big) \\
              f_{t+1} &= f_t + \Lambda_t\big(f_t,\ A^H h_{t+1}^{(1)}\big)

    (37:1322.) The primal :math:`f` is a stack of images, of which the first is the result, and the
    dual :math:`h` a stack of multi-coil k-spaces. :math:`\Gamma` sees one coil at a time. All start
    at the data: :math:`h_0 = 0`, and every image of :math:`f_0` is :math:`A^Hy`.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        iterations: Number of unrolled iterations.
        channels: Features of the networks that are not given.
        layers: Convolutions of the networks that are not given.
        memory: Number of images in the primal and of k-spaces in the dual stack, at least 2.
        tied: Whether all iterations share their parameters.
        regularizer: Network :math:`\Lambda` from ``memory + 1`` complex images to ``memory``; None
            takes the paper's :class:`~mrirecon.networks.JointCnn`.
        dual_regularizer: Network :math:`\Gamma` from ``memory + 2`` k-spaces of a coil to
            ``memory``; None takes another of them.
    """

    needs_grid = "its dual network sees k-space on the grid"

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        iterations: int = 10,
        channels: int = 32,
        layers: int = 3,
        memory: int = 5,
        tied: bool = False,
        regularizer: JointNetwork | None = None,
        dual_regularizer: JointNetwork | None = None,
    ) -> None:
        super().__init__()
        if memory < 2:
            raise ValueError(f"memory must be at least 2, got {memory}")
        self.sensitivity = sensitivity
        self.iterations = iterations
        self.memory = memory
        dual, primal = dual_regularizer, regularizer
        if dual is None:
            dual = JointCnn(memory + 2, memory, channels, layers)
        if primal is None:
            primal = JointCnn(memory + 1, memory, channels, layers)
        check_fits("dual_regularizer", dual, images=memory + 2, outputs=memory)
        check_fits("regularizer", primal, images=memory + 1, outputs=memory)
        self.dual_networks = for_each_step(dual, iterations, tied)
        self.primal_networks = for_each_step(primal, iterations, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image."""
        maps = coil_maps(self.sensitivity, sample)
        sample, scale = scaled(sample)
        A, y = least_squares(sample, maps)
        f = torch.stack([A.H(y)] * self.memory, -3)
        h = torch.zeros_like(y).unsqueeze(-3).repeat_interleave(self.memory, -3)  # *b coil n h w
        for t in range(self.iterations):
            i = t % len(self.dual_networks)
            seen = torch.stack([A(f[..., 1, :, :]), y], -3)
            h = h + self.dual_networks[i](torch.cat([h, seen], -3))
            back = A.H(h[..., 0, :, :]).unsqueeze(-3)
            f = f + self.primal_networks[i](torch.cat([f, back], -3))
        return f[..., 0, :, :] * scale
