"""The gradients of an update that a checkpoint interrupts, when several batches make one update."""

from dataclasses import dataclass, field

import pytorch_lightning as pl
from torch import Tensor, distributed

GRADIENTS = "open_update"
"""Key of a checkpoint under which they are kept."""

Gradients = dict[str, Tensor]


def gradients_of(module: pl.LightningModule) -> list[Gradients]:
    """Return the gradients so far, of every process; processes add theirs up with the update."""
    own = {
        name: parameter.grad.detach().cpu()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own]
    gathered: list[Gradients] = [{} for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(gathered, own)
    return gathered


@dataclass
class OpenUpdate:
    """Gradients that a resumed run goes on adding to, one set for each process."""

    gradients: list[Gradients] = field(default_factory=list)

    def put_back(self, module: pl.LightningModule) -> None:
        """Give a module its gradients, once."""
        if module.global_rank < len(self.gradients):
            own = self.gradients[module.global_rank]
            for name, parameter in module.named_parameters():
                if name in own:
                    parameter.grad = own[name].to(parameter.device, parameter.dtype)
        self.gradients = []
