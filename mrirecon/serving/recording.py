"""Incoming messages, kept in files for whoever wants to reconstruct them once more."""

import logging
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from mrirecon.serving.wire import Incoming

LOG = logging.getLogger(__name__)
UNFINISHED = ".part"


class Recording:
    """Saves what one session sends, as a stream that ``mrirecon reconstruct`` reads.

    The server makes the name; nothing that a client sends has a part in it. A file that could not
    be completed keeps the suffix ``.part``. Trouble with it is logged and never ends a session.

    Args:
        folder: Folder that it is saved in, which exists.
        session: Number of the session.
    """

    def __init__(self, folder: Path, session: int) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        self._path = folder / f"{stamp}-session-{session}.mrd"
        self._file: BinaryIO | None = None
        self._failed = False

    def add(self, message: Incoming) -> None:
        """Save a message."""
        if self._failed:
            return
        try:
            if self._file is None:  # a probe leaves no file
                self._file = self._unfinished.open("xb")
            self._file.write(struct.pack("<H", message.id))
            self._file.write(message.body.data)
        except OSError as error:
            self._failed = True
            LOG.error("nothing more of %s is saved: %s", self._path, error)

    def close(self) -> None:
        """Give the file its name."""
        if self._file is None:
            return
        try:
            self._file.close()
            if not self._failed and not self._path.exists():
                self._unfinished.rename(self._path)
        except OSError as error:
            LOG.error("%s is not complete: %s", self._path, error)

    @property
    def _unfinished(self) -> Path:
        return self._path.with_name(self._path.name + UNFINISHED)
