"""Facts in words about a reconstruction, beside its pictures."""

from collections.abc import Iterator

from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.scan import ScanHeader
from mrirecon.writers.scanner_coordinates import edges, slice_spacing

Pairs = list[tuple[str, str]]


def scan_facts(result: Reconstruction) -> Pairs:
    """Describe the scan; an empty value is one that the file does not tell."""
    header, sequence = result.header, result.header.sequence
    known = (
        ("TR", sequence.repetition_time, "ms"),
        ("TE", sequence.echo_time, "ms"),
        ("TI", sequence.inversion_time, "ms"),
        ("flip angle", sequence.flip_angle, "°"),
    )
    h, w = header.grid
    y, x = header.matrix
    system = " ".join(part for part in (header.vendor, header.model) if part)
    field = f"{sequence.field_strength:g} T" if sequence.field_strength else ""
    return [
        ("format", header.format),
        ("protocol", header.acquisition),
        ("scanner", ", ".join(part for part in (system, field) if part)),
        ("subject", header.subject or ""),
        ("sequence", ", ".join(f"{n} {v:g} {u}" for n, v, u in known if v is not None)),
        ("acquired", "3-D" if result.volumetric else "2-D, slice by slice"),
        ("k-space", f"{h} × {w}, {header.coils} coils"),
        ("image", ", ".join((f"{y} × {x}", *_counts(header)))),
        ("voxel", _voxel(header)),
        ("orientation", _orientation(header)),
        ("patient position", header.patient_position or ""),
        ("noise", "whitened" if header.whitened else "not whitened"),
    ]


def run_facts(result: Reconstruction) -> Pairs:
    """Describe how it was made and what that took."""
    made, quality = result.provenance, result.quality
    seconds = quality.seconds if quality is not None else ()
    memory = quality.memory if quality is not None else ()
    return [
        ("source", made.source),
        ("fingerprint of the raw data", made.fingerprint[:16]),
        ("method", made.method),
        ("weights", made.checkpoint),
        ("adaptation", "\n".join(made.adaptation)),
        ("time", "\n".join(f"{what} {value:.2f} s" for what, value in seconds)),
        ("peak memory", "\n".join(f"{where} {value:.0f} MB" for where, value in memory)),
        ("versions", "\n".join(made.versions)),
    ]


def instruction(made: Provenance) -> str:
    """Return the command that repeats the run."""
    return made.command or "unknown: the reconstruction was not made on the command line"


def _counts(header: ScanHeader) -> Iterator[str]:
    for name, count in (("slice", header.slices), ("frame", len(header.frames))):
        yield f"{count} {name}" + ("s" if count != 1 else "")


def _voxel(header: ScanHeader) -> str:
    if header.voxel is None:
        return "unknown"
    dy, dx, dz = header.voxel
    spacing = slice_spacing(header)
    apart = spacing is not None and abs(spacing - dz) > 5e-3
    gap = f", slices {spacing:.2f} mm apart" if apart else ""
    return f"{dy:.2f} × {dx:.2f} × {dz:.2f} mm{gap}"


def _orientation(header: ScanHeader) -> str:
    found = edges(header)
    if found is None:
        return "unknown: the file does not tell where the slices lie"
    left, right, top, bottom = found
    return f"{left} to {right} across, {top} to {bottom} down"
