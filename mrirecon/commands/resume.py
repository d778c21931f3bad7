"""Checks that a checkpoint can be resumed by the run that is about to start."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Timer

from mrirecon.commands.fitting import DAMAGED, last_checkpoint, not_resumable
from mrirecon.config import plain
from mrirecon.data.datamodule import DataModule
from mrirecon.errors import ConfigError
from mrirecon.training.checkpoint import read_state, recipe_of
from mrirecon.training.checkpoint_files import AtomicCheckpoints, refuse_replacing
from mrirecon.training.continuity import (
    RunFacts,
    banks,
    data_settings,
    differences,
    fingerprints,
    names_of,
    settings_of,
)
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.open_update import GRADIENTS
from mrirecon.training.position import position_in
from mrirecon.training.storable import storable

GROUPS = ("objective", "optimizer", "scheduler")
FLAGS = (
    "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm",
    "limit_train_batches", "precision",
)  # fmt: skip
"""Arguments of the Trainer that the course of a run depends on."""
ENDS = ("max_epochs", "max_steps")
"""Those that a schedule depends on which lasts as long as the run."""


def run_facts(
    config: DictConfig, module: ReconstructionModule, data: DataModule, trainer: pl.Trainer
) -> RunFacts:
    """Return what a resumed run must share with this one."""
    nodes = {**vars(module.recipe), **{key: plain(config[key], key) for key in GROUPS}}
    settings = {k: v for name, node in nodes.items() for k, v in settings_of(name, node).items()}
    settings |= {f"trainer.{name}": storable(getattr(trainer, name)) for name in FLAGS}
    settings["trainer.devices"] = trainer.world_size
    if module.scheduled_to_the_end:
        settings |= {f"trainer.{name}": getattr(trainer, name) for name in ENDS}
    settings |= data_settings(plain(config.data, "data")) | banks(data.sets)
    return RunFacts(settings, fingerprints(data.sets), int(config.seed))


def check_resume(path: str, facts: RunFacts, data: DataModule, trainer: pl.Trainer) -> None:
    """Refuse a checkpoint of another run, and hand one of this run over to the Trainer.

    Args:
        path: Path of the checkpoint.
        facts: Settings and scans of the run that is about to resume it.
        data: Data of that run.
        trainer: Trainer of that run.

    Raises:
        ConfigError: Naming every setting that differs, with both values; or when it is damaged.
        OutputError: When the run would replace checkpoints of another one.
    """
    state = read_state(path)
    try:
        _check_state(path, state, facts, data, trainer)
    except ConfigError:  # a ValueError, too
        raise
    except DAMAGED as error:
        raise not_resumable(path, error) from error
    refuse_replacing(last_checkpoint(Path(trainer.default_root_dir)), state)
    if isinstance(io := trainer.strategy.checkpoint_io, AtomicCheckpoints):
        io.hand_over(path, state)


def _check_state(
    path: str, state: dict[str, Any], facts: RunFacts, data: DataModule, trainer: pl.Trainer
) -> None:
    """Compare a checkpoint with this run, and tell what of it cannot be exact."""
    if "recipe" not in state or "optimizer_states" not in state or "loops" not in state:
        raise ConfigError(f"resume: {path} is not a checkpoint of mrirecon train")
    there = _interrupted(state, Path(path))
    if found := differences(there, facts, names_of(data.sets)):
        listed = "\n".join(f"  {line}" for line in found)
        raise ConfigError(
            f"resume: {path} is of another run:\n{listed}\nA resumed run must equal the one that "
            "was interrupted; give the settings of that run (its config.yaml), or "
            "start another run from its weights with checkpoint=FILE instead of resume=FILE"
        )
    _check_states(state)
    _check_time(path, state, trainer)
    _note(path, state, facts.seed)


def _interrupted(state: dict[str, Any], path: Path) -> RunFacts:
    """Read the facts of a checkpoint; an older one tells the model and the optimizer only."""
    if "run" in state:
        return RunFacts(**state["run"])
    recipe = recipe_of(state, path)
    nodes = {**vars(recipe), "scheduler": state["schedule"]}
    if "rates" in state:
        nodes["optimizer"] = state["rates"]
    settings = {k: v for name, node in nodes.items() for k, v in settings_of(name, node).items()}
    return RunFacts(settings, {}, 0)


def _check_states(state: dict[str, Any]) -> None:
    """Lightning would begin anew, in silence, with what is missing in a list."""
    kinds = {"callbacks": dict, "state_dict": dict, "metrics": dict, "seed": int, "epoch": int,
             "global_step": int, "optimizer_states": list, "lr_schedulers": list}  # fmt: skip
    for name, kind in kinds.items():
        if name in state and not isinstance(state[name], kind):
            raise TypeError(f"{name} is {type(state[name]).__name__}, not {kind.__name__}")
    for name, count in (("optimizer_states", 1), ("lr_schedulers", int(bool(state["schedule"])))):
        if len(state[name]) != count:
            raise ValueError(f"{name} has {len(state[name])} entries, not {count}")


def _check_time(path: str, state: dict[str, Any], trainer: pl.Trainer) -> None:
    """The time limit counts all parts of a run; one that is used up would train nothing."""
    timers = [one for one in trainer.callbacks if isinstance(one, Timer)]  # type: ignore[attr-defined]
    for timer in timers:
        left = timer.time_remaining()
        used = state.get("callbacks", {}).get(timer.state_key, {}).get("time_elapsed", {})
        if left is not None and used.get("train", 0) >= left:
            elapsed = timedelta(seconds=round(used["train"]))
            raise ConfigError(
                f"resume: {path} has used up trainer.max_time, which counts all parts of a run: "
                f"{elapsed} of {timedelta(seconds=left)}; raise it by the time of this part, or "
                "leave it out"
            )


def _note(path: str, state: dict[str, Any], seed: int) -> None:
    notes, position = [], position_in(state)
    begun = state.get("run", {}).get("seed", seed)
    if begun != seed:
        notes.append(f"the run began with seed={begun}, which counts; seed={seed} has no effect")
    if "run" not in state:
        notes.append(
            "this checkpoint is of an earlier version and does not tell its data, sampling and "
            "objective, which must be the same"
        )
    if position.batches and "position" not in state:
        notes.append(
            "it lies within an epoch, for which that version drew other random numbers, so the "
            "run will not equal an uninterrupted one"
        )
    if position.inside or (position.open and GRADIENTS not in state):
        notes.append(
            "it was written within an update, which is begun again, so the run may not equal an "
            "uninterrupted one to the last bit"
        )
    for note in notes:
        print(f"note: resume={path}: {note}", file=sys.stderr)
