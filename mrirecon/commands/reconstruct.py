"""``mrirecon reconstruct``: raw files to volumes."""

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from omegaconf import DictConfig

from mrirecon.commands.base import command
from mrirecon.commands.durations import refuse_slow
from mrirecon.commands.footprints import refuse_unfitting
from mrirecon.commands.going_on import Failures
from mrirecon.commands.inputs import input_files
from mrirecon.commands.method import GROUPS, build_methods, find_device
from mrirecon.commands.outputs import Outputs, chosen_existing, stem
from mrirecon.commands.pipes import STANDARD, standard_input, standard_output
from mrirecon.commands.provenance import chosen_disclosure, told_command
from mrirecon.commands.spread import Wanted, checkpoint_files
from mrirecon.config import build
from mrirecon.counting import counted
from mrirecon.errors import ConfigError, MriReconError
from mrirecon.files import output_folder
from mrirecon.pipeline import Made, Method, Request, assessed, run
from mrirecon.read_options import ReadOptions
from mrirecon.readers import FileScan, open_scan
from mrirecon.readers.naming import scan_name
from mrirecon.reconstruction import Reconstruction, chosen_series, planes_of
from mrirecon.selection import Selection
from mrirecon.terminal import draws_bars
from mrirecon.uncertainty.bounds import Bounds
from mrirecon.writers import WRITERS, send_mrd

QUALITY = "qc"


@dataclass(frozen=True)
class Settings:
    """mrirecon reconstruct input=FILE_OR_FOLDER output=FOLDER [model=... | checkpoint=FILE]."""

    input: str | list[str]
    output: str
    pattern: str
    checkpoint: str | list[str] | None
    samples: int | None
    spread: Literal["ensemble", "replicas", "random"] | None
    seed: int
    calibration: str | None
    coverage: float | None
    regions: str | None
    flip_boxes: bool
    existing: str
    overwrite: bool
    device: str
    batch_size: int
    hours: float | None
    provenance: str
    image: str
    slices: int | str | list[int | str] | None
    frames: int | str | list[int | str] | None
    formats: list[str] | tuple[str, ...] | str
    dicom_template: str | None
    trust: list[str] | tuple[str, ...] | str

    def __post_init__(self) -> None:
        formats = (self.formats,) if isinstance(self.formats, str) else self.formats
        object.__setattr__(self, "formats", tuple(dict.fromkeys(formats)))  # each once
        unknown = [name for name in self.formats if name not in WRITERS]
        if unknown or not self.formats:
            got = ", ".join(self.formats) or "nothing"
            raise ValueError(f"formats: expected some of {', '.join(WRITERS)}, got {got}")
        if self.dicom_template is not None and "dicom" not in self.formats:
            raise ValueError("dicom_template is given, but formats lacks dicom; add it")
        chosen_existing(self.existing, self.overwrite)
        chosen_disclosure(self.provenance)
        object.__setattr__(self, "checkpoint", checkpoint_files(self.checkpoint))
        self.wanted  # noqa: B018 - checked before anything is built
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")
        if self.hours is not None and not self.hours > 0:
            raise ValueError(f"hours: expected a positive number or null, got {self.hours}")
        if self.image not in ("magnitude", "complex"):
            raise ValueError(
                f"image: expected magnitude or complex, got {self.image!r}; phase, real and "
                "imaginary part come with image=complex: in HDF5 as complex numbers, in NIfTI and "
                "DICOM as a phase image beside the magnitude"
            )

    @property
    def wanted(self) -> Wanted:
        """What is wanted beside the images."""
        several = (list(self.checkpoint or []), self.samples, self.spread, self.seed)
        bounds = (self.calibration, self.coverage, self.regions, self.flip_boxes)
        return Wanted(*several, *bounds)

    @property
    def phase(self) -> bool:
        """Whether the images keep their phase."""
        return self.image == "complex"

    @property
    def selection(self) -> Selection:
        """Which slices and frames."""
        return Selection(self.slices, self.frames)

    def request(self, file: Path, bounds: Bounds | None) -> Request:
        """Return what is wanted of a file."""
        disclosure = chosen_disclosure(self.provenance)
        return Request(
            self.selection,
            self.phase,
            self.batch_size,
            disclosure,
            told_command(disclosure, file.name),
            progress=draws_bars(),
            spread=self.wanted.spread,
            bounds=bounds,
        )


@command(Settings, groups=GROUPS)
def reconstruct(config: DictConfig, settings: Settings) -> None:
    """Reconstruct every file, go on after a bad one, and fail at the end if any failed."""
    with ExitStack() as stack:
        if settings.input == STANDARD:
            path = stack.enter_context(standard_input())
            files = [path]
            source: Path | None = path.parent
        else:
            files, source = input_files(settings.input, settings.pattern)
        if settings.output == STANDARD:
            stream = stack.enter_context(standard_output())
            _send_files(config, settings, files, stream)
        else:
            _write_files(config, settings, files, source)


def _send_files(
    config: DictConfig, settings: Settings, files: list[Path], stream: BinaryIO
) -> None:
    """Reconstruct one file into a stream of MRD images."""
    if len(files) > 1:
        raise ConfigError(f"output=- takes one raw file, but input has {len(files)}")
    device = find_device(settings.device)
    method = build_methods(config, settings.wanted.checkpoints, device, settings.trust)
    scan = open_scan(files[0], build(config.reading, ReadOptions, "reading"))
    made = _announced(
        scan, method, settings, settings.wanted.bounds(method, settings.trust, [files[0].stem])
    )
    count = send_mrd(stream, made.results)
    print(f"  sent {count} images")


