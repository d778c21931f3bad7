"""``mrirecon calibrate``: how large the errors of a method are in patients whose truth is known."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig
from tqdm import tqdm

from mrirecon.commands.base import command
from mrirecon.commands.going_on import Failures
from mrirecon.commands.inputs import input_files
from mrirecon.commands.method import GROUPS, build_methods, find_device
from mrirecon.commands.outputs import read_files, stem
from mrirecon.commands.spread import Wanted, checkpoint_files
from mrirecon.config import build, plain
from mrirecon.data.gaps import has_gaps
from mrirecon.data.transforms import Compose, Normalize
from mrirecon.errors import ConfigError, MriReconError, RawDataError
from mrirecon.evaluation.origins.origin import in_one_line
from mrirecon.evaluation.regions.scored_apart import Regions
from mrirecon.files import Kind, Untouchable, output_folder, refuse_existing
from mrirecon.leaks import refuse_seen
from mrirecon.pipeline import Method, Request, run
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.read_options import ReadOptions
from mrirecon.readers import FileScan, open_scan
from mrirecon.reconstruction import planes_of
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.guarded import unguarded
from mrirecon.selection import Selection
from mrirecon.sensitivity import Espirit
from mrirecon.terminal import draws_bars
from mrirecon.uncertainty.bounds import places
from mrirecon.uncertainty.calibrating import Calibrating
from mrirecon.uncertainty.calibration import Calibration
from mrirecon.uncertainty.calibration_file import (
    ENDING,
    calibration_beside,
    write_calibration,
)
from mrirecon.uncertainty.calibration_page import refuse_page, write_page
from mrirecon.uncertainty.conformal import checked_share, patients_needed, percent
from mrirecon.uncertainty.readouts import chosen_readouts
from mrirecon.uncertainty.scales import Scale
from mrirecon.uncertainty.spread import Spread


@dataclass(frozen=True)
class Settings:
    """mrirecon calibrate input=FOLDER sampling=PATTERN [checkpoint=FILE | model=...]."""

    input: str | list[str]
    pattern: str
    output: str | None
    overwrite: bool
    checkpoint: str | list[str] | None
    reference: Literal["rss", "sense"]
    scale: Literal["samples", "local", "constant"] | None
    samples: int | None
    spread: Literal["ensemble", "replicas", "random"] | None
    seed: int
    coverage: float
    confidence: float | None
    regions: str | None
    flip_boxes: bool
    readouts: list[Any] | tuple[Any, ...] | str
    allow_leak: bool
    trust: list[str] | tuple[str, ...] | str
    device: str
    batch_size: int
    slices: int | str | list[int | str] | None
    frames: int | str | list[int | str] | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "checkpoint", checkpoint_files(self.checkpoint))
        self.wanted  # noqa: B018 - checked before anything is built
        if self.batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {self.batch_size}")
        if self.scale not in (None, "samples") and self.samples is not None:
            raise ValueError(f"scale={self.scale} does not use samples=; leave one of them out")

    @property
    def wanted(self) -> Wanted:
        """The several images of each scan."""
        several = (list(self.checkpoint or []), self.samples, self.spread, self.seed)
        return Wanted(*several, regions=self.regions, flip_boxes=self.flip_boxes)

    @property
    def target(self) -> Path:
        """Where the calibration goes."""
        if self.output:
            path = Path(self.output).expanduser()
            if not path.name.endswith(ENDING):
                raise ConfigError(f"output: {path.name} must end in {ENDING}")
            return path
        if len(self.wanted.checkpoints) != 1:
            raise ConfigError(f"output: name the file, output=NAME{ENDING}; only that of one "
                              "checkpoint lies beside it by itself")  # fmt: skip
        return calibration_beside(self.wanted.checkpoints[0])


@command(Settings, groups=tuple(name for name in GROUPS if name != "adaptation"))
def calibrate(config: DictConfig, settings: Settings) -> None:
    """Reconstruct known scans as if they had been undersampled, and keep how far that is off."""
    _checked(settings)
    if config.sampling is None:
        raise ConfigError(
            "sampling: name the undersampling that is calibrated for, sampling=equispaced say; of "
            "fully sampled scans there would be no error"
        )
    method = build_methods(
        config, settings.wanted.checkpoints, find_device(settings.device), settings.trust
    )
    spread = _spread(settings, method)
    scale: Scale = settings.scale or ("samples" if spread else "constant")
    if scale == "samples" and spread is None:
        raise ConfigError("scale=samples needs samples=NUMBER, the number of images")
    nodes = [settings.readouts] if isinstance(settings.readouts, str) else settings.readouts
    collected = Calibrating(scale, chosen_readouts(nodes))
    files, source = input_files(settings.input, settings.pattern)
    output_folder(settings.target.parent)
    refuse_existing(settings.target, settings.overwrite, Kind.CALIBRATION)
    refuse_page(settings.target, settings.overwrite)
    Untouchable(read_files(files, settings.wanted.checkpoints)).refuse([settings.target])
    reading = build(config.reading, ReadOptions, "reading")
    scans = [open_scan(file, reading, source) for file in files]
    _refuse_leaks(scans, method, settings.allow_leak)
    regions = settings.wanted.regions_of([stem(file, source) for file in files])
    _collect(scans, method, spread, settings, collected, regions)
    calibration = Calibration(
        method.facts,
        settings.reference,
        in_one_line(plain(config.sampling, "sampling")),
        scale,
        spread,
        settings.coverage,
        settings.confidence,
        tuple(collected.scans),
        collected.patients,
        collected.region_scores,
        collected.readout_scores,
        str(settings.target),
    )
    write_calibration(settings.target, calibration, overwrite=settings.overwrite)
    for line in lines_of(calibration):
        print(line)
    pages = write_page(settings.target, calibration, overwrite=settings.overwrite)
    print(f"wrote {settings.target}, {', '.join(one.name for one in pages)}")


def _checked(settings: Settings) -> None:
    checked_share(settings.coverage, "coverage")
    if settings.confidence is not None:
        checked_share(settings.confidence, "confidence")
    settings.target  # noqa: B018 - refused before anything is computed


def _spread(settings: Settings, method: Method) -> Spread | None:
    spread = settings.wanted.spread if settings.scale in (None, "samples") else None
    return spread and spread.of(method.reconstructor)


def _refuse_leaks(scans: Sequence[FileScan], method: Method, allow_leak: bool) -> None:
    """Errors on patients that the weights know are too small."""
    seen = [one.header.name for one in scans if method.has_seen(one.header)]
    refuse_seen(method.name, () if allow_leak else seen, "take other patients")
    if method.checkpoint and not unguarded(method.reconstructor).patients:
        print("note: The weights do not tell which patients they have learned from; none of these "
              "must be among them.")  # fmt: skip
    unknown = [one.header.name for one in scans if not one.header.subject]
    if unknown:
        print(
            f"WARNING: {len(unknown)} of {len(scans)} files do not tell their patient, such as "
            f"{unknown[0]}; each is taken for a patient of its own. Several scans of one patient "
            "would make the bounds too narrow",
            file=sys.stderr,
        )


def _patient(scan: FileScan) -> str:
    return patient_pseudonym(scan.header.subject or f"scan {scan.header.name}")


def _collect(
    scans: Sequence[FileScan],
    method: Method,
    spread: Spread | None,
    settings: Settings,
    collected: Calibrating,
    regions: Regions | None,
) -> None:
    """Compare every scan with its reference; one that fails makes the run fail at its end.

    A calibration without the scans that failed might hold for those only that are easy.
    """
    failures = Failures()
    selection = Selection(settings.slices, settings.frames)
    request = Request(selection, batch_size=settings.batch_size, spread=spread)
    truth = ZeroFilled() if settings.reference == "rss" else CgSense(Espirit())
    whole = Method(truth, Compose([Normalize()]), device=method.device)
    for scan in tqdm(scans, unit="scan", leave=False, disable=not draws_bars()):
        with failures.of(scan.path):
            _refuse_gaps(scan, selection)
            references = run(scan, whole, replace(request, spread=None)).results
            made = run(scan, method, request)
            for warning in made.warnings:
                print(f"{scan.header.name}: WARNING: {warning}", file=sys.stderr)
            for image, reference in zip(made.results, references, strict=True):
                where = places(regions, reference, scan.header.name) if regions else None
                collected.add(_patient(scan), image, reference, where)
    if problem := failures.problem(len(scans)):
        raise MriReconError(
            f"{problem}; nothing was written. Leave these files out with pattern= only if that has "
            "nothing to do with how hard they are"
        )


def _refuse_gaps(scan: FileScan, selection: Selection) -> None:
    number = planes_of(scan.header, selection)[0]
    if bool(has_gaps(scan[number]).any()):
        raise RawDataError(
            f"{scan.path} is undersampled, so nobody knows its true image; expected a fully "
            "sampled scan, of which sampling= takes samples away"
        )


def lines_of(calibration: Calibration) -> list[str]:
    """Say what a calibration promises, and how wide its bounds are."""
    count, radius = len(calibration.patients), calibration.radius
    lines = [
        f"{calibration.method.name}: {count} patients, {len(calibration.scans)} series; target "
        f"{calibration.target}, scale {calibration.scale}"
    ]
    if shortage := calibration.shortage():
        lines.append(f"WARNING: {shortage}")
    else:
        width = sum(one.relative_scale for one in calibration.patients) / count
        lines.append(
            f"voxels: image ± {radius:.3g} times the scale, {100 * radius * width:.1f} % of the "
            f"mean signal; {calibration.promise}"
        )
    for one in (*calibration.regions, *calibration.readouts):
        bound, needed = one.bound(calibration.coverage), patients_needed(calibration.coverage)
        told = f"± {bound:.4g} {one.unit} with probability {percent(calibration.coverage)}"
        if not math.isfinite(bound):
            told = f"no finite bound: {needed} patients are needed"
        lines.append(f"{one.name}: {len(one.values)} patients, {told}")
    return lines


main = calibrate
