"""Files about sessions: what clients sent, for whoever wants to reconstruct it once more."""

import logging
import struct
from dataclasses import dataclass
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
        path: Path of the file, in a folder that exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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


@dataclass(frozen=True)
class Folders:
    """Where files about sessions go; their names tell time and number of the session, no more.

    Attributes:
        messages: Folder of what clients send; None keeps nothing.
        pages: Folder of quality pages; None makes none.
    """

    messages: Path | None = None
    pages: Path | None = None

    def recording(self, session: int) -> Recording | None:
        """Return what saves the messages of a session."""
        return Recording(_named(self.messages, session, ".mrd")) if self.messages else None

    def page(self, session: int) -> Path | None:
        """Return the path of a session's quality page."""
        return _named(self.pages, session, "_qc.html") if self.pages else None


def _named(folder: Path, session: int, ending: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return folder / f"{stamp}-session-{session}{ending}"
