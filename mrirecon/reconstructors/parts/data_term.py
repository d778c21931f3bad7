"""The data term that the regularized methods share."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.image import squared_magnitude
from mrirecon.operators import (
    SenseNormal,
    adjoint_image,
    data_weights,
    penalty_share,
    sense_normal,
)
from mrirecon.operators.virtual_coils import virtual_coils
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.solvers import conjugate_gradient
from mrirecon.types import Image, Maps, Sample

WARM_STEPS = 6
WARM_WEIGHT = 1e-2


@dataclass(frozen=True)
class DataTerm:
    r""":math:`\tfrac12\|Ax - y\|^2` of k-space divided by :func:`data_scale`.

    Attributes:
        normal: The normal operator :math:`A^HA`, whose norm is at most one.
        adjoint: Image :math:`A^Hy` of the data.
        energy: Energy :math:`\|y\|^2` of each member.
        scale: Divisor of k-space, which the image has to be multiplied with.
        sample: Sample that it was made of, before the division.
    """

    normal: SenseNormal
    adjoint: Image
    energy: Float32[Tensor, "*b"]
    scale: Float32[Tensor, "*b 1 1"]
    sample: Sample

    @classmethod
    def of(
        cls,
        sample: Sample,
        maps: Maps,
        joint: bool = False,
        scale: Float32[Tensor, "*b 1 1"] | None = None,
    ) -> "DataTerm":
        """Set up the data term of one slice or a batch.

        Args:
            sample: One slice or a batch.
            maps: Coil sensitivities of the same slices.
            joint: Whether all members, the frames of a slice, share the scale.
            scale: Divisor of k-space; None takes :func:`data_scale`.
        """
        scale = data_scale(sample, joint) if scale is None else scale
        squares = squared_magnitude(sample.kspace, (-3,))
        if sample.weights is not None or sample.trajectory is not None:
            squares = squares * data_weights(sample)
        energy = squares.sum((-2, -1)) / scale[..., 0, 0].square()
        adjoint = adjoint_image(sample, maps) / scale
        return cls(sense_normal(sample, maps), adjoint, energy, scale, sample)

    @property
    def penalty_share(self) -> Float32[Tensor, "*b 1 1"] | float:
        """What an absolute weight of a penalty has to be multiplied with; mostly one."""
        return penalty_share(self.sample)

    def with_maps(self, maps: Maps) -> "DataTerm":
        """Return the data term of the same data with other sensitivities."""
        normal = SenseNormal(maps, self.normal.spectrum)
        adjoint = adjoint_image(self.sample, maps) / self.scale
        return replace(self, normal=normal, adjoint=adjoint)

    def with_fewer_coils(self) -> "DataTerm":
        """Return the same data term, faster where rows are problems of their own on a CPU."""
        normal = self.normal
        if not normal.separable or normal.maps.is_cuda:
            return self
        return replace(self, normal=replace(normal, maps=virtual_coils(normal.maps)))

    def scaled_sample(self) -> Sample:
        """Return the Sample with the k-space :math:`y` of the data term."""
        return self.sample.replace(kspace=self.sample.kspace / self.scale.unsqueeze(-3))

    def gradient(self, x: Image) -> Image:
        """Return :math:`A^H(Ax - y)`."""
        return self.normal(x) - self.adjoint

    def value(self, x: Image) -> Float32[Tensor, "*b"]:
        r"""Return :math:`\tfrac12\|Ax - y\|^2` of each member."""
        product = torch.view_as_real(x) * torch.view_as_real(self.normal(x) - 2 * self.adjoint)
        return 0.5 * (product.sum((-3, -2, -1)) + self.energy)

    def where_measured(self, x: Image) -> Image:
        """Return images that are zero where nothing was measured: a whole slice, or a frame."""
        return x * (self.energy != 0)[..., None, None]

    def warm_start(self) -> Image:
        """Return a few steps of conjugate gradients: no aliasing to speak of, some noise."""
        weight = WARM_WEIGHT * self.penalty_share
        return conjugate_gradient(
            lambda x: self.normal(x) + weight * x, self.adjoint, iterations=WARM_STEPS
        )


def soft_threshold(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Shrink magnitudes by ``threshold``, and to zero below it."""
    squares = squared_magnitude(x)
    squares = squares.clamp_min(1e-24)  # so that the gradient of the root is finite, too
    return x * (1 - threshold * squares.rsqrt()).clamp_min(0)
