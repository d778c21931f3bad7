"""Whether a volume that is there is what this run would make."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import yaml

from mrirecon.errors import OutputError
from mrirecon.files import Kind, found_kind
from mrirecon.pipeline import Method
from mrirecon.plain_yaml import plain_yaml
from mrirecon.privacy import Disclosure, recorded
from mrirecon.readers.base import blaming
from mrirecon.readers.hdf5.opening import open_hdf5
from mrirecon.reconstruction import Provenance
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample

PACKAGE = "mrirecon "


@dataclass(frozen=True)
class Stored:
    """What a volume tells of how it was made, as far as it decides about the image.

    Attributes:
        config: Configuration of the method, the kit among it.
        checkpoint: Weights with their checksum.
        fingerprint: Fingerprint of the raw data.
        version: Version of this package.
    """

    config: str
    checkpoint: str
    fingerprint: str
    version: str

    @classmethod
    def of(cls, provenance: Provenance) -> "Stored":
        """Take it out of a provenance."""
        return cls(
            provenance.config, provenance.checkpoint, provenance.fingerprint,
            _version(provenance.versions),
        )  # fmt: skip


def expected(method: Method, header: ScanHeader, raw: Sample, file: Path) -> list[Stored]:
    """Return what a volume of a method tells, whatever it was allowed to tell.

    Args:
        method: Method that makes it.
        header: Header of the scan.
        raw: First plane of the scan with signal.
        file: Path of the raw file.
    """
    made = Provenance("", config=method.config, checkpoint=method.checkpoint)
    told = (recorded(header, raw, made, file, disclosure)[1] for disclosure in Disclosure)
    return [Stored.of(one) for one in told]


def read_stored(path: Path) -> Stored:
    """Read what a volume tells.

    Raises:
        OutputError: When the file is no volume of this package.
        RawDataError: When it cannot be read.
    """
    try:
        kind = found_kind(path)
    except (OSError, EOFError, ValueError, KeyError):
        kind = None
    if kind is not Kind.VOLUME:
        raise OutputError(
            f"{path} is no volume of mrirecon, or was changed since; move it away, or choose "
            "another output"
        )
    with blaming(path), open_hdf5(path) as file:
        group = file["provenance"]
        assert isinstance(group, h5py.Group)
        told = {name: str(value) for name, value in group.attrs.items()}
    return Stored(
        told.get("config", ""), told.get("checkpoint", ""), told.get("fingerprint", ""),
        _version(told.get("versions", "").split("\n")),
    )  # fmt: skip


def difference(found: Stored, wanted: list[Stored]) -> str:
    """Tell in what a volume differs from what is wanted; empty when it is that."""
    if found in wanted:
        return ""
    one = wanted[0]
    if found.fingerprint != one.fingerprint:
        return "it was made of other raw data"
    if found.checkpoint not in [w.checkpoint for w in wanted]:
        return f"it was made with the weights {found.checkpoint or 'none'}, not {one.checkpoint}"
    if found.version != one.version:
        return f"it was made by {found.version}, this is {one.version}"
    theirs, ours = _tree(found.config), _tree(one.config)
    keys = [k for k in dict.fromkeys([*ours, *theirs]) if theirs.get(k) != ours.get(k)]
    return f"it was made with another {', '.join(keys) or 'configuration'}"


def _tree(config: str) -> dict[str, Any]:
    """Return a configuration; nothing of one that cannot be read."""
    try:
        tree = plain_yaml(config)
    except yaml.YAMLError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _version(versions: object) -> str:
    told = versions if isinstance(versions, tuple | list) else ()
    return next((str(one) for one in told if str(one).startswith(PACKAGE)), "")
