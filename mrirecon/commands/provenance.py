"""The record of how an output was made, with as much of its origin as the user wants to tell."""

import hashlib
import shlex
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from omegaconf import OmegaConf

from mrirecon.commands.base import command_words, versions
from mrirecon.privacy import Disclosure, disclosed, fingerprint, private_command, private_tree
from mrirecon.readers import FileScan
from mrirecon.reconstruction import Provenance
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample


def chosen_disclosure(name: str) -> Disclosure:
    """Return the choice of this name.

    Raises:
        ValueError: When there is none.
    """
    if name not in set(Disclosure):
        raise ValueError(f"provenance: expected one of {', '.join(Disclosure)}, got {name!r}")
    return Disclosure(name)


def recorded(
    scan: FileScan, raw: Sample, made: Provenance, disclosure: Disclosure
) -> tuple[ScanHeader, Provenance]:
    """Return header and provenance as outputs tell them.

    Args:
        scan: What was reconstructed.
        raw: Its first plane.
        made: How; source, command, versions and fingerprint are filled in here.
        disclosure: What may be told.
    """
    config = made.config
    if disclosure is Disclosure.PRIVATE and config:
        tree = OmegaConf.to_container(OmegaConf.create(config))
        config = OmegaConf.to_yaml(OmegaConf.create(private_tree(tree, scan.path.name)))
    weights = made.checkpoint
    if weights:
        weights = f"{weights} (SHA-256 {_file_digest(weights)[:16]})"
    full = replace(
        made,
        source=str(scan.path.resolve()),
        command=told_command(disclosure, scan.path.name),
        config=config,
        checkpoint=weights,
        versions=versions(),
        fingerprint=fingerprint(raw, scan.header),
    )
    return disclosed(scan.header, full, scan.path, disclosure)


def told_command(disclosure: Disclosure, file: str = "") -> str:
    """Return the command line as it was typed, or without folders.

    Args:
        disclosure: What may be told.
        file: Name of the raw file that stands for what ``input`` found.
    """
    words = command_words()
    return shlex.join(words if disclosure is Disclosure.FULL else private_command(words, file))


@lru_cache(maxsize=4)
def _file_digest(path: str) -> str:
    with Path(path).expanduser().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
