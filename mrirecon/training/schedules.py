"""Learning-rate schedules with a warm-up, stepped after every update of the weights."""

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup(
    optimizer: Optimizer,
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: float = 1.0,
    decay: Literal["cosine", "linear", "constant"] = "cosine",
    final: float = 0.0,
) -> LambdaLR:
    """Raise the rate linearly from near zero, then let it decay until the last epoch.

    Args:
        optimizer: Its rate is the highest one.
        epochs: Of the run, ``trainer.max_epochs``.
        steps_per_epoch: Updates of the weights; the training module knows them.
        warmup_epochs: Length of the rise.
        decay: Shape of the fall.
        final: Rate at the end, as a share of the highest.

    Raises:
        ValueError: When the run is shorter than its warm-up, or has no end.
    """
    if not 0 <= warmup_epochs < epochs:
        raise ValueError(
            f"warmup_epochs is {warmup_epochs}, expected less than the {epochs} epochs "
            "of the run (trainer.max_epochs)"
        )
    if not 0 <= final <= 1:
        raise ValueError(f"final must lie between 0 and 1, got {final}")
    rise = max(1, round(warmup_epochs * steps_per_epoch))
    total = max(rise + 1, epochs * steps_per_epoch)

    def factor(step: int) -> float:
        if step < rise and warmup_epochs:
            return (step + 1) / rise
        progress = min(1.0, (step - rise) / (total - rise)) if warmup_epochs else step / total
        shape = {
            "cosine": (1 + math.cos(math.pi * progress)) / 2,
            "linear": 1 - progress,
            "constant": 1.0,
        }[decay]
        return final + (1 - final) * shape

    return LambdaLR(optimizer, factor)
