"""SENSE with several sets of maps (Uecker et al., Magn Reson Med 71:990, 2014)."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Complex
from torch import Tensor

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.errors import ShapeError
from mrirecon.image import interpolate
from mrirecon.operators import (
    Fourier,
    LinearOperator,
    Sampling,
    Weights,
    data_weights,
    penalty_share,
)
from mrirecon.reconstructors.base import IterativeReconstructor, check_sampling
from mrirecon.reconstructors.classical.cg_sense import exactness
from mrirecon.reconstructors.parts.automatic_weight import wiener_weight
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.solvers import Solution, solve_cg
from mrirecon.types import Image, Sample

MapSets = Complex[Tensor, "*b set coil h w"]
ImageSets = Complex[Tensor, "*b set h w"]


@dataclass(frozen=True)
class CoilSets(LinearOperator):
    r"""Sum over sets of image times sensitivity: :math:`m_c = \sum_s S_{s,c}\, x_s`."""

    maps: MapSets

    def forward(self, x: ImageSets) -> Complex[Tensor, "*b coil h w"]:
        self._check(x)
        return (self.maps * x.unsqueeze(-3)).sum(-4)

    def adjoint(self, y: Complex[Tensor, "*b coil h w"]) -> ImageSets:
        self._check(y)
        return (self.maps.conj() * y.unsqueeze(-4)).sum(-3)

    def _check(self, x: Tensor) -> None:
        if x.shape[-2:] != self.maps.shape[-2:]:
            raise ShapeError(
                f"images and sensitivity maps must share the grid (h, w), "
                f"but have {tuple(x.shape)} and {tuple(self.maps.shape)}"
            )


class SoftSense(IterativeReconstructor):
    r"""Solves for one image per set of maps by conjugate gradients.

    .. math:: \hat x = \arg\min_x \Big\|\sum_s M F S_s x_s - y\Big\|^2 + \lambda\sum_s\|x_s\|^2

    A pixel onto which the object folds back, because the field of view is smaller than it, needs
    more than one sensitivity per coil; a single set makes CG-SENSE leave artefacts there. Maps of
    different sets are orthogonal, so the norm of the operator stays at most 1. With an estimator of
    one set it is :class:`~mrirecon.reconstructors.CgSense`.

    Args:
        sensitivity: Estimator whose ``map_sets`` has several sets, such as Espirit with sets=2.
        regularization: Weight :math:`\lambda` of the penalty, as in CgSense.
        iterations: Largest number of conjugate-gradient steps.
        tolerance: Largest error of the image relative to the exact solution, as in CgSense.
        combine: ``"rss"`` shows all layers: magnitude root-sum-of-squares over sets, phase of the
            first set. ``"first"`` returns the first set alone.
    """

    def __init__(
        self,
        sensitivity: SensitivityEstimator,
        regularization: float | Literal["auto"] = "auto",
        iterations: int = 100,
        tolerance: float = 1e-3,
        combine: Literal["rss", "first"] = "rss",
    ) -> None:
        super().__init__()
        if regularization != "auto":
            check_not_negative(regularization=regularization)
        check_not_negative(tolerance=tolerance)
        check_at_least(1, iterations=iterations)
        self.sensitivity = sensitivity
        self.regularization = regularization
        self.iterations = iterations
        self.tolerance = tolerance
        self.combine = combine

    def solve(self, sample: Sample, *, trace: bool = False) -> Solution:
        r"""Return the combined image; the objective is :math:`\tfrac12 x^HGx - \Re\,x^HA^Hy`.

        :math:`G` is :math:`A^HA + \lambda`, and :math:`x` holds the images of all sets.
        """
        solution = self.solve_sets(sample, trace=trace)
        return replace(solution, x=self._combined(solution.x))

    def solve_sets(self, sample: Sample, *, trace: bool = False) -> Solution:
        """Return the images of all sets, ``(*b, set, h, w)``."""
        check_sampling(self, sample)
        maps = self.sensitivity.map_sets(sample)
        A: LinearOperator = Sampling(sample.mask) @ Fourier() @ CoilSets(maps)
        y = sample.kspace
        if sample.weights is not None:
            root = Weights(data_weights(sample).sqrt())
            A, y = root @ A, root(y)
        if self.regularization == "auto":
            weight: float | Tensor = wiener_weight(sample, maps[..., 0, :, :, :])
        else:
            weight = float(self.regularization) * penalty_share(sample)
        if isinstance(weight, Tensor):
            weight = weight.unsqueeze(-3)
        b = A.H(y)
        return solve_cg(
            lambda x: A.gram(x) + weight * x,
            b,
            iterations=self.iterations,
            tolerance=self.tolerance,
            reference=exactness(b, weight, (-3, -2, -1)),
            axes=(-3, -2, -1),
            trace=trace,
        )

    def on_canvas(self, sample: Sample, canvas: tuple[int, int]) -> Image:
        """Return the combination of the interpolated images of all sets."""
        return self._combined(interpolate(self.solve_sets(sample).x, canvas))

    def _combined(self, images: ImageSets) -> Image:
        first = images[..., 0, :, :]
        if self.combine == "first" or images.shape[-3] == 1:
            return first
        magnitude = torch.linalg.vector_norm(images, dim=-3)
        # where the first set is empty the layer has no phase to show
        return torch.where(first == 0, 1.0 + 0.0j, first.sgn()) * magnitude
