"""The outcome of a training run, for the terminal and for a sweeper."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from mrirecon.files import from_here
from mrirecon.training.callbacks.last_checkpoint import LastCheckpoint
from mrirecon.training.module import LOSS

FALLBACK = ("val/ssim", LOSS)


def report(trainer: pl.Trainer) -> None:
    """Print the scores of the last validation, and where the checkpoints lie."""
    scores = ", ".join(
        f"{name} {float(value):.4f}"
        for name, value in sorted(trainer.callback_metrics.items())
        if name.startswith("val/")
    )
    print(f"last epoch: {scores}" if scores else "this run has validated nothing")
    paths = [getattr(one, "best_model_path", "") for one in trainer.checkpoint_callbacks]
    for path in filter(None, paths):
        print(f"checkpoint: {from_here(path)}")
    if not any(paths):
        dry = trainer.fast_dev_run  # type: ignore[attr-defined]
        reason = "fast_dev_run" if dry else "enable_checkpointing=false"
        print(f"no checkpoint was kept (trainer.{reason})")


def best_score(trainer: pl.Trainer) -> float | None:
    """Return the best value of what the first checkpoint callback monitors.

    Whether more of it is better is what that callback says: ``mode: max`` for ``val/ssim``, ``min``
    for ``val/loss``. Without such a callback it is the last ``val/ssim``, or else ``val/loss``;
    None when nothing has been validated.
    """
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and not isinstance(callback, LastCheckpoint):
            score = callback.best_model_score
            if score is None and Path(callback.best_model_path).is_file():
                score = _stored_score(callback)  # other processes than this one have trained
            if score is not None:
                return float(score)
    found = (trainer.callback_metrics.get(name) for name in FALLBACK)
    return next((float(value) for value in found if value is not None), None)


def _stored_score(callback: ModelCheckpoint) -> torch.Tensor | None:
    state = torch.load(callback.best_model_path, map_location="cpu", weights_only=True)
    stored = state.get("callbacks", {}).get(callback.state_key, {}).get("best_model_score")
    return stored if isinstance(stored, torch.Tensor) else None
