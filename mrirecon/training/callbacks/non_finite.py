"""A run whose numbers are not finite any more is stopped, and leaves the last good checkpoint."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor

from mrirecon.errors import MriReconError
from mrirecon.training.shared_flag import SharedFlag
from mrirecon.types import Sample

SKIPPED = 20
"""Losses in a row that are not finite and end a run in float16, which skips their updates."""
HALF = "16-mixed"
ADVICE = (
    "Look at these slices, lower optimizer.lr, clip the gradient (trainer.gradient_clip_val=1), or "
    "find the operation with trainer.detect_anomaly=true"
)


@dataclass(frozen=True)
class Step:
    """A batch of the training.

    Attributes:
        keys: Keys of the slices of the batch, scan and number.
        epoch: Number of the epoch, from 0.
        update: Number of updates that came before.
    """

    keys: tuple[Any, ...]
    epoch: int
    update: int

    def __str__(self) -> str:
        shown = ", ".join(f"{name} slice {index + 1}" for name, index in self.keys[:8])
        more = f" and {len(self.keys) - 8} more" if len(self.keys) > 8 else ""
        return f"{shown}{more} (epoch {self.epoch + 1}, update {self.update + 1})"


class RefuseNonFinite(pl.Callback):
    """Stops a run at a loss, a gradient or a weight that is not finite, naming the slices.

    Looks at the loss of every batch and at the norm of the gradient of every update, and stops
    before the update; on a GPU up to one batch later, so that nothing waits (see
    :class:`~mrirecon.training.shared_flag.SharedFlag`). No checkpoint with such weights is written.

    In float16 (``precision=16-mixed``) gradients overflow by design, and their updates are skipped:
    there only many losses in a row end the run.

    Attributes:
        step: The latest batch.
    """

    def __init__(self) -> None:
        self._losses: SharedFlag[Step] = SharedFlag()
        self._gradients: SharedFlag[Step] = SharedFlag()
        self.step = Step((), 0, 0)
        self._row = 0

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002 - Lightning passes it
        batch: Sample,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self.step = Step(batch.key, trainer.current_epoch, trainer.global_step)

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        bad = ~loss.detach().isfinite()
        found = self._losses.exchange(bad, pl_module.device, self.step)
        self._row = self._row + 1 if found else 0
        if self._row >= (SKIPPED if trainer.precision == HALF else 1):
            raise _refused("loss", found)

    def on_before_optimizer_step(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        optimizer: torch.optim.Optimizer,  # noqa: ARG002 - Lightning passes it
    ) -> None:
        if trainer.precision == HALF:
            return
        # with no limit this only computes the norm, in few kernels
        norm = torch.nn.utils.clip_grad_norm_(pl_module.parameters(), math.inf)
        bad = ~norm.detach().isfinite()
        if found := self._gradients.exchange(bad, pl_module.device, self.step):
            raise _refused("gradient", found)

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning passes it
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        buffers = {name for name, _ in pl_module.named_buffers()}
        weights = [
            value
            for name, value in checkpoint["state_dict"].items()
            if name not in buffers and value.is_floating_point()
        ]
        if not _norm(weights, pl_module.device).isfinite():
            raise _refused("norm of the network's weights", [self.step])


def _norm(tensors: Iterable[Tensor], device: torch.device) -> Float[Tensor, ""]:
    """Return the norm of all values, which is not finite when one of them is not."""
    norms = [torch.linalg.vector_norm(one.detach().float()).to(device) for one in tensors]
    return torch.stack(norms).sum() if norms else torch.zeros((), device=device)


def _refused(what: str, steps: list[Step]) -> MriReconError:
    shown = "; ".join(map(str, steps)) or "another process"
    return MriReconError(
        f"training stopped: the {what} is not finite, after {shown}. Checkpoints written before "
        f"are kept. {ADVICE}"
    )
