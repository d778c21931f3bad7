"""The learning curve of a training, and a line for each epoch."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from mrirecon.figures.curve import Point, learning_curve
from mrirecon.figures.saving import save_figure
from mrirecon.training.callbacks.forgiving import attempt
from mrirecon.training.module import ReconstructionModule
from mrirecon.types import Sample

TRAINING = "train/loss"


class EpochLoss(pl.Callback):
    """Knows the mean loss over the slices of an epoch so far; a resumed run goes on with it."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._slices = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning passes it
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Sample,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        assert isinstance(pl_module, ReconstructionModule)
        if pl_module.latest_loss is not None:
            self._sum = self._sum + len(batch.key) * pl_module.latest_loss
            self._slices += len(batch.key)

    def finish(self, trainer: pl.Trainer) -> float | None:
        """Return the mean over all processes, None without a slice, and start again."""
        total, count, self._sum, self._slices = self._sum, self._slices, 0.0, 0
        if not count:
            return None
        mean = torch.as_tensor(total, device=trainer.strategy.root_device) / count
        return float(trainer.strategy.reduce(mean, reduce_op="mean"))

    def state_dict(self) -> dict[str, Any]:
        return {"sum": float(self._sum), "slices": self._slices}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sum, self._slices = state_dict["sum"], state_dict["slices"]


class LearningCurve(EpochLoss):
    """After each epoch, draws the loss and the scores of validation against epochs and updates.

    The points are kept in checkpoints, so that the curve of a resumed run begins with the run.

    Args:
        path: Path of the picture.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = Path(path)
        self.curves: dict[str, list[Point]] = {}
        self._told: set[str] = set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if not self.curves:  # a run may start from weights that have scores already
            for name, value in validation_scores(trainer.callback_metrics).items():
                self._add(trainer, name, value)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if not trainer.sanity_checking:
            for name, value in validation_scores(trainer.callback_metrics).items():
                self._add(trainer, name, value)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loss = self.finish(trainer)
        if loss is not None:
            self._add(trainer, TRAINING, loss)
        if trainer.is_global_zero and self.curves:
            assert isinstance(pl_module, ReconstructionModule)
            title = type(pl_module.reconstructor).__name__
            attempt("LearningCurve", self._told, lambda: self._draw(title), None)

    def _draw(self, title: str) -> None:
        save_figure(self.path, learning_curve(self.curves, title=title), overwrite=True)

    def _add(self, trainer: pl.Trainer, name: str, value: float) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        epoch = trainer.current_epoch + batches / trainer.num_training_batches
        point = Point(float(epoch), int(trainer.global_step), value)
        self.curves.setdefault(name, []).append(point)

    def state_dict(self) -> dict[str, Any]:
        curves = {name: [asdict(point) for point in curve] for name, curve in self.curves.items()}
        return {**super().state_dict(), "curves": curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        curves = state_dict["curves"].items()
        self.curves = {name: [Point(**point) for point in curve] for name, curve in curves}


class EpochLines(EpochLoss):
    """Prints a line for each epoch, where no progress bar is shown."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        loss = self.finish(trainer)
        scores = {} if loss is None else {TRAINING: loss}
        scores |= validation_scores(trainer.callback_metrics)
        if trainer.is_global_zero:
            shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
            last = trainer.max_epochs
            of = f" of {last}" if last is not None and last > 0 else ""
            print(f"epoch {trainer.current_epoch + 1}{of}: {shown}", flush=True)  # noqa: T201


def validation_scores(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the latest scores of validation."""
    return {name: float(v) for name, v in sorted(metrics.items()) if name.startswith("val/")}
