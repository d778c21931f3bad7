"""The record of where outputs come from, without telling whose data they are.

Patients' names are found in the names of folders, in command lines and in headers. By default an
output names the raw file itself, without folders, and identifies it by a fingerprint; the patient
gets a pseudonym that is made of the fingerprint.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
import yaml

from mrirecon.plain_yaml import plain_yaml
from mrirecon.pseudonyms import pseudonym
from mrirecon.reconstruction import Provenance
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample
from mrirecon.versions import versions

FOLDER = "FOLDER"
"""Stands for the name of a folder."""
SHORTEST = 3
"""Characters from which on a subject's name is looked for in other texts."""
_FOLDERS = ("output", "folder", "data", "--config-dir", "-cd", "--config-path", "-cp")
_PLACES = (
    *_FOLDERS, "input", "reference", "reconstruction", "resume", "checkpoint", "noise", "path",
    "dicom_template", "calibration", "regions",
)  # fmt: skip
_SEPARATORS = re.compile(r"[/\\]")
_EACH = re.compile(r"(?<= \(SHA-256 [0-9a-f]{16}\))\n")
"""Between several files of weights, whose names may hold anything."""


class Disclosure(StrEnum):
    """What outputs tell about their origin: ``private``, or ``full`` with folders and patient."""

    PRIVATE = "private"
    FULL = "full"


def recorded(
    header: ScanHeader, raw: Sample, made: Provenance, file: Path, disclosure: Disclosure
) -> tuple[ScanHeader, Provenance]:
    """Return header and provenance as outputs tell them.

    Args:
        header: Header of the scan.
        raw: One plane of the scan, with signal if there is one.
        made: How; its command tells no more than it may. Source, versions and fingerprint are
            filled in here.
        file: Path of the raw file that was reconstructed.
        disclosure: Choice of what may be told.
    """
    config = made.config
    if disclosure is Disclosure.PRIVATE and config:
        tree = private_tree(plain_yaml(config), file.name)
        config = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    full = replace(
        made,
        source=str(file.resolve()),
        config=config,
        versions=versions(),
        fingerprint=fingerprint(raw, header),
    )
    return disclosed(header, full, file, disclosure)


def disclosed(
    header: ScanHeader, provenance: Provenance, file: Path, disclosure: Disclosure
) -> tuple[ScanHeader, Provenance]:
    """Return what outputs may tell, in text that every format can hold.

    Args:
        header: Header of the scan.
        provenance: Full provenance, except for its command and configuration (see
            :func:`private_command`, :func:`private_tree`).
        file: The raw file.
        disclosure: Choice of what may be told.
    """
    if disclosure is Disclosure.FULL:
        return _cleaned(header, {}), _cleaned(provenance, {})
    folders = {str(path.parent) for path in (file, file.absolute(), file.resolve())}
    secrets = {f"{folder}/": "" for folder in sorted(folders - {"."}, key=len, reverse=True)}
    *below, name = header.name.split("/")
    if below:
        secrets["/".join([*below, ""])] = ""
    own = pseudonym(provenance.fingerprint)
    provenance = replace(
        _cleaned(provenance, secrets),
        source=clean(file.name),
        checkpoint="\n".join(
            clean(_SEPARATORS.split(one)[-1]) for one in _EACH.split(provenance.checkpoint)
        ),
    )
    if header.subject and len(header.subject) >= SHORTEST:
        secrets[header.subject] = own
    header = _cleaned(header, secrets)
    return replace(header, name=clean(name), subject=own), provenance


def fingerprint(raw: Sample, header: ScanHeader) -> str:
    """Identify a scan by a plane with signal, whose noise no other scan shares, and its header."""
    digest = hashlib.sha256(torch.view_as_real(raw.kspace.contiguous()).cpu().numpy().tobytes())
    digest.update(repr(header).encode(errors="surrogateescape"))
    return digest.hexdigest()


def private_command(words: Sequence[str], file: str = "") -> list[str]:
    """Return a command line without the names of folders.

    Args:
        words: Words of the command line as they were typed.
        file: Name of the raw file that stands for what ``input`` found.
    """
    result: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        key, equals, value = word.partition("=")
        if equals:
            result.append(f"{key}={private_value(key, value, file)}")
        else:
            result.append(private_value(before if before.startswith("-") else "", word, file))
    return result


def private_tree(tree: Any, file: str = "", key: str = "") -> Any:
    """Return a configuration, as plain containers, without the names of folders."""
    if isinstance(tree, dict):
        return {name: private_tree(child, file, str(name)) for name, child in tree.items()}
    if isinstance(tree, list):
        return [private_tree(child, file, key) for child in tree]
    return private_value(key, tree, file) if isinstance(tree, str) else tree


def private_value(key: str, value: str, file: str = "") -> str:
    """Return the value of a setting; of a path only the file's name, nothing of a folder's."""
    last = key.rpartition(".")[2]
    if last == "input" and file:
        return file
    place = last in _PLACES
    if not place and not _SEPARATORS.search(value) and not value.startswith("~"):
        return value
    if value in ("", "-", "null", "None", "auto"):
        return value
    if last in _FOLDERS:
        return FOLDER
    if value[0] in "[{":
        return f"[{FOLDER}]"
    name = _SEPARATORS.split(value.strip("'\""))[-1]
    return name if Path(name).suffix else FOLDER


def identified(weights: str | Path) -> str:
    """Return the path of a file of weights with its checksum, for the record of what they make.

    To be called when they are loaded: later there may be other weights, or none, of that name.
    """
    with Path(weights).expanduser().open("rb") as file:
        return f"{weights} (SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()[:16]})"


def clean(text: str) -> str:
    """Return text without control characters, and without what is no text in UTF-8 or XML."""
    kept = (
        " " if character in "\t\r\0" or (_control(character) and character != "\n") else character
        for character in text
    )
    return "".join(kept)


def _control(character: str) -> bool:
    # Cc control characters; Cs halves of pairs, from file names that are not UTF-8; noncharacters
    return unicodedata.category(character) in ("Cc", "Cs") or ord(character) & 0xFFFE == 0xFFFE


def _cleaned(record: Any, secrets: dict[str, str]) -> Any:
    """Clean every text of a dataclass and put the replacements in the place of secrets."""

    def told(value: Any) -> Any:
        if isinstance(value, str):
            for secret, replacement in secrets.items():
                value = value.replace(secret, replacement)
            return clean(value)
        if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
            return tuple(told(item) for item in value)
        return value

    return replace(record, **{f.name: told(getattr(record, f.name)) for f in fields(record)})
