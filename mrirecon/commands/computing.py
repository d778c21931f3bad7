"""One raw file to its series of volumes, and what is measured about them."""

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrirecon.assessment import TimedScan, assess, peak_memory
from mrirecon.commands.method import Method
from mrirecon.commands.provenance import recorded
from mrirecon.data.collate import collate
from mrirecon.errors import RawDataError
from mrirecon.inference import reconstruct_complex, reconstruct_scan
from mrirecon.privacy import Disclosure
from mrirecon.readers import FileScan
from mrirecon.reconstruction import Provenance, Reconstruction, as_slices, planes_of, split_series
from mrirecon.sampling import Coverage
from mrirecon.selection import Selection
from mrirecon.types import Sample

Seconds = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Made:
    """The series of one scan, the method that made them, and the seconds that each step took.

    The method's network is fitted to the scan, if that was asked for.
    """

    results: list[Reconstruction]
    method: Method
    seconds: Seconds


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a scan: which slices and frames, and whether with the phase."""

    selection: Selection = field(default_factory=Selection)
    phase: bool = False


def compute(
    file: Path,
    scan: FileScan,
    method: Method,
    batch_size: int,
    disclosure: Disclosure = Disclosure.PRIVATE,
    wanted: Wanted | None = None,
) -> Made:
    """Reconstruct every slice of every frame of a scan, or those that are wanted.

    Raises:
        RawDataError: When the images are not finite.
    """
    started = time.perf_counter()
    # of a plane with signal: that of an empty one would be the same for many scans
    timed, wanted = TimedScan(scan), wanted or Wanted()
    numbers = planes_of(scan.header, wanted.selection)
    seen = (scan[number] for number in numbers)
    raw = next((sample for sample in seen if sample.kspace.any()), None) or scan[numbers[0]]
    _announce(scan, method)
    remarks = method.reconstructor.remarks(collate([method.transform(raw)]))
    for remark in remarks:
        print(f"  note: {remark}")
    opened = time.perf_counter()
    method, adaptation = _adapted(scan, method)
    ready = time.perf_counter()
    measured, used = Coverage(), Coverage()

    def counted(sample: Sample) -> Sample:
        measured.add(sample)
        sample = method.transform(sample)
        used.add(sample)
        return sample

    planes = (reconstruct_complex if wanted.phase else reconstruct_scan)(
        timed,
        method.reconstructor,
        counted,
        batch_size=batch_size,
        device=method.device,
        progress=sys.stderr.isatty(),
        planes=numbers,
    )
    if not planes.isfinite().all():
        raise RawDataError(
            f"{file}: the reconstruction holds values that are not finite; nothing was written. "
            "Are the values of the k-space absurdly large?"
        )
    if not planes.any():
        print("  WARNING: the image is zero everywhere; is the k-space empty?")
    print(f"  {used.text()}")
    if method.undersamples and measured.acceleration > 1:
        print(f"  note: The scan itself has {measured.text()}; sampling= takes away from that.")
    made = Provenance(
        source="",
        method=method.name,
        config=method.config,
        checkpoint=method.checkpoint,
        acceleration=used.acceleration,
        adaptation=adaptation,
    )
    header, provenance = recorded(scan, raw, made, disclosure)
    header = replace(header, notes=(*header.notes, *remarks, *filter(None, [used.note()])))
    seconds = (
        ("opening", opened - started),
        *([("adaptation", ready - opened)] if adaptation else []),
        ("reading", timed.seconds),
        ("reconstruction", time.perf_counter() - ready - timed.seconds),
    )
    return Made(split_series(planes, header, provenance, wanted.selection), method, seconds)


def _adapted(scan: FileScan, method: Method) -> tuple[Method, tuple[str, ...]]:
    """Fit the network to the scan, if asked for; returns how that went, too.

    Every scan starts from the same weights: the network is a copy.
    """
    if method.adaptation is None:
        return method, ()
    network, record = method.adaptation(
        scan,
        method.reconstructor,
        method.transform,
        device=method.device,
        progress=sys.stderr.isatty(),
    )
    told = record.lines()
    print(f"  {told[0]}")
    return replace(method, reconstructor=network), told


def _announce(scan: FileScan, method: Method) -> None:
    """Say what is going to be reconstructed."""
    header = scan.header
    h, w = header.grid
    frames = f"{len(header.frames)} frames of " if len(header.frames) > 1 else ""
    shown = as_slices(header) if header.volumetric else header
    readout = f"{header.slices} x " if header.volumetric else ""
    print(
        f"{header.name}: {header.format}, {frames}{shown.slices} slices, {header.coils} coils, "
        f"k-space {readout}{h} x {w}, image {shown.matrix[0]} x {shown.matrix[1]}; {method.name}"
    )
    for note in header.notes:
        print(f"  note: {note}")


def measured(
    scan: FileScan,
    result: Reconstruction,
    method: Method,
    seconds: Seconds,
    selection: Selection | None = None,
) -> Reconstruction:
    """Return a series with its quality, and how long that took besides ``seconds``."""
    started = time.perf_counter()
    quality = assess(
        scan,
        method.reconstructor,
        method.transform,
        series=result.suffix,
        selection=selection,
        device=method.device,
    )
    seconds = (*seconds, ("quality", time.perf_counter() - started))
    memory = peak_memory(method.device)
    return replace(result, quality=replace(quality, seconds=seconds, memory=memory))
