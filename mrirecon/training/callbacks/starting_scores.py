"""Scores of the weights that a training starts from."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from mrirecon.training.module import ReconstructionModule


class StartingScores(pl.Callback):
    """Validates the weights that a training starts from, as if an epoch had led to them.

    The best checkpoint holds them until others are better, and early stopping counts from their
    score: so training never hands out weights that are worse than those it was given. A resumed run
    has the scores from its checkpoint.

    Args:
        learned: Whether these weights have learned something already; random ones are not
            validated.

    Attributes:
        scores: Scores by their names, such as ``val/ssim``; empty where nothing was validated.
    """

    def __init__(self, learned: bool = True) -> None:
        self.learned = learned
        self.scores: dict[str, float] = {}
        self._pending = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        if stage == "fit" and self.learned and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.num_sanity_val_steps = math.inf  # Lightning's validation before the training

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002 - Lightning passes them
        checkpoint: dict[str, Any],  # noqa: ARG002
    ) -> None:
        self.learned, trainer.num_sanity_val_steps = False, 0  # a resumed run has started long ago

    def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        assert isinstance(pl_module, ReconstructionModule)
        if self.learned:
            self.scores, self._pending = dict(pl_module.scores), True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._pending:
            return
        device = pl_module.device
        trainer.callback_metrics.update(
            {
                name: torch.tensor(value, dtype=torch.float32, device=device)
                for name, value in self.scores.items()
            }
        )
        if trainer.is_global_zero and self.scores:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in sorted(self.scores.items()))
            print(f"before training: {shown}", flush=True)  # noqa: T201

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Let checkpoints and early stopping know the scores, once everything else has started."""
        pending, self._pending = self._pending, False
        if not pending:
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if getattr(callback, "monitor", None) not in self.scores:
                continue
            if isinstance(callback, ModelCheckpoint):
                callback._save_topk_checkpoint(trainer, callback._monitor_candidates(trainer))
            elif isinstance(callback, EarlyStopping):
                callback.best_score = trainer.callback_metrics[callback.monitor]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if not trainer.is_global_zero:
            return
        for one in trainer.checkpoint_callbacks:
            monitor, best = getattr(one, "monitor", None), getattr(one, "best_model_score", None)
            start = self.scores.get(str(monitor))
            if start is not None and best is not None and float(best) == _rounded(start):
                print(  # noqa: T201
                    f"no epoch was better than the weights that the training started from, by "
                    f"{monitor}: the best checkpoint holds these",
                    flush=True,
                )

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.scores = state_dict["scores"]


def _rounded(value: float) -> float:
    """Return a score as a checkpoint keeps it."""
    return float(torch.tensor(value, dtype=torch.float32))
