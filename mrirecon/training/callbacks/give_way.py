"""A training beside others computes with as many threads as have a processor."""

from typing import Any

import pytorch_lightning as pl

from mrirecon.sharing import give_way


class GiveWay(pl.Callback):
    """Looks between steps on a CPU, and lets fewer or more threads compute."""

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        give_way(trainer.strategy.root_device.type)

    on_validation_batch_start = on_train_batch_start
