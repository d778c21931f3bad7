"""Files of an interrupted run that the callbacks of the resumed one take for their own.

A checkpoint tells the paths of the other checkpoints of its run, which Lightning replaces and
removes later. A file from elsewhere may tell any path, and a folder may have been moved. So only
the names count, in the folder where the callback writes now, and only of files that are checkpoints
of the same run.
"""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from mrirecon.training.checkpoint_files import AtomicCheckpoints, is_of_run


def take_over_files(trainer: pl.Trainer, checkpoint: dict[str, Any]) -> None:
    """Put the files that are there into the states of callbacks, instead of the paths in them.

    Args:
        trainer: Trainer of the resumed run, with all folders set.
        checkpoint: Content of Lightning's checkpoint; changed in place.
    """
    states = dict(checkpoint.get("callbacks") or {})
    for callback in trainer.checkpoint_callbacks:
        key = callback.state_key
        if isinstance(callback, ModelCheckpoint) and isinstance(states.get(key), dict):
            files = _Files(callback, checkpoint)
            states[key] = _state(callback, states[key], files)
            if isinstance(io := trainer.strategy.checkpoint_io, AtomicCheckpoints):
                io.adopt([Path(path) for path in files.found.values() if path])
    checkpoint["callbacks"] = states


class _Files:
    """The files of a run in the folder of a callback, by name.

    Attributes:
        found: The path of each name that was asked for; empty when there is no such file.
    """

    def __init__(self, callback: ModelCheckpoint, checkpoint: dict[str, Any]) -> None:
        self._folder = str(callback.dirpath or "")
        self._checkpoint = checkpoint
        self.found: dict[str, str] = {}

    def here(self, told: Any) -> str:
        """Return the path here of a file that a checkpoint tells, empty when there is none."""
        name = Path(told).name if isinstance(told, str) else ""
        if name not in self.found:
            self.found[name] = self._path(name)
        return self.found[name]

    def _path(self, name: str) -> str:
        if not name.endswith(ModelCheckpoint.FILE_EXTENSION) or "://" in self._folder:
            return ""
        path = Path(self._folder) / name
        return str(path) if is_of_run(path, self._checkpoint) else ""


def _state(callback: ModelCheckpoint, told: dict[str, Any], files: _Files) -> dict[str, Any]:
    """Return the state of a callback in which all paths are those of files of its run."""
    listed = told.get("best_k_models")
    scores = {
        path: score
        for one, score in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(score, Tensor) and score.numel() == 1 and (path := files.here(one))
    }
    best, worst = (min, max) if callback.mode == "min" else (max, min)
    state = {
        "monitor": callback.monitor,
        "dirpath": callback.dirpath,
        "current_score": told.get("current_score"),
        "best_model_score": None,
        "best_model_path": "" if callback.monitor else files.here(told.get("best_model_path")),
        "best_k_models": scores,
        "kth_best_model_path": "",
        "kth_value": callback.kth_value,
        "last_model_path": files.here(told.get("last_model_path")),
    }
    if scores:
        path, last = (one(scores, key=lambda name: float(scores[name])) for one in (best, worst))
        state |= {"best_model_path": path, "best_model_score": scores[path]}
        state |= {"kth_best_model_path": last, "kth_value": scores[last]}
    return state
