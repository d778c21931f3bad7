r"""Layers that pull multi-coil k-space towards the measured samples.

Each maps a k-space and the Sample to the next k-space. :math:`M` zeroes what was not measured and
weighs what was averaged less often than is usual (:func:`~mrirecon.operators.data_weights`).
:class:`KspaceStep` makes one of images of each.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.operators import Coils, Fourier, LinearOperator, Sampling, Weights, data_weights
from mrirecon.reconstructors.parts.data_consistency import ImageConsistency, LearnedStep
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.types import Image, KSpace, Mask, Sample

WINDOW = 9


class KspaceConsistency(nn.Module, ABC):
    """Makes the next multi-coil k-space of one k-space and the Sample."""

    needs_grid = "its data consistency puts samples back onto the grid"

    @abstractmethod
    def forward(self, kspace: KSpace, sample: Sample) -> KSpace:
        """Return the next k-space."""


class HardProjection(KspaceConsistency):
    r"""Put the measured samples back, :math:`k - M(k - y)`.

    Where all samples weigh the same this is the projection onto the k-spaces that agree with the
    data (Schlemper et al., IEEE Trans Med Imaging 37:491, 2018). One that was averaged less often
    than others replaces the prediction only in part.
    """

    def forward(self, kspace: KSpace, sample: Sample) -> KSpace:
        """Return the next k-space."""
        return kspace - measured_part(sample)(kspace - sample.kspace)


class SoftStep(LearnedStep, KspaceConsistency):
    r"""A step with a learned length, :math:`k - \alpha M(k - y)`, as in VarNet.

    Args:
        step: Step length :math:`\alpha` before training.
    """

    def forward(self, kspace: KSpace, sample: Sample) -> KSpace:
        """Return the next k-space."""
        return kspace - self.step * measured_part(sample)(kspace - sample.kspace)


class SamplingAwareStep(KspaceConsistency):
    r"""A step whose length depends on where a sample lies and on how densely its neighbors are.

    .. math:: k - \Lambda M(k - y), \qquad
              \Lambda = 2\,\sigma\big(f(|\kappa_h|, |\kappa_w|, \rho_{9 \times 9}, \rho)\big)

    :math:`f` is a small network of the relative position in k-space, the local density of the mask
    and the density of the whole mask, so one set of weights serves any matrix, acceleration and
    pattern. Lengths lie between 0 and 2 and start at one. It is our own.

    Args:
        channels: Hidden features of :math:`f`.
    """

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        check_at_least(1, channels=channels)
        self.first = nn.Linear(4, channels)
        self.last = nn.Linear(channels, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; all lengths are one."""
        self.first.reset_parameters()
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def lengths(self, mask: Mask, shape: tuple[int, int]) -> Float32[Tensor, "*b h w"]:
        r"""Return :math:`\Lambda` on a grid of ``shape``."""
        x = sampling_features(mask, shape)
        return 2 * self.last(F.relu(self.first(x))).float().sigmoid().squeeze(-1)

    def forward(self, kspace: KSpace, sample: Sample) -> KSpace:
        """Return the next k-space."""
        h, w = kspace.shape[-2:]
        length = self.lengths(sample.mask, (h, w)).unsqueeze(-3)
        return kspace - length * measured_part(sample)(kspace - sample.kspace)


class KspaceStep(ImageConsistency):
    r"""A layer of k-space at work on images, :math:`x + E^H\big(C(Ex) - Ex\big)`, :math:`E = FS`.

    For the methods whose consistency takes a
    :class:`~mrirecon.reconstructors.parts.data_term.DataTerm`. With :class:`SamplingAwareStep` it
    is the weighted gradient step :math:`x - A^H\Lambda(Ax - y)`.

    Args:
        step: Step :math:`C` towards the data; None takes a :class:`SamplingAwareStep`.
    """

    def __init__(self, step: KspaceConsistency | None = None) -> None:
        super().__init__()
        self.step = SamplingAwareStep() if step is None else step

    def forward(self, x: Image, data: DataTerm) -> Image:
        """Return the next image."""
        E = Fourier() @ Coils(data.normal.maps)
        kspace = E(x)
        return x + E.H(self.step(kspace, data.scaled_sample()) - kspace)


def sampling_features(mask: Mask, shape: tuple[int, int]) -> Float32[Tensor, "*b h w 4"]:
    """Return distances from the centre, local density and density, all in [0, 1]."""
    h, w = shape
    full = mask.float().expand(*mask.shape[:-2], h, w)
    distances = torch.meshgrid(
        *(
            (torch.arange(n, device=mask.device) - n // 2).abs().float() / max(n // 2, 1)
            for n in shape
        ),
        indexing="ij",
    )
    local = F.avg_pool2d(
        full.reshape(-1, 1, h, w), WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False
    )
    density = full.mean((-2, -1), keepdim=True)
    return torch.stack(
        [
            *(distance.expand(full.shape) for distance in distances),
            local.reshape(full.shape),
            density.expand(full.shape),
        ],
        -1,
    )


def measured_part(sample: Sample) -> LinearOperator:
    """Return what zeroes the samples that were not measured and weighs the others."""
    M: LinearOperator = Sampling(sample.mask)
    return M if sample.weights is None else Weights(data_weights(sample))
