"""What is said of the time of images before they are computed, and refused for its length."""

from collections.abc import Iterator, Sequence

from mrirecon.commands.footprints import VIRTUAL, first_batch, tried
from mrirecon.errors import ConfigError
from mrirecon.footprint.duration import of_images
from mrirecon.footprint.small_sample import with_coils
from mrirecon.inference import scan_batches
from mrirecon.inspection import duration
from mrirecon.pipeline import Method
from mrirecon.scan import Scan

LARGE = 2**23
"""Coil pixels of a scan, 16 slices of 256 x 256 and 8 coils, for which small problems are tried:
they take as long as about one of its slices."""
SLOWEST = 400
"""Coil pixels that every method makes in a second, even with some thousand iterations each."""
WORTH_TELLING = 60
"""Seconds from which on the time is told."""


def seconds_for(
    scan: Scan, method: Method, planes: Sequence[int] | None = None, coils: int | None = None
) -> float | None:
    """Return what images of a scan take on this CPU, in s; None where something else computes.

    Args:
        scan: Scan to reconstruct.
        method: Method that reconstructs it.
        planes: Numbers of the planes that are wanted; all by default.
        coils: Number of coils that are used; all by default.
    """
    if method.device.type != "cpu":
        return None
    groups = scan_batches(scan, method.reconstructor, planes=planes)
    sample = first_batch(scan, method)
    sample = sample if coils is None else with_coils(sample, coils)
    each = tried(of_images, method.reconstructor, sample, scan.header.canvas)
    return None if each is None else each * len(groups)


def refuse_slow(scan: Scan, method: Method, hours: float | None, planes: Sequence[int]) -> None:
    """Say how long the images of large scans take, and refuse what takes longer than is allowed.

    Args:
        scan: Scan to reconstruct.
        method: Method that reconstructs it.
        hours: Longest time in hours; None allows any.
        planes: Numbers of the planes that are wanted.

    Raises:
        ConfigError: With what would be quicker.
    """
    header = scan.header
    size = len(planes) * header.coils * header.grid[0] * header.grid[1]
    limit = float("inf") if hours is None else 3600 * hours
    if size < min(LARGE, SLOWEST * limit):
        return
    found = seconds_for(scan, method, planes)
    if found is not None and found >= WORTH_TELLING:
        print(f"  time: about {duration(found)} on this CPU")
    if found is None or found <= limit:
        return
    advice = "; ".join(_quicker(scan, method, planes, found, limit))
    raise ConfigError(
        f"{header.name} takes {method.name} about {duration(found)} on this CPU, and hours={hours} "
        f"allows {duration(limit)}: {advice}, or a faster model= (mrirecon inspect FILE model=NAME "
        "tells its time); hours=null lets it run"
    )


def _quicker(
    scan: Scan, method: Method, planes: Sequence[int], found: float, limit: float
) -> Iterator[str]:
    """Name settings that take less time than was found."""
    if scan.header.coils > VIRTUAL:
        fewer = seconds_for(scan, method, planes, VIRTUAL)
        if fewer is not None and fewer < found:
            yield f"preprocessing=compress takes about {duration(fewer)}"
    slices = int(limit / found * scan.header.slices)
    yield f"slices=0:{slices} and so on" if slices else "choose fewer frames or a smaller matrix"
