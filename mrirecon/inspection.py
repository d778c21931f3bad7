"""A report of what a raw file holds, before anything is computed."""

import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Complex64

from mrirecon import threads
from mrirecon.geometry import Geometry
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.sampled import ScanSampling
from mrirecon.sampling.calibration import REGION
from mrirecon.sampling.sampled_plane import Sampling
from mrirecon.scan import ScanHeader

BYTES = 8  # of a complex64
AXES = ("readout", "phase encoding", "partitions")
COPIES = 14  # of a slice's coil images that CG-SENSE holds at its peak: 16 coils x 640 x 372, CPU
# ESPIRiT and CG-SENSE of a slice take so many Fourier transforms, and so many seconds besides
TRANSFORMS, OVERHEAD = 25, 0.05


@dataclass(frozen=True)
class Inspection:
    """The report on one file.

    Attributes:
        path: Path of the file.
        header: Header that reconstruction will go by.
        sampling: Sampling of the scan.
        content: What else the format tells, as ``(what, value)``.
        memory: MB that CG-SENSE needs per slice, about.
        seconds: Seconds that CG-SENSE takes for the scan on this machine's CPU, about.
        command: The line that reconstructs the file.
    """

    path: str
    header: ScanHeader
    sampling: Sampling
    content: tuple[tuple[str, str], ...]
    memory: float
    seconds: float
    command: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know about how the file was read."""
        return self.header.notes


def inspect_file(path: str | Path, reading: ReadOptions | None = None) -> Inspection:
    """Read the headers and every slice: how a scan was sampled shows in all of them only.

    Args:
        path: Path of the file.
        reading: Read options, which override what the file says; None overrides nothing.

    Raises:
        RawDataError: When the file cannot be read.
    """
    reading = reading or ReadOptions()
    scan = open_scan(path, reading)
    header, planes, first = scan.header, ScanSampling(), None
    for index in range(len(scan)):
        plane = scan.sampled(index)
        planes.add(plane)
        first = first or plane
    assert first is not None
    sampling = planes.sampling(first)
    memory = COPIES * BYTES * header.coils * header.grid[0] * header.grid[1] / 2**20
    seconds = (TRANSFORMS * _transform_time(header, sampling) + OVERHEAD) * len(scan)
    command = _command(path, reading, header, sampling)
    return Inspection(str(path), header, sampling, scan.content(), memory, seconds, command)


def _transform_time(header: ScanHeader, sampling: Sampling) -> float:
    """Seconds that one Fourier transform of all coils takes here, the best of a few.

    That of NumPy takes about as long as that of torch, whose import would take longer than both.
    """
    times, (h, w) = [], header.grid
    if sampling.readouts is not None:  # whose normal equations are solved on twice the grid
        h, w = 2 * h, 2 * w
    kspace = np.zeros((header.coils, h, w), np.complex64)
    with ThreadPoolExecutor(threads.computing()) as pool:
        for _ in range(5):
            started = time.perf_counter()
            list(pool.map(_transform, kspace))
            times.append(time.perf_counter() - started)
    return min(times)


def _transform(kspace: Complex64[np.ndarray, "h w"]) -> None:
    np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(kspace), norm="ortho"))


def _command(path: str | Path, reading: ReadOptions, header: ScanHeader, sampling: Sampling) -> str:
    lines = min(sampling.reference or sampling.acs)
    calibrated = lines >= REGION and header.coils > 1
    words = ["mrirecon", "reconstruct", f"input={path}", "output=reconstruction"]
    words.append(f"model={'cg_sense' if calibrated else 'zero_filled'}")
    words += [f"reading.{name}={getattr(reading, name)}" for name in reading.chosen()]
    if calibrated and sampling.one_sided:
        words.append("partial_fourier=pocs")
    return shlex.join(words)


def as_dict(inspection: Inspection, patient: bool = False) -> dict[str, object]:
    """For programs: everything, as numbers where they are numbers.

    Args:
        inspection: Report on one file.
        patient: Whether the patient's id is told as the file tells it, not by a pseudonym.
    """
    if inspection.header.subject and not patient:
        subject = patient_pseudonym(inspection.header.subject)
        inspection = replace(inspection, header=replace(inspection.header, subject=subject))
    header = inspection.header
    stacks = [
        replace(header, geometry=stack, stacks=(), slices=len(part)).affine().tolist()
        for stack, part in zip(header.stacks, header.parts(), strict=False)
    ]
    affines = {"affine_ras_mm": header.affine().tolist(), "stack_affines_ras_mm": stacks}
    return {**asdict(inspection), **affines}


def as_text(inspection: Inspection) -> str:
    """For people."""
    header, sampling = inspection.header, inspection.sampling
    shown = header.as_slices() if header.volumetric else header  # as the images will be
    stacks = stacks_of(shown)
    names = ("phase encoding", "partitions") if header.volumetric else AXES[:2]
    if sampling.readouts is not None:
        names = ("k-space along y", "k-space along x")
    rows = [
        ("format", header.format),
        ("protocol", header.acquisition or "unknown"),
        ("scanner", _scanner(header)),
        ("slices", _slices(shown)),
        ("coils", f"{header.coils}, noise {'whitened' if header.whitened else 'not whitened'}"),
        ("k-space", _kspace(header, sampling)),
        ("image", f"{shown.matrix[0]} x {shown.matrix[1]}, {_voxel(shown)}"),
        ("position", "; ".join(_vector(s.positions[0]) for s in stacks) or "unknown"),
        ("orientation", "; ".join(map(_orientation, stacks)) or "unknown"),
        ("sequence", _sequence(header)),
        ("acceleration", f"{sampling.told}, {sampling.pattern}"),
        ("ACS", _acs(sampling)),
        ("measured extent", ", ".join(f"{share:.0%} of {name}" for share, name
                                      in zip(sampling.partial_fourier, names, strict=True))),
        *inspection.content,
        ("CG-SENSE", f"about {inspection.memory:.0f} MB per slice, {duration(inspection.seconds)} "
                     "for the scan on this CPU"),
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows)
    lines = [inspection.path, *(f"  {name:<{width}}  {value}" for name, value in rows)]
    lines += [f"  {i}. {warning}" for i, warning in enumerate(inspection.warnings, start=1)]
    return "\n".join([*lines, f"  $ {inspection.command}"])


def _kspace(header: ScanHeader, sampling: Sampling) -> str:
    if sampling.readouts is not None:
        return "{} readouts of {} samples along a trajectory".format(*sampling.readouts)
    sizes = (header.slices, *header.grid) if header.volumetric else header.grid
    names = AXES[: len(sizes)]
    return f"{' x '.join(map(str, sizes))} ({' x '.join(names)}), oversampling removed"


def _voxel(header: ScanHeader) -> str:
    if header.voxel is None:
        return "voxel unknown"
    text = f"voxel {' x '.join(f'{v:.2f}' for v in header.voxel)} mm (y, x, thickness)"
    steps = [stack.step for stack in stacks_of(header)]
    told = sorted({f"{abs(step):.2f}" for step in steps if step is not None}, key=float)
    if told and told != [f"{header.voxel[2]:.2f}"]:
        text += f", slices {' or '.join(told)} mm apart"
    return text


def _acs(sampling: Sampling) -> str:
    own = "{} x {}".format(*sampling.acs)
    if sampling.reference is None:
        return own
    return "{} x {} in a separate reference scan".format(*sampling.reference) + f", {own} here"


def _scanner(header: ScanHeader) -> str:
    field = header.sequence.field_strength
    parts = [header.vendor, header.model, f"{field:g} T" if field else ""]
    return " ".join(part for part in parts if part) or "unknown"


def _slices(header: ScanHeader) -> str:
    planes = f"{header.slices}"
    if len(header.frames) == 1:
        return planes
    varying = [
        f"{len(values)} {name}s"
        for name in ("contrast", "set", "phase", "repetition")
        if len(values := {getattr(frame, name) for frame in header.frames}) > 1
    ]
    return f"{planes} in {len(header.frames)} frames ({', '.join(varying)})"


def duration(seconds: float) -> str:
    """Say how long something takes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _vector(values: tuple[float, float, float]) -> str:
    return "first slice at " + ", ".join(f"{v:.1f}" for v in values) + " mm (LPS)"


def stacks_of(header: ScanHeader) -> tuple[Geometry, ...]:
    """Return the stacks of a scan; none when the file does not tell where its slices lie."""
    return header.stacks or (() if header.geometry is None else (header.geometry,))


def _orientation(stack: Geometry) -> str:
    names = ("sagittal", "coronal", "axial")
    normal = np.abs(stack.slice_direction)
    angle = float(np.degrees(np.arccos(min(1.0, normal.max()))))
    oblique = f", {angle:.1f} degrees oblique" if angle > 0.5 else ""
    return names[int(normal.argmax())] + oblique


def _sequence(header: ScanHeader) -> str:
    known = (
        ("TR", header.sequence.repetition_time, "ms"),
        *(("TE", time, "ms") for time in header.echo_times or (header.sequence.echo_time,)),
        ("TI", header.sequence.inversion_time, "ms"),
        ("flip angle", header.sequence.flip_angle, "degrees"),
        ("field", header.sequence.field_strength, "T"),
    )
    return ", ".join(f"{n} {v:g} {u}" for n, v, u in known if v is not None) or "unknown"
