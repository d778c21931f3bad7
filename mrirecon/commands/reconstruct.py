"""``mrirecon reconstruct``: raw files to volumes."""

import hashlib
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import torch
from omegaconf import DictConfig

from mrirecon.assessment import TimedScan, assess, peak_memory
from mrirecon.commands.base import command, command_line, versions
from mrirecon.commands.method import GROUPS, Method, build_method, find_device
from mrirecon.commands.outputs import Outputs
from mrirecon.commands.pipes import STANDARD, standard_input, standard_output
from mrirecon.data.folder import data_folder, raw_files
from mrirecon.errors import ConfigError, MriReconError, RawDataError
from mrirecon.files import output_folder
from mrirecon.inference import reconstruct_scan
from mrirecon.readers import FileScan, open_scan
from mrirecon.readers.naming import scan_name
from mrirecon.reconstruction import Provenance, Reconstruction, as_slices, split_series
from mrirecon.sampling import achieved_acceleration
from mrirecon.types import Sample
from mrirecon.writers import WRITERS, send_mrd

QUALITY = "qc"


@dataclass(frozen=True)
class Settings:
    """mrirecon reconstruct input=FILE_OR_FOLDER output=FOLDER [model=... | checkpoint=FILE]."""

    input: str
    output: str
    pattern: str
    checkpoint: str | None
    overwrite: bool
    device: str
    batch_size: int
    formats: list[str] | tuple[str, ...] | str
    dicom_template: str | None

    def __post_init__(self) -> None:
        if isinstance(self.formats, str):  # formats=nifti
            object.__setattr__(self, "formats", (self.formats,))
        unknown = [name for name in self.formats if name not in WRITERS]
        if unknown or not self.formats:
            got = ", ".join(self.formats) or "nothing"
            raise ValueError(f"formats: expected some of {', '.join(WRITERS)}, got {got}")
        if self.dicom_template is not None and "dicom" not in self.formats:
            raise ValueError("dicom_template is given, but formats lacks dicom; add it")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")


@command(Settings, groups=GROUPS)
def reconstruct(config: DictConfig, settings: Settings) -> None:
    """Reconstruct every file, go on after a bad one, and fail at the end if any failed."""
    with ExitStack() as stack:
        if settings.input == STANDARD:
            path = stack.enter_context(standard_input())
            files = [path]
        else:
            path = Path(settings.input).expanduser()
            files = raw_files(path, settings.pattern)
        if settings.output == STANDARD:
            stream = stack.enter_context(standard_output())
            _send_files(config, settings, files, stream)
        else:
            _write_files(config, settings, files, data_folder(path))


def _send_files(
    config: DictConfig, settings: Settings, files: list[Path], stream: BinaryIO
) -> None:
    """Reconstruct one file into a stream of MRD images."""
    if len(files) > 1:
        raise ConfigError(f"output=- takes one raw file, but input has {len(files)}")
    method = build_method(config, settings.checkpoint, find_device(settings.device))
    made = _compute(files[0], open_scan(files[0], method.reading), method, settings.batch_size)
    count = send_mrd(stream, made.results)
    print(f"  sent {count} images")


def _write_files(config: DictConfig, settings: Settings, files: list[Path], source: Path) -> None:
    device, folder = find_device(settings.device), output_folder(settings.output)
    outputs = Outputs(
        folder, settings.formats, files, settings.overwrite, settings.dicom_template, source
    )
    method = build_method(config, settings.checkpoint, device)
    failed = incomplete = 0
    for file in files:
        try:
            incomplete += not _reconstruct_file(file, method, outputs, settings.batch_size)
        except MriReconError as error:
            failed += 1
            named = "" if str(file) in str(error) else f"{file}: "
            print(f"FAILED {named}{error}", file=sys.stderr)
        except Exception as error:  # noqa: BLE001 - out of memory, say: the other files may do
            failed += 1
            print(f"FAILED {file}: {type(error).__name__}: {error}", file=sys.stderr)
    problems = [f"{failed} of {len(files)} files failed"] if failed else []
    if incomplete:
        problems.append(f"{incomplete} of {len(files)} files have images, but no quality page")
    if problems:
        raise MriReconError("; ".join(problems))


@dataclass(frozen=True)
class Made:
    """The series of one scan, the method that made them, and the seconds that each step took.

    The method's network is fitted to the scan, if that was asked for.
    """

    results: list[Reconstruction]
    method: Method
    seconds: tuple[tuple[str, float], ...]


