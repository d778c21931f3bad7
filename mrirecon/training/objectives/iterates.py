"""The loss of all iterates of an unrolled method, not of the last one only."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.unrolled import Iterating
from mrirecon.training.objectives.base import Objective, Supervised, no_reference
from mrirecon.types import Sample


class OverIterates(Objective):
    r"""A weighted mean of a supervised loss over the iterates :math:`x_1 .. x_T`.

    .. math:: \sum_t w_t\,\mathcal{L}(x_t) \Big/ \sum_t w_t, \qquad
              w_t = 10^{(t - T) / (T - 1)} \quad\text{or}\quad w_t = 1

    So are the recurrent inference machine (Lønning et al., Med Image Anal 53:64, 2019) and vSHARP
    (Yiasemis et al., arXiv:2309.09954) trained. The papers take the sum; the mean has the size of
    the loss of a single image.

    Args:
        objective: The loss :math:`\mathcal{L}` of one iterate.
        weighting: ``logarithmic``, the last iterate weighs ten times as much as the first one; or
            ``uniform``.
    """

    needs_target = True

    def __init__(
        self,
        objective: Supervised,
        weighting: Literal["logarithmic", "uniform"] = "logarithmic",
    ) -> None:
        super().__init__()
        self.objective, self.weighting = objective, weighting

    def check(self, reconstructor: Reconstructor, sample: Sample) -> None:
        """Refuse methods that have no iterates."""
        self.objective.check(reconstructor, sample)
        _iterating(reconstructor)

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        if sample.target is None:
            raise no_reference(sample)
        iterates = _iterating(reconstructor).iterates(sample)
        losses = torch.stack([self.objective.compare(image, sample) for image in iterates])
        weights = torch.ones_like(losses)
        if self.weighting == "logarithmic" and len(losses) > 1:
            weights = torch.logspace(-1, 0, len(losses), device=losses.device)
        result: Float[Tensor, ""] = (weights * losses).sum() / weights.sum()
        return result


def _iterating(reconstructor: Reconstructor) -> Iterating:
    if isinstance(reconstructor, Iterating):
        return reconstructor
    raise ConfigError(
        f"objective: {type(reconstructor).__name__} does not hand out its iterates; use the "
        "objective inside this one alone, or choose model=rim or model=vsharp"
    )
