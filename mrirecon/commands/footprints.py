"""What is said of the memory of images before they are computed, and refused for lack of it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from mrirecon.errors import MriReconError
from mrirecon.footprint.need import Need, size
from mrirecon.footprint.predicted import of_imaging
from mrirecon.footprint.room import Choice, refuse_more, room
from mrirecon.footprint.small_sample import with_coils
from mrirecon.inference import read_batches, scan_batches
from mrirecon.pipeline import Method
from mrirecon.scan import Scan
from mrirecon.types import Sample

VIRTUAL = 8
"""Coils that ``preprocessing=compress`` leaves."""
Found = TypeVar("Found")
UNLIKELY = 1 / 250
"""Part of the free memory that a batch of k-space may take where no method fills it."""


def needed_by(scan: Scan, method: Method, batch: int = 1) -> Need | None:
    """Return what the images of a scan take; None when it cannot be told.

    Args:
        scan: Scan to reconstruct.
        method: Method that reconstructs it.
        batch: Number of slices computed at once.
    """
    return tried(_image(scan, method), first_batch(scan, method), batch)


def refuse_unfitting(scan: Scan, method: Method, batch: int) -> None:
    """Say what images of large scans take, and refuse what does not fit.

    Raises:
        ConfigError: With what would fit.
    """
    there, header = room(method.device), scan.header
    h, w = header.grid
    members = len(header.frames) if method.reconstructor.joint else batch
    if there.free is None or 8 * header.coils * h * w * members < UNLIKELY * there.free:
        return
    sample, need = first_batch(scan, method), _image(scan, method)
    found = tried(need, sample, batch)
    if found is None:
        return
    print(f"  memory: about {found.told()}; {size(there.free)} are free {there.where}")
    what = "the frames of a slice" if method.reconstructor.joint else "a batch"
    refuse_more(what, found, there, _less_of_images(need, sample, found))


def _less_of_images(need: Callable[..., Need], sample: Sample, found: Need) -> Iterator[Choice]:
    if found.batch > 1:
        yield Choice("batch_size=1", replace(found, batch=1))
    if sample.kspace.shape[-3] > VIRTUAL:
        fewer = tried(need, with_coils(sample, VIRTUAL), 1)
        if fewer is not None:
            yield Choice("preprocessing=compress", fewer)


def _image(scan: Scan, method: Method) -> Callable[[Sample, int], Need]:
    def need(sample: Sample, batch: int) -> Need:
        canvas, device = scan.header.canvas, method.device
        return of_imaging(method.reconstructor, sample, canvas, batch=batch, device=device)

    return need


def first_batch(scan: Scan, method: Method) -> Sample:
    """Return what the method gets first of a scan: a slice, or the frames of one if it is joint."""
    group = scan_batches(scan, method.reconstructor)[0]
    return next(read_batches(scan, [group], method.reconstructor, method.prepare))


def tried(need: Callable[..., Found], *arguments: Any) -> Found | None:
    """Return what is needed; a method that fails on small problems is left to the large one.

    Args:
        need: Function that tries small problems.
        arguments: What it is called with.
    """
    try:
        return need(*arguments)
    except (MriReconError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"note: what it takes cannot be told ({reason})", file=sys.stderr)
        return None
