"""A term of the network's own beside any objective."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrirecon.errors import ConfigError
from mrirecon.networks.parts.penalized import Penalized
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.objectives.base import Objective
from mrirecon.types import Sample


class WithPenalty(Objective):
    r"""An objective plus the penalties of the networks inside the method.

    .. math:: \mathcal{L}(f, y) + \gamma \sum_{k=1}^{n} p_k

    over the :math:`n` times that a :class:`~mrirecon.networks.parts.penalized.Penalized` network
    was called. For ISTA-Net it is the asymmetry of the learned transforms in each phase, with
    :math:`\gamma = 0.01` and the mean squared error as :math:`\mathcal{L}` (Zhang and Ghanem,
    CVPR 2018, equation 12). The paper's images are real; here the error is that of magnitudes.

    Args:
        objective: The objective :math:`\mathcal{L}`.
        weight: Weight :math:`\gamma` of the penalties.
    """

    def __init__(self, objective: Objective, weight: float = 0.01) -> None:
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be positive, got {weight}")
        self.objective, self.weight = objective, weight
        self.needs_target = objective.needs_target
        self.needs_some_targets = objective.needs_some_targets

    def check(self, reconstructor: Reconstructor, sample: Sample) -> None:
        self.objective.check(reconstructor, sample)

    def forward(self, reconstructor: Reconstructor, sample: Sample) -> Float[Tensor, ""]:
        penalties: list[Tensor] = []

        def collect(module: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
            assert isinstance(module, Penalized)
            if torch.is_grad_enabled():
                penalties.append(module.penalty(*inputs))

        hooks = [
            module.register_forward_hook(collect)
            for module in reconstructor.modules()
            if isinstance(module, Penalized)
        ]
        if not hooks:
            raise ConfigError(
                f"objective: no network in {type(reconstructor).__name__} has a penalty; use the "
                "objective inside this one alone, or choose model=ista_net"
            )
        try:
            loss: Float[Tensor, ""] = self.objective(reconstructor, sample)
        finally:
            for hook in hooks:
                hook.remove()
        if not penalties:
            return loss
        return loss + self.weight * torch.stack(penalties).sum()