def _write_files(
    config: DictConfig, settings: Settings, files: list[Path], source: Path | None
) -> None:
    device, folder = find_device(settings.device), output_folder(settings.output)
    existing = chosen_existing(settings.existing, settings.overwrite)
    reading = build(config.reading, ReadOptions, "reading")
    read = (*settings.wanted.checkpoints, reading.noise, settings.wanted.file)
    method = build_methods(config, settings.wanted.checkpoints, device, settings.trust)
    names = [stem(file, source) for file in files]
    bounds = settings.wanted.bounds(method, settings.trust, names)
    outputs = Outputs(
        folder, settings.formats, files, existing, settings.dicom_template, source, read,
        phase=settings.phase, quantities=settings.wanted.quantities(bounds),
    )  # fmt: skip
    failures, incomplete, doubtful = Failures(), 0, 0
    for file in files:
        with failures.of(file):
            scan = open_scan(file, reading, outputs.source)
            pages = _reconstruct(scan, method, outputs, settings, bounds)
            incomplete += not all(page.path for page in pages)
            doubtful += any(page.warnings for page in pages)
    if doubtful:
        print(
            f"WARNING: {doubtful} of {len(files)} files have images that do not fit their data, or "
            "data without signal; look at the quality pages before you trust them",
            file=sys.stderr,
        )
    problems = list(filter(None, [failures.problem(len(files))]))
    if incomplete:
        problems.append(f"{incomplete} of {len(files)} files have images, but no quality page")
    if problems:
        raise MriReconError("; ".join(problems))


@dataclass(frozen=True)
class QualityPage:
    """What became of a quality page.

    Attributes:
        path: Path of the page; None when it could not be made.
        warnings: Sentences about what it warns of.
    """

    path: Path | None
    warnings: tuple[str, ...] = ()


def _reconstruct(
    scan: FileScan,
    method: Method,
    outputs: Outputs,
    settings: Settings,
    bounds: Bounds | None = None,
) -> list[QualityPage]:
    """Write what is not there; returns the quality pages that were wanted."""
    started, file = time.perf_counter(), scan.path
    todo = outputs.todo(file, chosen_series(scan.header, settings.selection))
    if not any(todo.values()):
        print(f"{scan.header.name}: all outputs are there")
        return []
    made = _announced(scan, method, settings, bounds)
    writing = time.perf_counter()
    written: list[Path] = []
    for result in made.results:
        for name in todo[result.suffix]:
            if name != QUALITY:
                outputs.write(name, file, result)
                written += outputs.images(name, file, result.suffix)
    made = replace(made, seconds=(*made.seconds, ("writing", time.perf_counter() - writing)))
    wanted = [result for result in made.results if QUALITY in todo[result.suffix]]
    pages = [_quality_page(scan, result, made, outputs, settings.selection) for result in wanted]
    written += [page.path for page in pages if page.path is not None]
    names = ", ".join(scan_name(path, outputs.folder) for path in written)
    print(f"  {time.perf_counter() - started:.1f} s; wrote {names} to {outputs.folder}")
    return pages


def _announced(scan: FileScan, method: Method, settings: Settings, bounds: Bounds | None) -> Made:
    """Reconstruct a scan, and say what and how."""
    header = scan.header
    h, w = header.grid
    frames = f"{len(header.frames)} frames of " if len(header.frames) > 1 else ""
    shown = header.as_slices() if header.volumetric else header
    readout = f"{header.slices} x " if header.volumetric else ""
    print(
        f"{header.name}: {header.format}, {frames}{counted(shown.slices, 'slice')}, "
        f"{counted(header.coils, 'coil')}, k-space {readout}{h} x {w}, "
        f"image {shown.matrix[0]} x {shown.matrix[1]}; {method.name}"
    )
    for note in header.notes:
        print(f"  note: {note}")
    refuse_unfitting(scan, method, settings.batch_size)
    refuse_slow(scan, method, settings.hours, planes_of(header, settings.selection))
    made = run(scan, method, settings.request(scan.path, bounds))
    for note in made.notes:
        print(f"  note: {note}")
    for warning in made.warnings:
        print(f"  WARNING: {warning}")
    print(f"  {made.sampling}")
    return made


def _quality_page(
    scan: FileScan, result: Reconstruction, made: Made, outputs: Outputs, selection: Selection
) -> QualityPage:
    """Measure and write the page, and print what it warns of.

    The images are complete by now, so whatever goes wrong here must not look as if they were not.
    """
    file = scan.path
    try:
        result = assessed(scan, result, made.method, made.seconds, selection)
        assert result.quality is not None
        for warning in result.quality.warnings:
            print(f"  WARNING: {warning}", file=sys.stderr)
        return QualityPage(outputs.write(QUALITY, file, result), result.quality.warnings)
    except Exception as error:  # noqa: BLE001 - see above
        kind = "" if isinstance(error, MriReconError) else f"{type(error).__name__}: "
        name = outputs.path(QUALITY, file, result.suffix).name
        print(f"WARNING {file}: no quality page {name}: {kind}{error}", file=sys.stderr)
        return QualityPage(None)


main = reconstruct
