"""Builds Lightning's Trainer, with what every training has."""

import sys
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from mrirecon.commands.fitting import last_checkpoint
from mrirecon.config import build, build_all, plain
from mrirecon.errors import ConfigError
from mrirecon.files import conf_folder
from mrirecon.terminal import draws_bars
from mrirecon.training.callbacks.compile_networks import CompileNetworks
from mrirecon.training.callbacks.forgiving import forgiving
from mrirecon.training.callbacks.give_way import GiveWay
from mrirecon.training.callbacks.last_checkpoint import LastCheckpoint
from mrirecon.training.callbacks.non_finite import RefuseNonFinite
from mrirecon.training.callbacks.progress import EpochLines
from mrirecon.training.callbacks.save_when_asked import SaveWhenAsked
from mrirecon.training.callbacks.starting_scores import StartingScores
from mrirecon.training.checkpoint_files import AtomicCheckpoints


def build_trainer(config: DictConfig, folder: Path, learned: bool = False) -> pl.Trainer:
    """Build the Trainer; several devices get a process each, started from this one.

    Lightning's own way to start them is to repeat the command line, which Hydra has changed.

    Args:
        config: The composed configuration.
        folder: Folder of the run.
        learned: Whether the weights that the training starts from have learned something already.
    """
    trainer = _built(config, folder, learned)
    cluster = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size == 1 or (cluster and cluster.creates_processes_externally):
        return trainer  # torchrun and srun start one mrirecon per device
    strategy = config.trainer.get("strategy", "auto")
    if not isinstance(strategy, str):
        strategy = str(strategy.get("_target_")).rpartition(".")[2]
    if strategy in ("auto", "ddp"):
        return _built(config, folder, learned, strategy="ddp_spawn")
    if strategy.endswith(("_spawn", "_fork")):
        return trainer
    raise ConfigError(
        f"trainer.strategy: {strategy} needs one process per device; start them with "
        f"`torchrun --nproc-per-node {trainer.num_devices} -m mrirecon.cli train ...` (or srun), "
        "or leave the strategy out"
    )


def refuse_unknown_parts(config: DictConfig, *groups: str) -> None:
    """Refuse to leave out what there is not: a wrong name would leave everything in.

    Raises:
        ConfigError: When a part that is null stands in none of the group's YAML files.
    """
    for group in groups:
        parts = config[group] or {}
        files = (conf_folder() / group).glob("*.yaml")
        known = {str(name) for file in files for name in OmegaConf.load(file)} - {"defaults"}
        known |= {name for name, node in parts.items() if node is not None}
        if unknown := sorted(set(parts) - known):
            raise ConfigError(
                f"{group}.{unknown[0]}=null has no effect: there is no such part; there are "
                f"{', '.join(sorted(known))}"
            )


def _callbacks(
    config: DictConfig, folder: Path, learned: bool, logged: bool, bar: bool
) -> list[pl.Callback]:
    """Build the callbacks, and those of every training.

    The learning rate can be monitored only where something logs it. Where checkpoints are kept, one
    callback always keeps the end of the run. Another number of threads changes the last digits, and
    what was compiled is compiled anew for it.
    """
    found = build_all(config.callbacks, pl.Callback, "callbacks")
    found = [one for one in found if logged or not isinstance(one, LearningRateMonitor)]
    found = [StartingScores(learned), *found]  # others look at what it tells
    found += [RefuseNonFinite()] if bar else [RefuseNonFinite(), EpochLines()]
    compiled = any(isinstance(one, CompileNetworks) for one in found)
    if not compiled and not config.trainer.get("deterministic"):
        found.append(GiveWay())
    if config.trainer.get("enable_checkpointing") is False:
        return found
    last = last_checkpoint(folder)
    if not any(isinstance(one, LastCheckpoint) for one in found):
        found.append(LastCheckpoint(last.parent, last.stem))
    return [*found, SaveWhenAsked(last)]


def _built(config: DictConfig, folder: Path, learned: bool, **changed: str) -> pl.Trainer:
    """Build the Trainer; what no callback or logger has a place for goes to ``folder``."""
    # Lightning's bar goes to standard output; in a log it would be a line for every step
    bar = draws_bars(sys.stdout, sys.stderr)
    node = {"default_root_dir": str(folder), "enable_progress_bar": bar}
    node |= {**plain(config.trainer, "trainer"), **changed}
    loggers = [forgiving(one) for one in build_all(config.logger, Logger, "logger")]
    callbacks = _callbacks(
        config, folder, learned, bool(loggers), bool(node["enable_progress_bar"])
    )
    try:
        trainer = build(
            node,
            pl.Trainer,
            "trainer",
            callbacks=callbacks,
            logger=loggers or False,
        )
    except (MisconfigurationException, ImportError) as error:
        raise ConfigError(f"trainer: {error}") from error
    environment = trainer._accelerator_connector.cluster_environment
    if isinstance(environment, SLURMEnvironment):
        environment.auto_requeue = False  # it restores what nobody has checked; see resume=auto
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # none that the user has chosen
        trainer.strategy.checkpoint_io = AtomicCheckpoints()
    return trainer
