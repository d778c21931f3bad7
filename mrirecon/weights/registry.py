"""The list of weights, one YAML file each in ``entries/``: data, so that a new one is no code."""

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path, PurePosixPath

import yaml

from mrirecon.errors import ConfigError
from mrirecon.plain_yaml import plain_yaml
from mrirecon.records import record

ENTRIES = Path(__file__).parent / "entries"
PACKAGED = Path(__file__).parent
"""Folder of the weights that come with the package."""
HUB, PAGE = "hub:", "page:"
COMMIT, DIGEST = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class Origin(StrEnum):
    """Where the files of an entry are: in the package, in a hub's repository, or below an URL.

    A page is one that only people can get them from.
    """

    PACKAGE = "package"
    HUB = "hub"
    URL = "url"
    PAGE = "page"


@dataclass(frozen=True)
class WeightsFile:
    """A file of an entry.

    Attributes:
        name: Path of the file below the origin.
        sha256: Checksum that it must have; None while nobody has pinned it.
    """

    name: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if path.is_absolute() or ".." in path.parts or not self.name.isprintable() or not path.name:
            raise ValueError(f"files: {self.name!r} is no path below a folder")
        if self.sha256 is not None and not DIGEST.fullmatch(self.sha256):
            raise ValueError(f"files: {self.name}: sha256 wants 64 hexadecimal digits")


@dataclass(frozen=True)
class Score:
    """What somebody measured: of what, how much, and who says so."""

    what: str
    value: str
    source: str


@dataclass(frozen=True)
class Entry:
    """Weights that are known by name.

    Attributes:
        name: Name in the list, which is that of the YAML file.
        about: One line about them.
        method: Choice of ``model=`` that they belong to.
        origin: ``package``, ``hub:OWNER/REPOSITORY``, an URL that ends with a slash, or ``page:``
            and the URL of a page with a link to the file.
        files: Files that are needed.
        checkpoint: File of these that ``checkpoint=`` takes.
        licence: Licence, and who states it.
        data: Data that they learned from.
        size: Number of weights and bytes, in words.
        revision: Commit of the repository that is pinned; None while none is.
        scores: Published scores, which were not measured again here.
        notes: Sentences about what to know before they are used.
        reference: Publication to cite.
        card: Model card, a Markdown file in the package; None for none.
    """

    name: str
    about: str
    method: str
    origin: str
    files: tuple[WeightsFile, ...]
    checkpoint: str
    licence: str
    data: str
    size: str
    revision: str | None = None
    scores: tuple[Score, ...] = ()
    notes: tuple[str, ...] = ()
    reference: str = ""
    card: str | None = None

    def __post_init__(self) -> None:
        if self.checkpoint not in [file.name for file in self.files]:
            raise ValueError(f"checkpoint: {self.checkpoint} is none of its files")
        if self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError("revision: expected a commit of 40 hexadecimal digits, or null")
        if self.kind is Origin.URL and not self.origin.endswith("/"):
            raise ValueError(f"origin: {self.origin} must end with a slash")

    @cached_property
    def kind(self) -> Origin:
        """Which of the origins it has."""
        if self.origin == Origin.PACKAGE:
            return Origin.PACKAGE
        if self.origin.startswith(PAGE):
            return Origin.PAGE
        return Origin.HUB if self.origin.startswith(HUB) else Origin.URL

    @property
    def repository(self) -> str:
        """Owner and name of the hub's repository."""
        return self.origin.removeprefix(HUB)

    @property
    def pinned(self) -> bool:
        """Whether a checksum of every file is known, and the commit where there are commits."""
        known = all(file.sha256 for file in self.files)
        return known and (self.kind is not Origin.HUB or self.revision is not None)

    @property
    def place(self) -> str:
        """Where the files are, for people."""
        if self.kind is Origin.PACKAGE:
            return "in the package"
        if self.kind is Origin.HUB:
            return f"Hugging Face {self.repository}"
        return self.origin.removeprefix(PAGE)


def entries(folder: Path | None = None) -> dict[str, Entry]:
    """Return all entries by name.

    Args:
        folder: Folder of the YAML files; None takes the package's.

    Raises:
        ConfigError: When a file is no entry.
    """
    files = sorted((folder or ENTRIES).glob("*.yaml"))
    return {file.stem: _read(file) for file in files}


def entry_named(name: str, folder: Path | None = None) -> Entry:
    """Return one entry.

    Raises:
        ConfigError: When there is none of this name, with those that are close.
    """
    known = entries(folder)
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ConfigError(
        f"no weights are called {name!r}; {hint}`mrirecon models` lists the {len(known)} there are"
    )


def _read(file: Path) -> Entry:
    try:
        content = plain_yaml(file.read_text(encoding="utf-8"))
        return record(Entry, {"name": file.stem, **content})
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"{file} is no entry of weights: {error}") from error
