"""XPDNet (Ramzi, Ciuciu and Starck, arXiv:2010.07290): primal-only learned primal-dual."""

import torch

from mrirecon.arguments import check_at_least
from mrirecon.networks.mwcnn import Mwcnn
from mrirecon.networks.parts.joint_network import JointNetwork
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.unrolled import (
    check_fits,
    coil_maps,
    for_each_step,
    restore_scale,
)
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Sample


class XpdNet(Reconstructor):
    r"""Unrolled corrections of a stack of images, by a denoiser that sees the misfit.

    .. math:: f_{t+1} = f_t + \Lambda_t\big(f_t,\ A^H(A f_t^{(1)} - y)\big)

    The learned dual step of :class:`~mrirecon.reconstructors.LpdNet` is replaced by the
    residual, and its small primal network by a multi-level wavelet CNN. The first image of the
    stack :math:`f` is the result, the others are the network's memory; all start at :math:`A^Hy`.

    Args:
        sensitivity: Estimator of the coil sensitivities; the paper refines low-resolution ones
            with a U-Net.
        regularizer: Network :math:`\Lambda` from ``memory + 1`` complex images to ``memory``; None
            takes the paper's :class:`~mrirecon.networks.Mwcnn`.
        iterations: Number of unrolled iterations.
        memory: Number of images in the stack.
        tied: Whether all iterations share their parameters.
    """

    needs_grid = "its dual state is a k-space on the grid"

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularizer: JointNetwork | None = None,
        iterations: int = 25,
        memory: int = 5,
        tied: bool = False,
    ) -> None:
        super().__init__()
        check_at_least(1, memory=memory)
        network = Mwcnn(memory + 1, memory) if regularizer is None else regularizer
        check_fits("regularizer", network, images=memory + 1, outputs=memory)
        self.sensitivity = sensitivity
        self.iterations = iterations
        self.memory = memory
        self.networks = for_each_step(network, iterations, tied)

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image."""
        data = DataTerm.of(sample, coil_maps(self.sensitivity, sample))
        f = torch.stack([data.adjoint] * self.memory, -3)
        for t in range(self.iterations):
            misfit = data.gradient(f[..., 0, :, :]).unsqueeze(-3)
            f = f + self.networks[t % len(self.networks)](torch.cat([f, misfit], -3))
        return restore_scale(f[..., 0, :, :], data)
