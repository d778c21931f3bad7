"""A scan, a method and what is wanted of both, to series of images that tell how they were made.

The command line and the Python interface both come through here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mrirecon.adaptation import Adaptation
from mrirecon.assessment import TimedScan, peak_memory
from mrirecon.assessment.assess import assess
from mrirecon.data.collate import collate
from mrirecon.data.transforms import sampling_remarks, undersampled
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.privacy import Disclosure, recorded
from mrirecon.pseudonyms import patients
from mrirecon.readers import FileScan
from mrirecon.reconstruction import (
    Provenance,
    Reconstruction,
    planes_of,
)
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.partial_fourier import PartialFourier
from mrirecon.reconstructors.learned.guarded import unguarded
from mrirecon.sampling import SamplingPattern
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.scan import Scan, ScanHeader
from mrirecon.selection import Selection
from mrirecon.types import Sample, Transform
from mrirecon.uncertainty.bounds import Bounds
from mrirecon.uncertainty.conditions import MethodFacts
from mrirecon.uncertainty.ensemble import Ensemble
from mrirecon.uncertainty.imaging import Imaging
from mrirecon.uncertainty.spread import Spread

Seconds = tuple[tuple[str, float], ...]
EMPTY = "the image is zero everywhere; is the k-space empty?"
SEEN = "The weights have learned from this very patient: scores of these images are too good."


@dataclass(frozen=True)
class Method:
    """What turns every scan into images, and how it was made.

    Attributes:
        reconstructor: Reconstructor that makes the images; its parameters lie on ``device``.
        transform: Preprocessing that every slice goes through first.
        sampling: Pattern that takes measured samples away before that; None takes none.
        device: Torch device that computes; the CPU by default.
        config: The configuration that all were built from, as YAML; empty when there was none.
        checkpoint: Path and checksum of the weights, see :func:`~mrirecon.privacy.identified`;
            empty for a classical method, and for one that starts from random ones.
        adaptation: Adaptation that fits the reconstructor to each scan; None for none.
    """

    reconstructor: Reconstructor
    transform: Transform
    sampling: SamplingPattern | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    config: str = ""
    checkpoint: str = ""
    adaptation: Adaptation | None = None

    @property
    def name(self) -> str:
        """Class of the reconstructor, what fills partial Fourier, and whether it is fitted."""
        inner = unguarded(self.reconstructor)
        name = type(inner).__name__
        if isinstance(inner, Ensemble):
            name = inner.label
        if isinstance(inner, PartialFourier):
            name = f"{type(inner.reconstructor).__name__} with {inner.label}"
        return f"{name} fitted to the scan" if self.adaptation else name

    @property
    def facts(self) -> MethodFacts:
        """What tells it from other methods; one that is fitted to each scan has another name."""
        return MethodFacts.of(self.name, self.checkpoint, self.config)

    @property
    def prepare(self) -> Transform:
        """Undersampling, if there is any, and preprocessing."""
        return undersampled(self.transform, self.sampling)

    def has_seen(self, header: ScanHeader) -> bool:
        """Tell whether the weights have learned from the patient of a scan, as far as known."""
        person = patients([header.subject]).keys()
        return not person.isdisjoint(unguarded(self.reconstructor).patients)


def ensemble_of(methods: Sequence[Method]) -> Method:
    """Return one method whose image is the mean of those of several; of a single one itself.

    Raises:
        ConfigError: When they prepare scans differently, or want other neighbours or frames, or one
            is fitted to each scan.
    """
    if not methods:
        raise ConfigError("an ensemble needs at least one method, got none")
    if len(methods) == 1:
        return methods[0]
    first = methods[0]
    if any(one.adaptation for one in methods):
        raise ConfigError("adaptation: fits one network to a scan; give it one checkpoint")
    known = [one.facts.weights for one in methods if one.checkpoint]
    if twice := next((one for one in known if known.count(one) > 1), None):
        raise ConfigError(
            f"checkpoint: the weights {', '.join(twice)} (SHA-256) are given twice; an ensemble of "
            "equal weights would look certain of whatever it shows"
        )
    if any(repr(one.transform) != repr(first.transform) for one in methods):
        told = " and ".join(dict.fromkeys(repr(one.transform) for one in methods))
        raise ConfigError(
            f"checkpoint: an ensemble shares its preprocessing, but these have {told}; give "
            "checkpoints of one recipe, or reconstruct with each alone"
        )
    return replace(
        first,
        reconstructor=Ensemble([one.reconstructor for one in methods]),
        checkpoint="\n".join(one.checkpoint for one in methods),
    )


@dataclass(frozen=True)
class Request:
    """What is wanted of a scan, and what its images may tell.

    Attributes:
        selection: Slices and frames that are wanted; all of them by default.
        phase: Whether the images keep their phase.
        batch_size: Slices computed at once.
        disclosure: Choice of what the images tell about where they come from.
        command: The command line, as far as it may be told.
        progress: Whether to show progress bars.
        spread: Several images whose mean and standard deviation are wanted, too; None for none.
        bounds: Calibration of the method, whose bounds are wanted, too; None for none.
    """

    selection: Selection = field(default_factory=Selection)
    phase: bool = False
    batch_size: int = 1
    disclosure: Disclosure = Disclosure.PRIVATE
    command: str = ""
    progress: bool = False
    spread: Spread | None = None
    bounds: Bounds | None = None


@dataclass(frozen=True)
class Made:
    """The series of one scan, and what there is to say about how they came about.

    Attributes:
        results: One reconstruction for every series of the scan.
        method: The method that made them; its network is fitted to the scan, if that was asked for.
        seconds: Name and duration in seconds of every step, in the order in which they came.
        notes: Sentences for people.
        sampling: Acceleration of the samples that were used, in words.
        warnings: Sentences about what makes the images doubtful; empty when nothing does.
    """

    results: list[Reconstruction]
    method: Method
    seconds: Seconds
    notes: tuple[str, ...]
    sampling: str
    warnings: tuple[str, ...] = ()


def run(scan: Scan, method: Method, request: Request | None = None) -> Made:
    """Reconstruct every slice of every frame of a scan, or those that are wanted.

    Raises:
        RawDataError: When the images are not finite.
        ConfigError: When the method cannot be varied as the spread asks for.
    """
    started = time.perf_counter()
    request = request or Request()
    numbers = planes_of(scan.header, request.selection)
    raw = with_signal(scan, numbers)
    bounds = request.bounds
    asked = bounds.spread(request.spread) if bounds else request.spread
    spread = asked and asked.of(method.reconstructor)
    remarks = (
        *sampling_remarks(method.prepare, raw),
        *method.reconstructor.remarks(collate([method.prepare(raw)])),
    )
    opened = time.perf_counter()
    method, adaptation = _adapted(scan, method, request.progress)
    ready = time.perf_counter()
    timed = TimedScan(scan)
    how = (request.phase, request.batch_size, method.device, request.progress)
    imaging = Imaging(timed, method.reconstructor, method.prepare, numbers, *how)
    found = imaging.imaged(spread)
    file = scan.path if isinstance(scan, FileScan) else Path(scan.header.name)
    if not found.finite:
        raise RawDataError(
            f"{file}: the reconstruction holds values that are not finite; nothing was written. "
            "Are the values of the k-space absurdly large?"
        )
    spent = time.perf_counter() - ready - timed.seconds
    used, doubts = imaging.sampled.sampling(sampled_plane_of(raw)), imaging.doubts
    made = Provenance(
        source="",
        method=method.name,
        command=request.command,
        config=method.config,
        checkpoint=method.checkpoint,
        acceleration=used.acceleration,
        adaptation=adaptation,
        pattern=used.pattern,
        acs=used.acs,
        whitened=scan.header.whitened,
        seconds_per_plane=spent / len(numbers),
        memory=peak_memory(method.device)[-1][1],
        seen=method.has_seen(scan.header),
        training=unguarded(method.reconstructor).training_told,
        spread=spread.told(raw) if spread else "",
    )
    notes = [*adaptation[:1], *remarks, *([SEEN] if made.seen else [])]
    if made.spread:
        notes.append(f"Mean and standard deviation are of {made.spread}.")
    if method.sampling is not None and imaging.measured.acceleration > 1:
        measured = imaging.measured.text()
        notes.append(f"The scan itself has {measured}; sampling= takes away from that.")
    header, made = recorded(scan.header, raw, made, file, request.disclosure)
    coverage = imaging.sampled.coverage.note()
    header = replace(header, notes=(*header.notes, *remarks, *doubts, *filter(None, [coverage])))
    seconds = (
        ("opening", opened - started),
        *([("adaptation", ready - opened)] if adaptation else []),
        ("reading", timed.seconds),
        ("reconstruction", spent),
    )
    series = found.series(header, made, request.selection)
    warnings = [*doubts, *(() if found.planes.any() else (EMPTY,))]
    if bounds:
        series = [bounds.added(one, scan.header.name) for one in series]
        warnings += bounds.doubts(series, next(iter(patients([scan.header.subject])), ""))
        notes += [text for one in series for text in one.provenance.readouts]
    return Made(series, method, seconds, tuple(notes), used.told, tuple(warnings))


def assessed(
    scan: Scan,
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
        method.prepare,
        series=result.suffix,
        selection=selection,
        device=method.device,
        reference=None if method.sampling is None else method.transform,
    )
    seconds = (*seconds, ("quality", time.perf_counter() - started))
    memory = peak_memory(method.device)
    return replace(result, quality=replace(quality, seconds=seconds, memory=memory))


def with_signal(scan: Scan, numbers: Sequence[int]) -> Sample:
    """Return the first of these planes with signal: an empty one is the same in many scans."""
    seen = (scan[number] for number in numbers)
    return next((sample for sample in seen if sample.kspace.any()), None) or scan[numbers[0]]


def _adapted(scan: Scan, method: Method, progress: bool) -> tuple[Method, tuple[str, ...]]:
    """Fit the network to the scan, if asked for; returns how that went, too.

    Every scan starts from the same weights: the network is a copy.
    """
    if method.adaptation is None:
        return method, ()
    network, record = method.adaptation(
        scan, method.reconstructor, method.prepare, device=method.device, progress=progress
    )
    return replace(method, reconstructor=network), record.lines()
