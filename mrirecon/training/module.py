"""The single LightningModule of mrirecon."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.checkpoint import Recipe
from mrirecon.training.objective import Objective
from mrirecon.training.volumes import VolumeScores
from mrirecon.types import Sample


class ReconstructionModule(pl.LightningModule):
    """Trains any Reconstructor with any Objective and validates it per volume.

    Args:
        reconstructor: The method to train.
        objective: What to minimise.
        optimizer: Builds the optimizer from the parameters.
        scheduler: Builds the learning-rate schedule from the optimizer, stepped every epoch; None
            keeps the rate constant.
        recipe: How to rebuild the reconstructor; stored in the checkpoint, so that a checkpoint
            alone is enough to reconstruct.
        schedule: The node that ``scheduler`` was built from; stored in the checkpoint, because a
            run can only be resumed with the schedule that it began with.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        objective: Objective,
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        recipe: Recipe,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        schedule: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not reconstructor.trainable:
            raise ConfigError(
                f"model: {type(reconstructor).__name__} has nothing to train; "
                "use it with `mrirecon reconstruct`, or choose a learned model"
            )
        self.reconstructor, self.objective = reconstructor, objective
        self.optimizer, self.scheduler = optimizer, scheduler
        self.recipe, self.schedule = recipe, schedule
        self._volumes = VolumeScores()

    def training_step(self, sample: Sample, _: int) -> Tensor:
        loss = self.objective(self.reconstructor, sample)
        self.log("train/loss", loss, batch_size=len(sample.key), prog_bar=True)
        return loss

    def validation_step(self, sample: Sample, _: int) -> None:
        if sample.target is None:
            raise ConfigError(f"validation needs a reference image, but {sample.key} has none")
        self._volumes.add(sample, self.reconstructor(sample))

    def on_validation_epoch_end(self) -> None:
        scores = {f"val/{name}": value for name, value in self._volumes.mean().items()}
        self.log_dict(scores, prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(p for p in self.parameters() if p.requires_grad)
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["recipe"] = asdict(self.recipe)
        checkpoint["schedule"] = self.schedule
