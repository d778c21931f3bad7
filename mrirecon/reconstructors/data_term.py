"""The data term that the regularized methods share."""

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.operators import SenseNormal, adjoint_image, sense_normal
from mrirecon.reconstructors.data_scale import data_scale
from mrirecon.solvers import conjugate_gradient
from mrirecon.types import Image, Maps, Sample

WARM_STEPS = 6
WARM_WEIGHT = 1e-2


@dataclass(frozen=True)
class DataTerm:
    r""":math:`\tfrac12\|Ax - y\|^2` of k-space divided by :func:`data_scale`.

    Attributes:
        normal: :math:`A^HA`; its norm is at most one.
        adjoint: :math:`A^Hy`.
        energy: :math:`\|y\|^2` of each member.
        scale: What k-space was divided by, and the image has to be multiplied with.
    """

    normal: SenseNormal
    adjoint: Image
    energy: Float32[Tensor, "*b"]
    scale: Float32[Tensor, "*b 1 1"]

    @classmethod
    def of(cls, sample: Sample, maps: Maps, joint: bool = False) -> "DataTerm":
        """Set up the data term of one slice or a batch; ``joint`` frames share the scale."""
        scale = data_scale(sample, joint)
        squares = torch.view_as_real(sample.kspace).square().sum((-1, -4))
        if sample.weights is not None:
            squares = squares * sample.weights
        energy = squares.sum((-2, -1)) / scale[..., 0, 0].square()
        return cls(sense_normal(sample, maps), adjoint_image(sample, maps) / scale, energy, scale)

    def gradient(self, x: Image) -> Image:
        """Return :math:`A^H(Ax - y)`."""
        return self.normal(x) - self.adjoint

    def value(self, x: Image) -> Float32[Tensor, "*b"]:
        r"""Return :math:`\tfrac12\|Ax - y\|^2` of each member."""
        product = torch.view_as_real(x) * torch.view_as_real(self.normal(x) - 2 * self.adjoint)
        return 0.5 * (product.sum((-3, -2, -1)) + self.energy)

    def warm_start(self) -> Image:
        """Return a few steps of conjugate gradients: no aliasing to speak of, some noise."""
        return conjugate_gradient(
            lambda x: self.normal(x) + WARM_WEIGHT * x, self.adjoint, iterations=WARM_STEPS
        )


def soft_threshold(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Shrink magnitudes by ``threshold``, and to zero below it."""
    squares = torch.view_as_real(x).square().sum(-1).clamp_min(1e-30)  # abs() is much slower
    return x * (1 - threshold * squares.rsqrt()).clamp_min(0)
