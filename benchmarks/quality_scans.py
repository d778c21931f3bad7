"""Simulated scans that are computed once: for all trainings, and for all methods to test."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from mrirecon import __version__
from mrirecon.files import atomic
from mrirecon.scan import Scan
from mrirecon.simulation.protocol import SimulationProtocol
from mrirecon.simulation.scan import simulated_scans
from mrirecon.types import Sample


class Kept(Scan):
    """A scan whose slices are simulated once."""

    def __init__(self, scan: Scan) -> None:
        self.header = scan.header
        self.slices = list(scan)

    def _read(self, index: int) -> Sample:
        return self.slices[index]


def stored_scans(
    folder: str, first: int, count: int, protocol: SimulationProtocol
) -> Sequence[Scan]:
    """Return what :func:`~mrirecon.simulation.scan.simulated_scans` does, from a file if known.

    Args:
        folder: Where the files lie; only this study may write there, for they hold pickles.
        first: First subject.
        count: Number of subjects.
        protocol: What is scanned and how.
    """
    facts = json.dumps([__version__, first, count, asdict(protocol)], default=repr)
    path = Path(folder) / f"{hashlib.sha256(facts.encode()).hexdigest()[:16]}.pt"
    if not path.exists():
        scans = [Kept(scan) for scan in simulated_scans(first, count, protocol)]
        with atomic(path) as temporary:
            torch.save(scans, temporary)
    found: list[Scan] = torch.load(path, weights_only=False)
    return found
