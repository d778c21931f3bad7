"""Adaptive-CS-Net (Pezzotti et al., IEEE Access 2020), re-implemented from its description."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mrirecon.arguments import check_not_negative
from mrirecon.networks.multiscale_shrinkage import MultiscaleShrinkage
from mrirecon.reconstructors.base import Along, Reconstructor
from mrirecon.reconstructors.parts.adjacent_slices import adjacent_slices, scale_of_middle
from mrirecon.reconstructors.parts.data_consistency import GradientStep, ProximalStep
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.priors import background, low_resolution, phase_factor
from mrirecon.reconstructors.parts.unrolled import coil_maps, restore_scale
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Image, Maps, Sample

Prior = Literal["data", "phase", "background"]
FINAL: dict[str, Callable[[], nn.Module]] = {"gradient": GradientStep, "cg": ProximalStep}


class AdaptiveCsNet(Reconstructor):
    r"""Unrolled shrinkage in multi-scale learned domains, told what the physics knows.

    .. math:: e_{data} = A^H(Ax_i - y), \quad e_{phase} = x_i\,\bar x_{LF} / |x_{LF}|, \quad
              e_{bg} = b\,x_i

    .. math:: x_{i+1} = x_i + \hat U_i\operatorname{soft}\big(
              U_i[x_i, e_{data}, e_{phase}, e_{bg}],\ \lambda_{i,s,f}\big), \qquad x_0 = A^Hy

    with the image :math:`x_{LF}` of central k-space and the signal-free region :math:`b`. The data
    enter as an input: the network learns how to use the residual (arXiv:1912.12259 and 2004.07339;
    8:204825). This is no port: neither code nor weights are public, and what the paper leaves open
    (the scales of each block, phase and background in detail, two real channels per complex image)
    was chosen here. With ``context`` every block sees and corrects all slices of a window, and the
    one in the middle is the result. The multi-scale shrinkage is the method and differs from block
    to block, so there is no other network to choose. A related patent
    application of Philips is WO2021104954A1; check it before commercial use.

    Args:
        sensitivity: Estimator of the coil sensitivities.
        scales: Number of scales of each block, and so the number of blocks.
        channels: Features of the first scale.
        priors: Names of the inputs :math:`e` that every block sees beside the image; all three by
            default.
        threshold: Threshold :math:`\lambda` before training, relative to the brightness of the
            object.
        final: A last step of data consistency, which the paper lacks: one gradient step, or
            conjugate gradients.
        context: Adjacent slices on each side, to be found in ``sample.neighbors``.
        context_along: Whether they are adjacent slices or adjacent frames of the same slice, the
            frames of a cycle being those of which the first follows the last.
    """

    needs_grid = ""

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        scales: Sequence[int] = (4,) * 10,
        channels: int = 16,
        priors: Sequence[Prior] = ("data", "phase", "background"),
        threshold: float = 0.01,
        final: Literal["none", "gradient", "cg"] = "none",
        context: int = 0,
        context_along: Along = "slices",
    ) -> None:
        super().__init__()
        check_not_negative(context=context)
        if not scales:
            raise ValueError("scales must name at least one block, got none")
        self.sensitivity = sensitivity
        self.priors = tuple(priors)
        self.context, self.context_along = context, context_along
        slices = 2 * context + 1
        images = slices * (1 + len(self.priors))
        self.blocks = nn.ModuleList(
            MultiscaleShrinkage(images, count, channels, threshold, slices) for count in scales
        )
        self.final = None if final == "none" else FINAL[final]()

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image.

        Raises:
            ShapeError: When the neighbours that the context needs are missing.
        """
        slices = adjacent_slices(sample, self.context)
        maps = coil_maps(self.sensitivity, slices)
        data = DataTerm.of(slices, maps, scale=scale_of_middle(sample, slices))
        priors = self._priors(slices, maps, data)
        x = data.adjoint
        for block in self.blocks:
            x = x + block(torch.cat([x, *(prior(x) for prior in priors)], -3))
        if self.final is not None:
            x = self.final(x, data)
        return restore_scale(x, data)[..., self.context, :, :]

    def _priors(
        self, sample: Sample, maps: Maps, data: DataTerm
    ) -> list[Callable[[Tensor], Tensor]]:
        """Return the functions that turn an image into the further inputs of a block."""
        center = low_resolution(sample)
        phase, empty = phase_factor(center, maps), background(center)
        known: dict[str, Callable[[Tensor], Tensor]] = {
            "data": data.gradient,
            "phase": lambda x: x * phase,
            "background": lambda x: x * empty,
        }
        return [known[name] for name in self.priors]
