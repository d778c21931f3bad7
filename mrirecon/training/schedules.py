"""Learning-rate schedules with a warm-up, stepped after every update of the weights."""

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup(
    optimizer: Optimizer,
    epochs: int | None,
    steps_per_epoch: int,
    steps: float = math.inf,
    warmup_epochs: float = 1.0,
    decay: Literal["cosine", "linear", "constant"] = "cosine",
    final: float = 0.0,
) -> LambdaLR:
    """Raise the rate linearly from near zero, then let it decay until the end of the run.

    Args:
        optimizer: Optimizer whose rate is the highest one.
        epochs: Number of epochs of the run, ``trainer.max_epochs``; -1 or None when only its
            updates are limited.
        steps_per_epoch: Updates of the weights per epoch; the training module knows them.
        steps: Updates of the run, by ``trainer.max_epochs`` or ``trainer.max_steps``, whichever
            ends it first; the training module knows them, too. A limit in time
            (``trainer.max_time``) changes no rate: a run that it stops is resumed with the same
            schedule.
        warmup_epochs: Length of the rise, 0 for none.
        decay: Shape of the fall.
        final: Rate at the end, as a share of the highest.

    Raises:
        ValueError: When the run is not longer than its warm-up, or has no end.
    """
    ends = decay != "constant"
    total = min(steps, epochs * steps_per_epoch if epochs and epochs > 0 else math.inf)
    if ends and math.isinf(total):
        raise ValueError(
            f"decay={decay} lasts as long as the run, which has no end; set trainer.max_epochs or "
            "trainer.max_steps"
        )
    rise = max(1, round(warmup_epochs * steps_per_epoch)) if warmup_epochs else 0
    if warmup_epochs < 0 or rise >= total:
        raise ValueError(
            f"warmup_epochs is {warmup_epochs}, that is {rise} updates, expected less than the "
            f"{total:.0f} updates of the run (trainer.max_epochs, trainer.max_steps)"
        )
    if not 0 <= final <= 1:
        raise ValueError(f"final must lie between 0 and 1, got {final}")

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        progress = min(1.0, (step - rise) / (total - rise))
        shape = {
            "cosine": (1 + math.cos(math.pi * progress)) / 2,
            "linear": 1 - progress,
            "constant": 1.0,
        }[decay]
        return final + (1 - final) * shape

    return LambdaLR(optimizer, factor)