def _compute(file: Path, scan: FileScan, method: Method, batch_size: int) -> Made:
    started = time.perf_counter()
    raw = scan[0]
    acceleration = _announce(scan, raw, method)
    opened = time.perf_counter()
    method, adaptation = _adapted(scan, method)
    ready = time.perf_counter()
    timed = TimedScan(scan)
    planes = reconstruct_scan(
        timed,
        method.reconstructor,
        method.transform,
        batch_size=batch_size,
        device=method.device,
        progress=sys.stderr.isatty(),
    )
    if not planes.isfinite().all():
        raise RawDataError(
            f"{file}: the reconstruction holds values that are not finite; nothing was written. "
            "Are the values of the k-space absurdly large?"
        )
    if not planes.any():
        print("  WARNING: the image is zero everywhere; is the k-space empty?")
    provenance = Provenance(
        source=str(file.resolve()),
        method=method.name,
        command=command_line(),
        config=method.config,
        checkpoint=method.checkpoint,
        acceleration=acceleration,
        fingerprint=_fingerprint(raw, scan),
        versions=versions(),
        adaptation=adaptation,
    )
    seconds = (
        ("opening", opened - started),
        *([("adaptation", ready - opened)] if adaptation else []),
        ("reading", timed.seconds),
        ("reconstruction", time.perf_counter() - ready - timed.seconds),
    )
    return Made(split_series(planes, scan.header, provenance), method, seconds)


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


def _reconstruct_file(file: Path, method: Method, outputs: Outputs, batch_size: int) -> bool:
    """Write everything; returns False when only the quality page could not be made."""
    started = time.perf_counter()
    scan = open_scan(file, method.reading, outputs.source)
    outputs.refuse(file, scan.header)
    made = _compute(file, scan, method, batch_size)
    writing = time.perf_counter()
    written = []
    for result in made.results:
        for name, (path, write) in outputs.writers(file, result.suffix).items():
            if name != QUALITY:
                write(path, result, overwrite=outputs.overwrite)
                written.append(scan_name(path, outputs.folder))
    seconds = (*made.seconds, ("writing", time.perf_counter() - writing))
    complete = True
    if QUALITY in outputs.formats:
        pages = [_quality_page(file, scan, r, made.method, outputs, seconds) for r in made.results]
        complete = all(pages)
        written += [page for page in pages if page]
    duration = time.perf_counter() - started
    print(f"  {duration:.1f} s; wrote {', '.join(written)} to {outputs.folder}")
    return complete


def _announce(scan: FileScan, raw: Sample, method: Method) -> float:
    """Say what is going to be reconstructed; returns the acceleration."""
    header = scan.header
    h, w = header.grid
    acceleration = achieved_acceleration(method.transform(raw).mask.expand(h, w))
    frames = f"{len(header.frames)} frames of " if len(header.frames) > 1 else ""
    shown = as_slices(header) if header.volumetric else header
    readout = f"{header.slices} x " if header.volumetric else ""
    print(
        f"{header.name}: {header.format}, {frames}{shown.slices} slices, {header.coils} coils, "
        f"k-space {readout}{h} x {w}, image {shown.matrix[0]} x {shown.matrix[1]}, "
        f"R = {acceleration:.2f}; {method.name}"
    )
    for note in header.notes:
        print(f"  note: {note}")
    if method.undersamples and not raw.mask.expand(h, w).all():
        measured = achieved_acceleration(raw.mask.expand(h, w))
        print(f"  note: The scan itself has R = {measured:.2f}; sampling= takes away from that.")
    return acceleration


def _quality_page(
    file: Path,
    scan: FileScan,
    result: Reconstruction,
    method: Method,
    outputs: Outputs,
    seconds: tuple[tuple[str, float], ...],
) -> str:
    """Measure and write the page; returns its name, empty when that failed.

    The images are complete by now, so whatever goes wrong here must not look as if they were not.
    """
    path, write = outputs.writers(file, result.suffix)[QUALITY]
    started = time.perf_counter()
    try:
        quality = assess(
            scan, method.reconstructor, method.transform, series=result.suffix,
            device=method.device,
        )  # fmt: skip
        seconds = (*seconds, ("quality", time.perf_counter() - started))
        quality = replace(quality, seconds=seconds, memory=peak_memory(method.device))
        write(path, replace(result, quality=quality), overwrite=outputs.overwrite)
    except Exception as error:  # noqa: BLE001 - see above
        kind = "" if isinstance(error, MriReconError) else f"{type(error).__name__}: "
        print(f"WARNING {file}: no quality page {path.name}: {kind}{error}", file=sys.stderr)
        return ""
    return scan_name(path, outputs.folder)


def _fingerprint(raw: Sample, scan: FileScan) -> str:
    """Identify a scan by its first plane, whose noise no other scan shares, and by its header."""
    digest = hashlib.sha256(torch.view_as_real(raw.kspace.contiguous()).cpu().numpy().tobytes())
    digest.update(repr(scan.header).encode())
    return digest.hexdigest()


main = reconstruct
