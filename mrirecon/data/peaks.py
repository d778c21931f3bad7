"""The maximum of a volume whose reference is made of its own k-space: the data range of SSIM.

Validation and ``evaluate`` take the maximum of the whole reference, so training has to, too, though
it sees one slice at a time. Finding it takes a pass over the scan, once: it is kept in the user's
cache folder.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from mrirecon import __version__
from mrirecon.data.index import IndexedScan
from mrirecon.errors import OutputError
from mrirecon.files import Kind, atomic
from mrirecon.image import root_sum_of_squares
from mrirecon.operators import coil_images
from mrirecon.scan import Scan
from mrirecon.types import Sample


class Peaks:
    """Maxima of root-sum-of-squares volumes, each found when it is first asked for."""

    def __init__(self) -> None:
        self._found: dict[int, float] = {}

    def of(self, number: int, scan: Scan) -> float:
        """Return the maximum over all slices and frames of a scan.

        Args:
            number: Number of the scan in its set.
            scan: Fully sampled scan.
        """
        if number not in self._found:
            place = _place(scan)
            known = None if place is None else _read(place)
            if known is None:
                known = volume_peak(scan)
                if place is not None:
                    _write(place, known)
            self._found[number] = known
        return self._found[number]


@torch.no_grad()
def volume_peak(scan: Iterable[Sample]) -> float:
    """Return the maximum of the root-sum-of-squares volume, in the units of the scan."""
    return max(float(root_sum_of_squares(coil_images(sample)).max()) for sample in scan)


def _place(scan: Scan) -> Path | None:
    """Return where the maximum of a file is kept: named by what it depends on."""
    if not isinstance(scan, IndexedScan):
        return None
    stat = scan.path.stat()
    facts = (str(scan.path.resolve()), stat.st_size, stat.st_mtime_ns, scan.reading, __version__)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    return caches / "mrirecon" / "peaks" / f"{name}.txt"


def _read(place: Path) -> float | None:
    try:
        return float(place.read_text("ascii"))
    except (OSError, ValueError):  # unknown, or damaged: found anew
        return None


def _write(place: Path, peak: float) -> None:
    try:
        with atomic(place, Kind.CACHE, overwrite=True) as temporary:
            temporary.write_text(repr(peak), "ascii")
    except OutputError:
        return  # it only costs the pass again
