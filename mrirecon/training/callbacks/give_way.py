"""A training beside others computes with as many threads as have a processor."""

from typing import Any

import pytorch_lightning as pl

from mrirecon.sharing import give_way


class GiveWay(pl.Callback):
    """Looks between steps on a CPU, and lets fewer or more threads compute."""

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002 - Lightning passes it
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        give_way(trainer.strategy.root_device.type)

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002 - Lightning passes it
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        give_way(trainer.strategy.root_device.type)
