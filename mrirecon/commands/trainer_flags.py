"""Arguments of Lightning's Trainer that cannot be used here, told before anything is trained.

What Lightning itself refuses when it is built is not repeated.
"""

import math
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer

from mrirecon.commands.method import no_gpu
from mrirecon.data.datamodule import DataModule
from mrirecon.errors import ConfigError
from mrirecon.metrics import METRICS
from mrirecon.training.module import LOSS
from mrirecon.training.objectives.base import Objective

PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "None")
SCORES = ("train/loss", LOSS, *(f"val/{name}" for name in METRICS))
NOTHING = "would train nothing"
REFUSED = {
    "callbacks": "choose with callbacks= and callbacks.NAME.ARGUMENT=",
    "logger": "choose with logger=",
    "overfit_batches": "it would replace the order of batches; train on few scans instead "
    "(data.train.scans.count=1, or a folder or pattern with one file)",
    "barebones": "it would neither validate nor keep a checkpoint; for speed, leave out loggers "
    "and pictures (logger=none callbacks.pictures=null)",
    "limit_test_batches": "train does not test; use `mrirecon evaluate`",
    "limit_predict_batches": "train does not predict; use `mrirecon reconstruct`",
    "model_registry": "there is no registry; give a file with resume=",
}
"""Arguments that are refused unless they switch something off, and what to do instead."""
POSITIVE = ("accumulate_grad_batches", "gradient_clip_val", "check_val_every_n_epoch")
NOT_NEGATIVE = (
    "log_every_n_steps", "limit_train_batches", "limit_val_batches", "min_epochs", "min_steps",
    "reload_dataloaders_every_n_epochs", "fast_dev_run",
)  # fmt: skip
EMPTY: dict[str, Any] = {"max_epochs": 0, "max_steps": 0, "limit_train_batches": 0}


def check_flags(flags: dict[str, Any]) -> None:
    """Look at the arguments before the Trainer is built.

    Raises:
        ConfigError: Naming the argument and what to do instead.
    """
    _check_precision(str(flags.get("precision") or PRECISIONS[0]))
    _check_accelerator(str(flags.get("accelerator")))
    for name, reason in REFUSED.items():
        if flags.get(name):
            raise ConfigError(f"trainer.{name}={flags[name]} cannot be used here: {reason}")
    for name in (*POSITIVE, *NOT_NEGATIVE):
        value = flags.get(name, 1)
        if _is_number(value) and (value < 0 or (value == 0 and name in POSITIVE)):
            lowest = "above" if name in POSITIVE else "at least"
            raise ConfigError(f"trainer.{name} must be {lowest} 0, got {value}")
    for name, value in flags.items():
        if _is_number(value) and not math.isfinite(value):
            raise ConfigError(f"trainer.{name}={value}: expected a finite number")
    for name, value in EMPTY.items():
        if _is_number(flags.get(name)) and flags[name] == value:
            raise ConfigError(f"trainer.{name}={value} {NOTHING}")
    interval = flags.get("val_check_interval", 1.0)
    if not _is_number(interval) or interval <= 0:
        raise ConfigError(
            f"trainer.val_check_interval={interval}: expected a number of batches or a share of "
            "an epoch, for validation by the clock repeats no run; trainer.limit_val_batches=0 "
            "switches validation off"
        )


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(f"trainer.precision: expected one of {', '.join(PRECISIONS)}, "
                          f"got {precision}; k-space stays in complex64")  # fmt: skip


def _check_accelerator(name: str) -> None:
    if name not in ACCELERATORS:
        raise ConfigError(
            f"trainer.accelerator: expected one of {', '.join(ACCELERATORS[:-1])}, got {name}; "
            "others lack complex or double-precision numbers"
        )
    if name in ("gpu", "cuda") and (reason := no_gpu()):
        raise ConfigError(
            f"trainer.accelerator={name} cannot be used: {reason}; trainer=default takes a GPU "
            "where there is one, and else the CPU"
        )


def check_trainer(trainer: pl.Trainer, data: DataModule, objective: Objective) -> None:
    """Look at what the Trainer makes of its arguments, and at how they fit together.

    Raises:
        ConfigError: Naming the argument and what to do instead.
    """
    _check_precision(trainer.precision)  # plugins set it, too
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Timer) and callback.time_remaining() == 0:
            raise ConfigError(f"trainer.max_time of 0 {NOTHING}")
    cluster = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.num_nodes > 1 and not (cluster and cluster.creates_processes_externally):
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes} needs a process for each device of each node; "
            "start them with srun or torchrun (hydra/launcher=slurm does)"
        )
    length = run_length(trainer, data)
    _check_length(trainer, length)
    check_monitors(trainer, data, objective, length)


