"""Scans that two sets share, found by what their files hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from tqdm import tqdm

from mrirecon.image import center_fit
from mrirecon.scan import Scan
from mrirecon.terminal import draws_bars

COLUMNS = 16
"""Central phase-encoding positions by which a scan is known again."""
SAME = 0.1
"""Relative difference below which two scans are one: half precision and a cropped readout change
less, 2 % of noise at most, and two people by most of it."""


@dataclass
class Signatures:
    """What scans look like: the centre of the middle slice's k-space, each read once.

    It is one line along phase encoding through k = 0, so that packed copies without the readout
    oversampling are known again, too.
    """

    _found: dict[int, torch.Tensor] = field(default_factory=dict)

    def shared(self, first: Sequence[Scan], second: Sequence[Scan]) -> list[tuple[str, str]]:
        """Return the names of equal scans, where not both files tell their patient.

        Only scans with as many slices, coils and lines as one of the other set are read.
        """
        pairs = [
            (a, b)
            for a in first
            for b in second
            if _form(a) == _form(b) and not (a.header.subject and b.header.subject)
        ]
        scans = list({id(scan): scan for pair in pairs for scan in pair}.values())
        unknown = [scan for scan in scans if id(scan) not in self._found]
        quiet = len(unknown) < 20 or not draws_bars()
        for scan in tqdm(unknown, desc="comparing scans", unit="scan", leave=False, disable=quiet):
            self._found[id(scan)] = _signature(scan)
        return [
            (a.header.name, b.header.name)
            for a, b in pairs
            if _equal(self._found[id(a)], self._found[id(b)])
        ]


def _form(scan: Scan) -> tuple[int, ...]:
    header = scan.header
    return len(scan), header.coils, header.grid[1]


def _signature(scan: Scan) -> torch.Tensor:
    kspace = scan[len(scan) // 2].kspace
    line = center_fit(kspace, (1, min(COLUMNS, kspace.shape[-1]))).flatten()
    return line / torch.linalg.vector_norm(line)  # NaN for an empty one, which equals nothing


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and bool(torch.linalg.vector_norm(a - b) < SAME)
