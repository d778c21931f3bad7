"""How checkpoints get to the disk."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from mrirecon.errors import OutputError
from mrirecon.files.partials import NEW, partial_folder


class AtomicCheckpoints(TorchCheckpointIO):
    """Replaces a checkpoint as a whole: a full disk, or a kill, leaves the one before.

    Lightning moves its file from the folder for temporary files, which copies it piece by piece
    when that is another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: When it cannot be written.
        """
        if "://" in str(path):  # remote storage
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()  # torch turns errors of a disk into others, which say little
        torch.save(checkpoint, content)
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial_folder(path.parent) as folder:
                part = folder / NEW / path.name
                part.write_bytes(content.getbuffer())
                part.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error}") from error
