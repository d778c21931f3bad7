"""Simulated scans that are computed once: for all trainings, and for all methods to test."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mrirecon import __version__
from mrirecon.files import atomic
from mrirecon.header_json import header_from_json
from mrirecon.scan import Scan, ScanHeader
from mrirecon.simulation.simulated_scan import simulated_scans
from mrirecon.simulation.simulation_protocol import SimulationProtocol
from mrirecon.types import Sample

FORMAT = 2
"""Of the files; those of format 1 were pickles and are not read."""


class Kept(Scan):
    """A scan whose slices are simulated once."""

    def __init__(self, header: ScanHeader, slices: Sequence[Sample]) -> None:
        self.header, self.slices = header, list(slices)

    def _read(self, index: int) -> Sample:
        return self.slices[index]

    def plain(self) -> dict[str, Any]:
        """Return tensors and words, which can be read without running anything."""
        slices = [{**s.tensors(), "key": s.key, "seed": s.seed} for s in self.slices]
        return {"header": json.dumps(asdict(self.header)), "slices": slices}

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> "Kept":
        """Return the scan that :meth:`plain` was called of."""
        header = header_from_json(json.loads(stored["header"]))
        return cls(header, [Sample(**one) for one in stored["slices"]])


def stored_scans(
    folder: str, first: int, count: int, protocol: SimulationProtocol
) -> Sequence[Scan]:
    """Return what ``simulated_scans`` does, from a file if known.

    Args:
        folder: Where the files lie.
        first: First subject.
        count: Number of subjects.
        protocol: What is scanned and how.
    """
    facts = json.dumps([__version__, FORMAT, first, count, asdict(protocol)], default=repr)
    path = Path(folder) / f"{hashlib.sha256(facts.encode()).hexdigest()[:16]}.pt"
    if not path.exists():
        scans = [Kept(one.header, list(one)) for one in simulated_scans(first, count, protocol)]
        with atomic(path) as temporary:
            torch.save([scan.plain() for scan in scans], temporary)
    return [Kept.restored(one) for one in torch.load(path, weights_only=True)]
