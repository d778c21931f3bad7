"""Facts that a run and the one that resumes it must share to equal one uninterrupted run."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrirecon.data.dataset import SliceDataset
from mrirecon.data.index import IndexedScan
from mrirecon.defaults import default_of
from mrirecon.names import public_name
from mrirecon.scan import Scan
from mrirecon.simulation.random_scan import RandomScan

SAMPLED = 64
"""Files of a data set whose content is looked at, spread over it; of all others, the sizes."""
BLOCK = 4096
UNKNOWN = "(nothing)"
ELSEWHERE = ("path", "folder", "workers", "cache", "skip_unreadable", "pattern")
"""Settings of data that change neither the scans nor the order in which they come."""
LISTED = 5


@dataclass(frozen=True)
class RunFacts:
    """The settings and the scans of a run.

    Attributes:
        settings: Value of every setting by its full key, ``data.batch_size``.
        scans: Fingerprint of every scan of each data set by a hash of the scan's name: a checkpoint
            may be given away, and names of files are often those of patients.
        seed: Seed of the run; one that is resumed keeps that which it began with.
    """

    settings: dict[str, Any]
    scans: dict[str, dict[str, str]]
    seed: int


def settings_of(key: str, node: Any) -> dict[str, Any]:
    """Return the values of a configuration by their full keys."""
    return dict(_flat(key, node))


def data_settings(node: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a data module that the course of a run depends on."""
    found = settings_of("data", node)
    return {
        key: value
        for key, value in found.items()
        if key.rpartition(".")[2] not in ELSEWHERE
        and not key.startswith(("data.test.", "data.seed"))
    }


def fingerprints(sets: dict[str, SliceDataset]) -> dict[str, dict[str, str]]:
    """Return the fingerprints of all scans that a run learns from and is judged by."""
    return {name: _fingerprints(sets[name].scans) for name in ("train", "val")}


def banks(sets: dict[str, SliceDataset]) -> dict[str, str]:
    """Return fingerprints of the files of anatomy that random scans are drawn from, as settings."""
    found = {}
    for name in ("train", "val"):
        scans = (scan for scan in sets[name].scans if isinstance(scan, RandomScan))
        if files := sorted({scan.ranges.bank for scan in scans if scan.ranges.bank is not None}):
            found[f"bank.{name}"] = _hash(repr([_blocks(Path(file)) for file in files]))
    return found


def names_of(sets: dict[str, SliceDataset]) -> dict[str, str]:
    """Return the names of the scans by what stands for them in a fingerprint."""
    names = [scan.header.name for name in ("train", "val") for scan in sets[name].scans]
    return {_hash(name): name for name in names}


def differences(there: RunFacts, here: RunFacts, names: dict[str, str]) -> list[str]:
    """Say how an interrupted run differs from one that would resume it, a line for each fact.

    Groups of settings of which ``there`` tells nothing are left out: older checkpoints tell fewer.

    Args:
        there: Settings and scans of the interrupted run.
        here: Settings and scans of this run.
        names: Names of the scans of this run by their hashes.
    """
    told = {key.partition(".")[0] for key in there.settings}
    keys = [k for k in (*there.settings, *here.settings) if k.partition(".")[0] in told]
    found = []
    for key in dict.fromkeys(keys):
        old, new = _setting(there, here, key), here.settings.get(key, UNKNOWN)
        if old != new:
            found.append(f"{key}: {old} in that run, {new} in this one")
    for name, scans in there.scans.items():
        found += _other_scans(f"data.{name}", scans, here.scans.get(name, {}), names)
    return found


def _setting(there: RunFacts, here: RunFacts, key: str) -> Any:
    """Return a setting of an interrupted run by its public name; older runs leave defaults out.

    Defaults are those of the part that *this* run names: what a file names is never imported.
    """
    node, _, name = key.rpartition(".")
    if key in there.settings:
        value = there.settings[key]
        return public_name(value) if name == "_target_" and isinstance(value, str) else value
    try:
        return default_of(str(here.settings.get(f"{node}._target_")), name)
    except KeyError:
        return UNKNOWN


def _other_scans(
    key: str, there: dict[str, str], here: dict[str, str], names: dict[str, str]
) -> list[str]:
    both = there.keys() & here.keys()
    changed = sorted(names[one] for one in both if there[one] != here[one])
    new = sorted(names[one] for one in here.keys() - both)
    parts = [f"{len(there) - len(both)} are missing"] if len(there) > len(both) else []
    parts += [f"{_listed(new)} not in that run"] if new else []
    parts += [f"{_listed(changed)} with another content"] if changed else []
    if not parts:
        return []
    return [f"{key}: {len(there)} scans in that run, {len(here)} in this one: {'; '.join(parts)}"]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _flat(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for name, child in node.items():
            yield from _flat(f"{key}.{name}", child)
    elif isinstance(node, list) and any(isinstance(child, dict | list) for child in node):
        for number, child in enumerate(node):
            yield from _flat(f"{key}[{number}]", child)
    elif isinstance(node, str) and re.search(r"[/\\]", node):
        yield key, re.split(r"[/\\]", node)[-1]  # of a path only the name: folders may be moved
    else:
        yield key, node


def _fingerprints(scans: Sequence[Scan]) -> dict[str, str]:
    every = max(1, -(-len(scans) // SAMPLED))
    found = {}
    for number, scan in enumerate(scans):
        header = asdict(scan.header)
        facts = [header[name] for name in ("slices", "coils", "grid", "matrix", "subject")]
        if isinstance(scan, IndexedScan):
            facts.append(scan.path.stat().st_size)
            facts += _blocks(scan.path) if number % every == 0 else []
        found[_hash(scan.header.name)] = _hash(repr(facts))
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _blocks(path: Path) -> list[bytes]:
    """Return three blocks of a file: a change of its k-space shows in at least one, most likely."""
    size = path.stat().st_size
    with path.open("rb") as file:
        found = []
        for place in (0, size // 2, max(0, size - BLOCK)):
            file.seek(place)
            found.append(file.read(BLOCK))
    return found
