"""Places of weights: those in the package, and those that were fetched."""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from mrirecon.errors import ConfigError
from mrirecon.weights import registry
from mrirecon.weights.registry import Entry, Origin, entries, entry_named

PREFIX = "zoo:"
"""What ``checkpoint=`` begins with when it names weights instead of a file."""
RECEIPT = "weights.json"
FOLDER = "MRIRECON_WEIGHTS"
"""Variable of the environment that names another folder for fetched weights."""


@dataclass(frozen=True)
class Receipt:
    """What was fetched, written beside it.

    Attributes:
        name: Name of the entry.
        origin: Origin of the files.
        revision: Commit of the repository; empty where there are none.
        sha256: Name and checksum of every file, as it was found.
        checked: Whether these are the checksums that are pinned in the package.
    """

    name: str
    origin: str
    revision: str
    sha256: dict[str, str]
    checked: bool

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        (folder / RECEIPT).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Receipt | None":
        """Read that of a folder; None where there is none of ours."""
        try:
            found = cls(**json.loads((folder / RECEIPT).read_text(encoding="utf-8")))
            return found if isinstance(found.sha256, dict) else None
        except (OSError, ValueError, TypeError, RecursionError):
            return None


def weights_folder() -> Path:
    """Return the folder in which fetched weights lie, a folder by name each.

    It is ``$MRIRECON_WEIGHTS``, else ``mrirecon/weights`` in the user's folder of caches.
    """
    if chosen := os.environ.get(FOLDER):
        return Path(chosen).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "mrirecon" / "weights"


def weights_file(checkpoint: str | Path) -> str | Path:
    """Return the path of a checkpoint, which ``zoo:NAME`` names, too.

    Nothing is fetched here: a reconstruction uses no network.

    Args:
        checkpoint: Path of a file, which is returned as it is, or ``zoo:`` and a name that
            ``mrirecon models`` lists.

    Raises:
        ConfigError: When no weights have this name, they were not fetched, or a file is not what
            was fetched.
    """
    if not str(checkpoint).startswith(PREFIX):
        _refuse_bare(str(checkpoint))
        return checkpoint
    try:
        entry = entry_named(str(checkpoint).removeprefix(PREFIX))
    except ConfigError as error:
        raise ConfigError(f"checkpoint: {error}") from error
    if entry.kind is Origin.PACKAGE:
        return packaged(entry)
    if entry.kind is Origin.PAGE:
        raise ConfigError(f"checkpoint: {checkpoint}: {fetching(entry)}")
    folder = weights_folder() / entry.name
    receipt = Receipt.read(folder)
    if receipt is None or receipt.name != entry.name:
        found = f"nothing that was fetched is in {folder}"
        raise ConfigError(
            f"checkpoint: {checkpoint}: {found}; fetch it once, with a network: {fetching(entry)}"
        )
    if wrong := changed(folder, receipt):
        raise ConfigError(
            f"checkpoint: {checkpoint}: {folder / wrong[0]} is not the file that was fetched; move "
            f"{folder} away and fetch it again: {fetching(entry)}"
        )
    return folder / entry.checkpoint


def _refuse_bare(checkpoint: str) -> None:
    """Tell how weights are named to those who left out ``zoo:``."""
    if (
        re.fullmatch(r"\w+", checkpoint)
        and checkpoint in entries()
        and not Path(checkpoint).exists()
    ):
        raise ConfigError(
            f"checkpoint: there is no file {checkpoint}; weights that `mrirecon models` lists are "
            f"named {PREFIX}{checkpoint}"
        )


def packaged(entry: Entry) -> Path:
    """Return the file of weights that come with the package.

    Raises:
        ConfigError: When it is not there, or not the file that is pinned.
    """
    path = registry.PACKAGED / entry.checkpoint
    if not path.is_file():
        raise ConfigError(f"{entry.name}: {path} is missing; install mrirecon again")
    pinned = {file.name: file.sha256 for file in entry.files}[entry.checkpoint]
    if pinned and digest(path) != pinned:
        raise ConfigError(f"{entry.name}: {path} was changed; install mrirecon again")
    return path


def fetching(entry: Entry) -> str:
    """Return the command, or the words, for how to get an entry; decisions are in capitals."""
    if entry.kind is Origin.PAGE:
        return f"by hand from {entry.place}, then checkpoint={entry.checkpoint}"
    pin = {Origin.HUB: " --revision COMMIT", Origin.URL: " --sha256 CHECKSUM"}
    return f"mrirecon models fetch {entry.name}" + ("" if entry.pinned else pin[entry.kind])


def changed(folder: Path, receipt: Receipt) -> list[str]:
    """Return the names of files that are missing or differ from what was fetched."""
    return [
        name
        for name, sha256 in receipt.sha256.items()
        if not (folder / name).is_file() or digest(folder / name) != sha256
    ]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