@dataclass(frozen=True)
class RunLength:
    """How long a run is at the most.

    Attributes:
        batches: Number of batches of an epoch, in each process.
        together: Number of batches of an update.
        updates: Number of updates of the weights; infinite when only time or a callback ends the
            run.
        by_steps: Whether ``trainer.max_steps`` ends it.
    """

    batches: int
    together: int
    updates: float
    by_steps: bool

    @property
    def per_epoch(self) -> int:
        """Updates of an epoch."""
        return -(-self.batches // self.together)

    @property
    def epochs(self) -> float:
        """Epochs that are begun."""
        if math.isinf(self.updates):
            return self.updates
        return -(-self.updates // self.per_epoch)


def run_length(trainer: pl.Trainer, data: DataModule) -> RunLength:
    """Return how long a run is by its limits, whichever comes first."""
    limit, count = trainer.limit_train_batches, data.batches(trainer.world_size)
    batches = min(count, limit) if isinstance(limit, int) else int(count * limit)
    if not batches:
        raise ConfigError(
            f"trainer.limit_train_batches={limit} leaves none of the {count} batches of an epoch"
        )
    together, epochs = trainer.accumulate_grad_batches, trainer.max_epochs
    by_epochs = math.inf if epochs is None or epochs < 0 else epochs * -(-batches // together)
    by_steps = math.inf if trainer.max_steps < 0 else trainer.max_steps
    return RunLength(batches, together, min(by_epochs, by_steps), by_steps < by_epochs)


def _check_length(trainer: pl.Trainer, length: RunLength) -> None:
    least = {
        "min_steps": trainer.min_steps or 0,
        "min_epochs": (trainer.min_epochs or 0) * length.per_epoch,
    }
    for name, needed in least.items():
        if needed > length.updates:
            raise ConfigError(
                f"trainer.{name}={getattr(trainer, name)} is {needed} updates of the weights, but "
                f"the run ends after {length.updates:.0f} (trainer.max_epochs, trainer.max_steps)"
            )
    interval = trainer.val_check_interval
    if isinstance(interval, int) and trainer.check_val_every_n_epoch and interval > length.batches:
        raise ConfigError(
            f"trainer.val_check_interval={interval} is more than the {length.batches} batches of "
            "an epoch; trainer.check_val_every_n_epoch=null counts batches over the epochs"
        )


def check_monitors(
    trainer: pl.Trainer, data: DataModule, objective: Objective, length: RunLength
) -> None:
    """A callback that looks at what there will never be would end the run after an epoch.

    Raises:
        ConfigError: Naming the callback and what to do instead.
    """
    slices = data.sets["val"]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        monitor = getattr(callback, "monitor", None)
        if monitor is None or monitor in ("epoch", "step") or monitor.startswith("lr-"):
            continue
        name = f"callbacks: {type(callback).__name__} looks at {monitor}"
        if monitor not in SCORES:
            raise ConfigError(f"{name}, which there is not; there are {', '.join(SCORES)}")
        if monitor == LOSS and objective.needs_target:
            raise ConfigError(
                f"{name}, the loss of objectives that need no reference; with this one choose "
                "callbacks=default, which looks at val/ssim"
            )
        if not monitor.startswith("val/"):
            continue
        if reason := _never_validates(trainer, length):
            raise ConfigError(
                f"{name}, but {reason}; leave the callback out (callbacks.best=null "
                "callbacks.early_stopping=null), or let it validate"
            )
        scored = any(slices.has_target(index) for index in slices.first_of_each_format())
        if monitor != LOSS and not scored:
            raise ConfigError(
                f"{name}, but the scans of data.val have no reference; choose "
                f"callbacks=self_supervised, which looks at {LOSS}"
            )


def _never_validates(trainer: pl.Trainer, length: RunLength) -> str:
    """Say why a run never validates; empty when it does. One that ends within an epoch does."""
    every, interval = trainer.check_val_every_n_epoch, trainer.val_check_interval
    if trainer.limit_val_batches == 0:
        return "trainer.limit_val_batches=0 validates nothing"
    if every is not None and every > length.epochs:
        return f"the run has {length.epochs:.0f} epochs and trainer.check_val_every_n_epoch={every}"
    if every is None and not length.by_steps and interval > length.epochs * length.batches:
        return (
            f"the run has {length.epochs * length.batches:.0f} batches and "
            f"trainer.val_check_interval={interval}"
        )
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
