"""Running a training to its end, or to an end that loses nothing."""

import re
import shlex
import signal
import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from mrirecon import interruption
from mrirecon.data.datamodule import DataModule
from mrirecon.errors import ConfigError, MriReconError, OutputError
from mrirecon.interruption import Interrupted
from mrirecon.training.callbacks.non_finite import RefuseNonFinite
from mrirecon.training.module import ReconstructionModule

DAMAGED = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
"""What Lightning and torch raise when a checkpoint holds something else than they expect."""
SAY = "saving after this step; once more stops at once"


def last_checkpoint(folder: Path) -> Path:
    """Return the checkpoint that an interrupted run leaves in its folder."""
    return folder / "checkpoints" / "last.ckpt"


def fit(
    trainer: pl.Trainer,
    module: ReconstructionModule,
    data: DataModule,
    folder: Path,
    resume: str | None,
) -> None:
    """Train.

    Raises:
        Interrupted: When a signal stopped it; with the line that goes on.
        ConfigError: When Lightning refuses the configuration.
        OutputError: When something cannot be written without which the training is lost.
    """
    last = last_checkpoint(folder)
    before = _written(last)
    try:
        with interruption.deferred(lambda number: _tell_processes(trainer, number), SAY):
            _fit(trainer, module, data, resume)
    except (Interrupted, SIGTERMException, ProcessExitedException) as stop:
        number = _number(stop)
        if number is None:
            raise
        raise Interrupted(number, _how_to_go_on(folder, _written(last) != before)) from stop
    except OutputError as error:
        number = interruption.requested()
        if number is None:
            raise
        note = f"nothing could be saved: {error}"
        raise Interrupted(number, f"{note}; {_how_to_go_on(folder, False)}") from error
    if (number := interruption.requested()) is not None:  # in the very end
        raise Interrupted(number, _how_to_go_on(folder, False))


def _fit(
    trainer: pl.Trainer, module: ReconstructionModule, data: DataModule, resume: str | None
) -> None:
    try:
        trainer.fit(module, data, ckpt_path=resume)
    except MriReconError:
        raise
    except MisconfigurationException as error:
        raise ConfigError(f"trainer: {error}") from error
    except ProcessRaisedException as error:
        known = re.search(r"^mrirecon\.errors\.\w+: (.*)", str(error), re.DOTALL | re.MULTILINE)
        if known is None:
            raise
        raise MriReconError(known[1].strip()) from error
    except DAMAGED as error:
        if isinstance(error, torch.linalg.LinAlgError):
            raise MriReconError(
                f"training stopped: {error}. Do the values of k-space include NaN or infinity? "
                f"The batch was {_batch(trainer)}; checkpoints written before are kept"
            ) from error
        if resume is None or module.begun:
            raise
        raise not_resumable(resume, error) from error
    except OSError as error:
        raise OutputError(
            f"training stopped, {error}; checkpoints written before are kept"
        ) from error


def not_resumable(path: str, error: Exception) -> ConfigError:
    """Return the error for a checkpoint whose content is not that of a run."""
    reason = (str(error).splitlines() or [""])[0][:300]
    return ConfigError(
        f"resume: {path} is damaged, or was not written by mrirecon train: it cannot be restored "
        f"({type(error).__name__}: {reason}); resume another checkpoint of that run"
    )


def _batch(trainer: pl.Trainer) -> str:
    """Return the latest batch of the training."""
    watching = (c for c in trainer.callbacks if isinstance(c, RefuseNonFinite))  # type: ignore[attr-defined]
    return ", ".join(str(one.step) for one in watching)


def _tell_processes(trainer: pl.Trainer, number: int) -> None:
    """Hand a signal on to the processes that this one has started to train."""
    launcher = trainer.strategy.launcher
    if launcher is not None:
        launcher.kill(number)


def _number(stop: BaseException) -> int | None:
    """Return the signal that ended a training, None when it was none."""
    if isinstance(stop, Interrupted):
        return stop.number
    if isinstance(stop, SIGTERMException):
        return signal.SIGTERM
    return interruption.requested()


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _how_to_go_on(folder: Path, saved: bool) -> str:
    last = last_checkpoint(folder)
    if not last.exists():
        return "nothing was saved yet"
    begin = "saved" if saved else "the latest checkpoint is"
    return f"{begin} {last}; go on with\n  {resuming_command(folder, last)}"


def resuming_command(folder: Path, checkpoint: Path) -> str:
    """Return the command that goes on with this run, as a shell takes it."""
    job = HydraConfig.get()
    if job.mode is RunMode.MULTIRUN:
        typed = [one.lstrip("+") for one in job.overrides.task]
        typed = [one for one in typed if not one.startswith("output=")]
    else:
        typed = sys.orig_argv[-len(sys.argv) + 1 :] if len(sys.argv) > 2 else []
    kept = [one for one in typed if not one.startswith("resume=")]
    if not any(one.startswith("output=") for one in kept):
        kept.append(f"output={folder}")
    return shlex.join(["mrirecon", "train", *kept, f"resume={checkpoint}"])
