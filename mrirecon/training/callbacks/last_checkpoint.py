"""The checkpoint to resume from."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from mrirecon.training.module import ReconstructionModule
from mrirecon.training.position import Position


class LastCheckpoint(ModelCheckpoint):
    """Saves the run after every epoch and wherever it stops; the file before is replaced.

    A run may stop within an epoch, at ``trainer.max_steps`` or ``max_time``. Then it is saved
    before the validation that Lightning adds there, which the uninterrupted run does not have.

    Args:
        dirpath: Folder of the checkpoint.
        filename: Name of the file without its suffix.
        every_n_train_steps: Updates after which it is saved besides.
        train_time_interval: Time after which it is saved besides.
    """

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str = "last",
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | None = None,
    ) -> None:
        super().__init__(
            dirpath,
            filename,
            every_n_train_steps=every_n_train_steps,
            train_time_interval=train_time_interval,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self._saved: Position | None = None

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save where the run stops, and when it is time."""
        if trainer.should_stop or _has_all_steps(trainer):
            self._save(trainer, pl_module)
        else:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save again when the validation belonged to the run that ends with it."""
        assert isinstance(pl_module, ReconstructionModule)
        if not trainer.sanity_checking and trainer.should_stop and pl_module.position.due:
            self._save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epoch."""
        self._save(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save whatever is not saved yet."""
        self._save(trainer, pl_module)

    def _save(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, ReconstructionModule)
        here = module.position
        if self._saved is not None and not _is_later(here, self._saved):
            return
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))
        self._saved = here


def _is_later(here: Position, saved: Position) -> bool:
    """Tell whether more has been done than was saved; an additional validation is no part of it."""
    if (here.epoch, here.batches) != (saved.epoch, saved.batches):
        return True
    return here.due and here.validated and not saved.validated


def _has_all_steps(trainer: pl.Trainer) -> bool:
    return trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps
