"""Checkpoints on the disk: written as a whole, and read."""

import os
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO

from mrirecon.errors import ConfigError, OutputError
from mrirecon.files.partials import NEW, partial_folder
from mrirecon.training.checkpoint import read_state
from mrirecon.training.storable import storable, written


class AtomicCheckpoints(TorchCheckpointIO):
    """Replaces a checkpoint as a whole: a full disk, or a kill, leaves the one before.

    Lightning moves its file from the folder for temporary files, which copies it piece by piece
    when that is another disk. Only checkpoints of the same run are ever replaced, and only those
    that this object has written or replaced are removed. Reading executes nothing.
    """

    def __init__(self) -> None:
        self._own: set[Path] = set()
        self._checked: tuple[Path, dict[str, Any]] | None = None

    def hand_over(self, path: str | Path, state: dict[str, Any]) -> None:
        """Take the content of a checkpoint that has been checked: it is not read a second time."""
        self._checked = (_absolute(path), state)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: When it cannot be written, or when there is something else in its place.
            ConfigError: When it could not be read without running code.
        """
        checkpoint = storable(without_folders(checkpoint))
        if "://" in str(path):  # remote storage
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = _absolute(path)
        if path not in self._own:
            refuse_replacing(path, checkpoint)
        content = written(checkpoint)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial_folder(path.parent) as folder:
                part = folder / NEW / path.name
                part.write_bytes(content.getbuffer())
                part.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error}") from error
        self._own.add(path)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # noqa: ARG002 - always to the memory of the CPU
        weights_only: bool | None = None,  # noqa: ARG002 - always
    ) -> dict[str, Any]:
        """Return the content of a checkpoint, on the CPU.

        Raises:
            ConfigError: When it is no checkpoint, or would execute something.
        """
        checked, self._checked = self._checked, None
        if checked is not None and checked[0] == _absolute(path):
            return checked[1]
        return read_state(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint of this run; whatever else has this name stays."""
        path = _absolute(path)
        if path in self._own and path.is_file() and not path.is_symlink():
            path.unlink()
            self._own.discard(path)

    def adopt(self, paths: list[Path]) -> None:
        """Take files for checkpoints of this run that an earlier part of it has written."""
        self._own.update(map(_absolute, paths))


def without_folders(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint in which callbacks that write files tell their names only.

    It may be given away, and folders are often named after people; resuming needs only the names.
    """
    states = checkpoint.get("callbacks")
    if not isinstance(states, dict):
        return checkpoint
    told = {
        key: _names(state) if isinstance(state, dict) and "dirpath" in state else state
        for key, state in states.items()
    }
    return {**checkpoint, "callbacks": told}


def _names(value: Any) -> Any:
    if isinstance(value, dict):
        return {_names(key): _names(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_names(child) for child in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def refuse_replacing(path: Path, checkpoint: dict[str, Any]) -> None:
    """Refuse to write a checkpoint where something else lies.

    Args:
        path: Path where the checkpoint is to be written.
        checkpoint: Content of the checkpoint, or of another one of the same run.

    Raises:
        OutputError: When there is anything but a checkpoint of the same run.
    """
    if not os.path.lexists(path) or is_of_run(path, checkpoint):
        return
    raise OutputError(
        f"{path} is not replaced: it is no checkpoint of this run; choose another output, or move "
        "it away yourself"
    )


def is_of_run(path: Path, checkpoint: dict[str, Any]) -> bool:
    """Tell whether a regular file is a checkpoint of the run that another one is of."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        found = read_state(path)
    except ConfigError:
        return False
    there, here = found.get("run"), checkpoint.get("run")
    if isinstance(there, dict) and isinstance(here, dict):
        # a resumed run may be given another seed, which has no effect
        return all(there.get(one) == here.get(one) for one in ("settings", "scans"))
    recipe = found.get("recipe")  # of an earlier version, which tells no more
    return there is None and recipe is not None and bool(recipe == checkpoint.get("recipe"))


def _absolute(path: str | Path) -> Path:
    return Path(path).absolute()  # a link stays one
