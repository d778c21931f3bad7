"""The checkpoint that a training goes on from, told or found in the folder of the run."""

import os
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from mrirecon.commands.fitting import last_checkpoint
from mrirecon.errors import ConfigError, OutputError

AUTO = "auto"
"""Value of ``resume`` that takes the last checkpoint of the folder, if there is one."""


def checkpoint_to_resume(config: DictConfig, resume: str | None, folder: Path) -> str | None:
    """Return the checkpoint to go on from; None for a new run.

    A job that is stopped and started again by its queue (Slurm: ``--requeue``) repeats its command;
    with ``resume=auto`` this begins the run or goes on with it.

    Args:
        config: Configuration of the command, with its interpolations.
        resume: Choice of the user: a file, ``auto``, or None.
        folder: Folder of the run.

    Raises:
        ConfigError: When ``auto`` would look into another folder each time.
        OutputError: When there are checkpoints, and it is not told which one counts.
    """
    if resume not in (None, AUTO):
        return resume
    last = last_checkpoint(folder)
    if resume == AUTO:
        told = OmegaConf.to_container(config, resolve=False)
        if isinstance(told, dict) and "${now:" in str(told.get("output")):
            raise ConfigError(
                "resume=auto goes on in the folder of the run, but output names another folder "
                "each time (by the date); give one, such as output=outputs/train/mine"
            )
        if os.path.lexists(last):
            return str(last)
    found = sorted(folder.glob("checkpoints/*.ckpt"))
    if not found:
        return None
    if os.path.lexists(last):
        advice = f"resume={AUTO} (its last one, {last})"
    else:
        advice = f"resume={found[-1]}"
    raise OutputError(
        f"{folder} holds the checkpoints of an earlier run; continue it with {advice}, "
        "or choose another output"
    )


def refuse_unchecked(trainer: pl.Trainer, resume: str | None) -> None:
    """Refuse a new run in a folder with a file that Lightning under Slurm restores unasked.

    Raises:
        OutputError: Naming the file.
    """
    found = sorted(Path(trainer.default_root_dir).glob("hpc_ckpt_*"))
    if found and resume is None:
        raise OutputError(
            f"{found[-1]} would be taken for a checkpoint of this run by Slurm's requeue; go on "
            f"with it by resume={found[-1]}, or choose another output"
        )
