"""``mrirecon train``: fit a learned method to a data set."""

import json
import logging
import subprocess
import warnings
from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from mrirecon.commands.base import command, command_line, versions
from mrirecon.config import build, build_all, build_function, plain
from mrirecon.errors import ConfigError, OutputError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.checkpoint import Recipe
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objective import Objective

# Remarks of Lightning that no user can act on: its own deprecated calls, advertisements, and that
# the folder of the run, which it shares with other outputs, is not empty.
for remark in (".*LeafSpec.*", "Experiment logs directory.*"):
    warnings.filterwarnings("ignore", message=remark)
logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
    lambda record: "Tip:" not in record.getMessage()
)


@command
def train(config: DictConfig) -> None:
    """Build everything, fit, and say where the checkpoints lie."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    _check_paths(config, folder)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    recipe = Recipe(plain(config.model, "model"), plain(config.preprocessing, "preprocessing"))
    # Everything is built before anything is written: a wrong key costs a second, not a night.
    module = ReconstructionModule(
        build(config.model, Reconstructor, "model"),
        build(config.objective, Objective, "objective"),
        build_function(config.optimizer, "optimizer"),
        recipe,
        build_function(config.scheduler, "scheduler") if config.scheduler else None,
    )
    data = build(config.data, pl.LightningDataModule, "data")
    callbacks = build_all(config.callbacks, pl.Callback, "callbacks")
    loggers = build_all(config.logger, Logger, "logger")
    trainer = build(
        config.trainer, pl.Trainer, "trainer", callbacks=callbacks, logger=loggers or False
    )
    _write_record(config, folder)
    parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
    print(
        f"training {type(module.reconstructor).__name__} ({parameters:,} parameters), "
        f"everything goes to {folder}"
    )
    trainer.fit(module, data, ckpt_path=config.resume)
    _report(trainer)


def _check_paths(config: DictConfig, folder: Path) -> None:
    if config.resume is not None and not Path(config.resume).is_file():
        raise ConfigError(f"resume: {config.resume} is not a checkpoint file")
    if config.resume is None and any(folder.glob("checkpoints/*.ckpt")):
        raise OutputError(
            f"{folder} holds the checkpoints of an earlier run; continue it with "
            f"resume={folder / 'checkpoints' / 'last.ckpt'}, or choose another output"
        )


def _write_record(config: DictConfig, folder: Path) -> None:
    """Keep what is needed to repeat the run beside its results."""
    commit = subprocess.run(
        ["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    facts = {"command": command_line(), "versions": versions(), "commit": commit or "unknown"}
    (folder / "run.json").write_text(json.dumps(facts, indent=2) + "\n")
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))


def _report(trainer: pl.Trainer) -> None:
    scores = ", ".join(
        f"{name} {float(value):.4f}"
        for name, value in sorted(trainer.callback_metrics.items())
        if name.startswith("val/")
    )
    print(f"last epoch: {scores}")
    checkpoint = trainer.checkpoint_callback
    if isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_path:
        print(f"best checkpoint: {checkpoint.best_model_path}")


main = train
