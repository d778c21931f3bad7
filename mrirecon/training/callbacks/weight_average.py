"""An exponential moving average of the weights, which validates and reconstructs in their place."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.training.checkpoint import TRAINED


class WeightAverage(pl.Callback):
    r"""Averages the weights over the updates, :math:`a \leftarrow d\,a + (1-d)\,w`.

    Validation uses the average, and a checkpoint holds it as *the* weights, so that ``mrirecon
    reconstruct checkpoint=...`` takes it; what training goes on with lies beside it for a resumed
    run. While few updates have been made :math:`d` is smaller, :math:`\min(d, (1+n)/(10+n))`.

    Args:
        decay: Decay :math:`d` per update of the weights.
    """

    keeps = TRAINED

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.decay = decay
        self._average: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] | None = None
        self._updates = 0

    def on_fit_start(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning passes it
        pl_module: pl.LightningModule,
    ) -> None:
        if not self._average:  # else they came from a checkpoint
            self._average = _copy(pl_module)
        self._average = {k: v.to(pl_module.device) for k, v in self._average.items()}

    def on_train_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
    ) -> None:
        self._updates = trainer.global_step  # on_fit_start comes before a resumed run knows it

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002 - Lightning passes them
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        if trainer.global_step == self._updates:
            return  # gradients are still being accumulated
        self._updates = trainer.global_step
        decay = min(self.decay, (1 + self._updates) / (10 + self._updates))
        averaged, averages = [], []
        for name, value in pl_module.state_dict().items():
            if value.is_floating_point() or value.is_complex():
                averaged.append(value)
                averages.append(self._average[name])
            else:
                self._average[name].copy_(value)
        with torch.no_grad():  # all at once: few launches on a GPU
            torch._foreach_lerp_(averages, averaged, 1 - decay)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._average and not trainer.sanity_checking:
            self._trained = _copy(pl_module)
            pl_module.load_state_dict(self._average)

    def on_validation_end(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,
    ) -> None:
        if self._trained is not None:
            pl_module.load_state_dict(self._trained)
            self._trained = None

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        if self._average:
            checkpoint[TRAINED] = self._trained or _copy(pl_module)
            checkpoint["state_dict"] = {name: v.clone() for name, v in self._average.items()}

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        if TRAINED not in checkpoint:
            raise ConfigError(
                "resume: the interrupted run did not average its weights; leave out "
                "callbacks.average, as in that run"
            )
        self._average = {name: v.clone() for name, v in checkpoint["state_dict"].items()}
        pl_module.load_state_dict(checkpoint[TRAINED])


def _copy(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
