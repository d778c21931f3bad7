"""The single LightningModule of mrirecon."""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from inspect import signature
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mrirecon.data.batches import TrainingBatches, VolumeBatches, derived_seed
from mrirecon.data.datamodule import DataModule
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.checkpoint import TRAINED, Recipe, patients_in, written_by
from mrirecon.training.continuity import RunFacts
from mrirecon.training.objectives.base import Objective, no_reference
from mrirecon.training.open_update import GRADIENTS, OpenUpdate, gradients_of
from mrirecon.training.position import Position, go_on_from, position_in, position_of
from mrirecon.training.resumed_files import take_over_files
from mrirecon.training.validation_scores import MeanLoss, VolumeScores
from mrirecon.types import Sample

LOSS = "val/loss"


class ReconstructionModule(pl.LightningModule):
    """Trains any Reconstructor with any Objective and validates it per volume.

    Scans without a reference can be validated only by the loss of an objective that needs none,
    ``val/loss``; others are, too, when a callback monitors it. What is random in it is the same for
    a slice in every epoch.

    Args:
        reconstructor: The method to train.
        objective: Objective to minimise.
        optimizer: Function that builds the optimizer from the parameters.
        scheduler: Function that builds the learning-rate schedule from the optimizer, stepped every
            epoch, or after every update if it takes ``steps``, the updates of the run, and
            ``steps_per_epoch``; None keeps the rate constant.
        recipe: How to rebuild the reconstructor; stored in the checkpoint, so that a checkpoint
            alone is enough to reconstruct.
        schedule: The node that ``scheduler`` was built from; stored in the checkpoint, because a
            run can only be resumed with the schedule that it began with.
        rates: The node that ``optimizer`` was built from; stored likewise, because the state of an
            optimizer brings its rates along and overrules others.

    Attributes:
        run: What a run that resumes this one must share with it, once it is known; stored likewise.
        domain: Plain data of what its weights have learned from, where that is known; stored
            likewise.
        patients: Pseudonyms of the patients whom its weights have learned from; stored likewise.
        begun: Whether the run computes already; before, it may be reading a checkpoint.
        scores: Scores of the latest validation by their names, such as ``val/ssim``.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        objective: Objective,
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        recipe: Recipe,
        scheduler: Callable[..., LRScheduler] | None = None,
        schedule: dict[str, Any] | None = None,
        rates: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not reconstructor.trainable:
            raise ConfigError(
                f"model: {type(reconstructor).__name__} has nothing to train; "
                "use it with `mrirecon reconstruct`, or choose a learned model"
            )
        self.reconstructor, self.objective = reconstructor, objective
        self.optimizer, self.scheduler = optimizer, scheduler
        self.recipe, self.schedule, self.rates = recipe, schedule, rates
        self.run: RunFacts | None = None
        self.domain: Any = None
        self.patients: frozenset[str] = frozenset()
        self._volumes, self._losses = VolumeScores(), MeanLoss()
        self.begun = False
        self.scores: dict[str, float] = {}
        self._seed = torch.initial_seed()
        self.latest_loss: Tensor | None = None
        self._validated: tuple[int, int] | None = None
        self._gradients = OpenUpdate()
        self._metrics: dict[str, Tensor] = {}

    @property
    def position(self) -> Position:
        """Where the run is."""
        return position_of(self.trainer, self._validated)

    def on_train_start(self) -> None:
        self.begun = True
        self._gradients.put_back(self)
        self.trainer.callback_metrics.update(self._metrics)  # the end of an epoch may ask for them

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:  # noqa: ARG002
        # What is random in the network or the objective follows from seed, epoch, batch and
        # process, so that a resumed run equals an uninterrupted one and needs no one's state.
        seed = derived_seed(self._seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        # Lightning counts one more when it goes on between two epochs; loggers take it as the step.
        self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.trainer.global_step

    def training_step(self, sample: Sample, batch_index: int) -> Tensor:
        loss = self.objective(self.reconstructor, sample)
        self.latest_loss = loss.detach()
        self.log("train/loss", loss, batch_size=len(sample.key), prog_bar=True)
        return loss * self._share(len(sample.key), batch_index)

    def on_train_batch_end(self, outputs: Any, batch: Sample, batch_idx: int) -> None:  # noqa: ARG002
        # a run that ends within an epoch is validated, as it is after max_time
        if self.trainer.max_steps != -1 and self.trainer.global_step >= self.trainer.max_steps:
            self.trainer.should_stop = True

    def validation_step(self, sample: Sample, batch_index: int) -> None:
        sampler = getattr(self.trainer.val_dataloaders, "sampler", None)
        scored = not isinstance(sampler, VolumeBatches) or batch_index < sampler.scored
        if self.objective.needs_target and sample.target is None:
            raise no_reference(sample)
        if sample.target is not None:
            images = self.reconstructor(sample)
            if scored:
                kept = sampler.kept(batch_index) if isinstance(sampler, VolumeBatches) else None
                self._volumes.add(sample, images, kept)
        if not self.objective.needs_target and (sample.target is None or self._loss_is_monitored()):
            loss = self._repeatable_loss(sample)
            if scored:
                self._losses.add(loss, len(sample.key))

    def _loss_is_monitored(self) -> bool:
        return any(getattr(c, "monitor", None) == LOSS for c in self.trainer.callbacks)  # type: ignore[attr-defined]

    def _repeatable_loss(self, sample: Sample) -> Tensor:
        """Return the loss of a batch, with random numbers that follow from its slices alone."""
        device = sample.kspace.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(derived_seed(repr(sample.key)))
            return self.objective(self.reconstructor, sample)  # type: ignore[no-any-return]

    def on_validation_epoch_start(self) -> None:
        self.begun = True
        self._synchronize_buffers(False)

    def on_validation_epoch_end(self) -> None:
        self._synchronize_buffers(True)
        scores = {f"val/{name}": value for name, value in self._volumes.mean().items()}
        if (loss := self._losses.mean()) is not None:
            scores[LOSS] = loss
        self.scores = scores
        # every process has the same mean already; the maximum of equal numbers changes nothing
        self.log_dict(scores, prog_bar=True, sync_dist=True, reduce_fx="max")
        if not self.trainer.sanity_checking:
            self._validated = (self.position.epoch, self.position.batches)

    def _synchronize_buffers(self, whether: bool) -> None:
        """Processes validate different numbers of batches, so none may wait for the others."""
        model = self.trainer.model
        if isinstance(model, DistributedDataParallel):
            model.require_forward_param_sync = whether

    def _share(self, members: int, batch_index: int) -> float:
        """Make every slice count alike in an update that accumulates several batches.

        Lightning divides by the number of batches per update, but the last update of an epoch may
        have fewer batches, and its last batch fewer slices.
        """
        together = self.trainer.accumulate_grad_batches
        batches = self.trainer.num_training_batches
        sampler = getattr(self.trainer.train_dataloader, "sampler", None)
        if together == 1 or not isinstance(sampler, TrainingBatches):
            return 1.0
        first = batch_index - batch_index % together
        sizes = [sampler.size(i) for i in range(first, min(first + together, int(batches)))]
        return together * members / sum(sizes)

    def configure_optimizers(self) -> Any:
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = _made("optimizer", self.optimizer, trained)
        if self.scheduler is None:
            return optimizer
        if not self.scheduled_to_the_end:
            schedule = _made("scheduler", self.scheduler, optimizer)
            return {"optimizer": optimizer, "lr_scheduler": schedule}
        self.trainer.fit_loop.setup_data()  # makes the loader, whose length is needed
        updates = self.trainer.estimated_stepping_batches
        steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        schedule = _made(
            "scheduler", self.scheduler, optimizer, steps_per_epoch=steps, steps=updates
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    @property
    def scheduled_to_the_end(self) -> bool:
        """Whether the learning-rate schedule is stepped with every update and ends with the run."""
        return self.scheduler is not None and "steps" in signature(self.scheduler).parameters

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mrirecon"] = written_by()
        checkpoint["recipe"] = asdict(self.recipe)
        checkpoint["schedule"] = self.schedule
        checkpoint["rates"] = self.rates
        checkpoint["seed"] = self._seed
        if self.run is not None:
            checkpoint["run"] = asdict(self.run)
        if self.domain is not None:
            checkpoint["domain"] = self.domain
        checkpoint["patients"] = sorted(self.patients)
        checkpoint["position"] = asdict(position := self.position)
        metrics = self.trainer.callback_metrics.items()
        checkpoint["metrics"] = {name: value.detach().cpu() for name, value in metrics}
        if position.open:
            checkpoint[GRADIENTS] = gradients_of(self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._seed = checkpoint.get("seed", self._seed)
        self.domain = checkpoint.get("domain")
        self.patients |= patients_in(checkpoint)
        position = position_in(checkpoint)
        go_on_from(position, checkpoint)
        take_over_files(self.trainer, checkpoint)
        self._gradients = OpenUpdate(checkpoint.get(GRADIENTS, []))
        self._metrics = checkpoint.get("metrics", {})
        if position.validated:
            self._validated = (position.epoch, position.batches)
        if isinstance(data := self.trainer.datamodule, DataModule):  # type: ignore[attr-defined]
            data.start_after(position.epoch, position.batches)
        averages = any(getattr(c, "keeps", "") == TRAINED for c in self.trainer.callbacks)  # type: ignore[attr-defined]
        if TRAINED in checkpoint and not averages:
            raise ConfigError(
                "resume: the interrupted run averaged its weights; resume with callbacks=averaged, "
                "as in that run"
            )


def _made(key: str, make: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call ``make``; rates and lengths that torch refuses are wrong settings, and told as such."""
    try:
        return make(*arguments, **named)
    except MriReconError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{key}: {error}") from error
