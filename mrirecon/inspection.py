"""What is in a raw file, told before anything is computed."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mrirecon.readers import open_scan
from mrirecon.sampling import achieved_acceleration
from mrirecon.sampling.calibration import center_slice
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample

BYTES = 8  # of a complex64
COPIES = 14  # of a slice's coil images that CG-SENSE holds at its peak: 16 coils x 640 x 372, CPU


@dataclass(frozen=True)
class Sampling:
    """How the first slice was sampled.

    Attributes:
        acceleration: All positions of the k-space grid divided by the measured ones.
        pattern: In words.
        acs: Fully sampled centre ``(h, w)``.
        partial_fourier: Measured share of readout and phase encoding, from end to end.
    """

    acceleration: float
    pattern: str
    acs: tuple[int, int]
    partial_fourier: tuple[float, float]


@dataclass(frozen=True)
class Inspection:
    """The report on one file.

    Attributes:
        path: The file.
        header: What reconstruction will go by.
        sampling: How the first slice was sampled.
        content: What else the format tells, as ``(what, value)``.
        memory: MB that CG-SENSE needs per slice, about.
        command: The line that reconstructs the file.
    """

    path: str
    header: ScanHeader
    sampling: Sampling
    content: tuple[tuple[str, str], ...]
    memory: float
    command: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know about how the file was read."""
        return self.header.notes


def inspect_file(path: str | Path) -> Inspection:
    """Read the headers and one slice.

    Raises:
        RawDataError: When the file cannot be read.
    """
    scan = open_scan(path)
    sample = scan[0]
    header = scan.header
    sampling = describe_sampling(sample)
    memory = COPIES * BYTES * header.coils * header.grid[0] * header.grid[1] / 2**20
    model = "cg_sense" if min(sampling.acs) >= 12 and header.coils > 1 else "zero_filled"
    command = f"mrirecon reconstruct input={path} output=reconstruction model={model}"
    return Inspection(str(path), header, sampling, scan.content(), memory, command)


def describe_sampling(sample: Sample) -> Sampling:
    """Say how a slice was sampled."""
    h, w = sample.kspace.shape[-2:]
    mask = sample.mask.expand(h, w).numpy()
    rows, columns = np.asarray(mask.any(1)), np.asarray(mask.any(0))
    acs = (0, 0) if sample.acs is None else (int(sample.acs[0]), int(sample.acs[1]))
    extent = (_extent(rows), _extent(columns))
    if mask.all():
        pattern = "fully sampled"
    elif (mask == (rows[:, None] & columns[None])).all():
        pattern = _lines(columns, acs[1])
    else:
        pattern = "two phase-encoding axes"
    return Sampling(achieved_acceleration(sample.mask.expand(h, w)), pattern, acs, extent)


def _extent(line: np.ndarray) -> float:
    measured = np.flatnonzero(line)
    return float((measured[-1] - measured[0] + 1) / len(line)) if len(measured) else 0.0


def _lines(columns: np.ndarray, acs: int) -> str:
    measured = np.flatnonzero(columns)
    center = center_slice(len(columns), acs)
    steps = [
        step
        for side in (measured[measured < center.start], measured[measured >= center.stop])
        for step in np.diff(side)
    ]
    if not steps or max(steps) == 1:
        return "every line of the measured interval"
    if min(steps) == max(steps):
        return f"every {steps[0]}. line, {acs} in the centre"
    return f"irregular lines, {min(steps)} to {max(steps)} apart, {acs} in the centre"


def as_dict(inspection: Inspection) -> dict[str, object]:
    """For programs: everything, as numbers where they are numbers."""
    return {**asdict(inspection), "affine_ras_mm": inspection.header.affine().tolist()}


def as_text(inspection: Inspection) -> str:
    """For people."""
    header, sampling = inspection.header, inspection.sampling
    h, w = header.grid
    voxel = " x ".join(f"{v:.2f}" for v in header.voxel) + " mm" if header.voxel else "unknown"
    geometry = header.geometry
    rows = [
        ("format", header.format),
        ("protocol", header.acquisition or "unknown"),
        ("slices", str(header.slices)),
        ("coils", f"{header.coils}, noise {'whitened' if header.whitened else 'not whitened'}"),
        ("k-space", f"{h} x {w} (readout x phase encoding), oversampling removed"),
        ("image", f"{header.matrix[0]} x {header.matrix[1]}, voxel {voxel} (y, x, slice)"),
        ("position", _vector(geometry.positions[0]) if geometry else "unknown"),
        ("orientation", _orientation(header)),
        ("sequence", _sequence(header)),
        ("acceleration", f"R = {sampling.acceleration:.2f}, {sampling.pattern}"),
        ("ACS", f"{sampling.acs[0]} x {sampling.acs[1]}"),
        ("measured extent", "{:.0%} of readout, {:.0%} of phase encoding".format(
            *sampling.partial_fourier)),
        *inspection.content,
        ("memory", f"about {inspection.memory:.0f} MB per slice for CG-SENSE"),
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    lines = [inspection.path, *(f"  {name:<{width}}  {value}" for name, value in rows)]
    lines += [f"  {i}. {warning}" for i, warning in enumerate(inspection.warnings, start=1)]
    return "\n".join([*lines, f"  $ {inspection.command}"])


def _vector(values: tuple[float, float, float]) -> str:
    return "first slice at " + ", ".join(f"{v:.1f}" for v in values) + " mm (LPS)"


def _orientation(header: ScanHeader) -> str:
    if header.geometry is None:
        return "unknown"
    names = ("sagittal", "coronal", "axial")
    normal = np.abs(header.geometry.slice_direction)
    angle = float(np.degrees(np.arccos(min(1.0, normal.max()))))
    oblique = f", {angle:.1f} degrees oblique" if angle > 0.5 else ""
    return names[int(normal.argmax())] + oblique


def _sequence(header: ScanHeader) -> str:
    known = (
        ("TR", header.sequence.repetition_time, "ms"),
        ("TE", header.sequence.echo_time, "ms"),
        ("TI", header.sequence.inversion_time, "ms"),
        ("flip angle", header.sequence.flip_angle, "degrees"),
        ("field", header.sequence.field_strength, "T"),
    )
    return ", ".join(f"{n} {v:g} {u}" for n, v, u in known if v is not None) or "unknown"
