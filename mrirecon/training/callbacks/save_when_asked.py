"""A training that is asked to stop saves itself first."""

import multiprocessing
import signal
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from mrirecon import interruption
from mrirecon.interruption import Interrupted
from mrirecon.training.shared_flag import SharedFlag


class SaveWhenAsked(pl.Callback):
    """After a signal to stop, writes a checkpoint at the end of the batch and ends the run.

    Lightning ends a run that gets SIGTERM without a checkpoint and with status 0, so its handler is
    replaced. All processes stop after the same batch, of
    training or of validation. It belongs last in the list of callbacks, whose states it saves.

    Args:
        path: The checkpoint to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._flag: SharedFlag[int] = SharedFlag()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        if multiprocessing.parent_process() is not None:  # one of several, with no handlers yet
            interruption.watch()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        interruption.watch_again()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002 - Lightning passes them
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        self._stop_if_asked(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002 - Lightning passes them
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        if not trainer.sanity_checking:
            self._stop_if_asked(trainer, pl_module)

    def _stop_if_asked(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        number = interruption.requested()
        if number is None and trainer.received_sigterm:  # where another program has the handlers
            number = signal.SIGTERM
        asked = self._flag.exchange(number is not None, module.device, int(number or 0))
        if asked:
            trainer.save_checkpoint(self.path, weights_only=False)
            raise Interrupted(asked[0])
