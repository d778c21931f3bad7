"""Scores volumes one after the other or in several processes, with the same results."""

import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from mrirecon.errors import ConfigError, MriReconError, RawDataError, ShapeError
from mrirecon.evaluation.regions.scored_apart import Regions
from mrirecon.evaluation.scores.flow import Pair, velocities
from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import (
    Protocol,
    Reference,
    Score,
    Scored,
    Where,
    compared,
    region,
    values,
)
from mrirecon.interruption import left_to_the_parent
from mrirecon.simulation.threads import single_thread
from mrirecon.threads import processors

KEPT_BUSY = 8
"""Volumes for which it is worth to start one more process."""


@dataclass(frozen=True)
class Case:
    """The files of one volume.

    Attributes:
        name: Name of the volume.
        reference: File of the reference.
        images: File of the reconstruction of each method.
        flow: Files without flow encoding where velocities are scored, too.
    """

    name: str
    reference: Path
    images: dict[str, Path]
    flow: "Flow | None" = None


@dataclass(frozen=True)
class Flow:
    """The files without flow encoding that belong to those of a volume.

    Attributes:
        venc: Velocity in cm/s that turns the phase by half a turn.
        reference: File of the reference.
        images: File of the reconstruction of each method.
    """

    venc: float
    reference: Path
    images: dict[str, Path]


@dataclass(frozen=True)
class Rules:
    """How volumes are read and scored.

    Attributes:
        protocol: What is compared, and by which metrics.
        reference_dataset: Data set of the references; None for the one that is found.
        reconstruction_dataset: Data set of the reconstructions, likewise.
        regions: Regions that are scored apart, beside all that the protocol compares.
    """

    protocol: Protocol
    reference_dataset: str | None = None
    reconstruction_dataset: str | None = None
    regions: Regions | None = None


@dataclass(frozen=True)
class Outcome:
    """The scores of one volume by every method, and what was seen on the way."""

    scores: list[Score]
    seen: Observed


def workers_for(volumes: int, asked: int | None) -> int:
    """Return the number of processes to use.

    Args:
        volumes: Number of volumes.
        asked: Number that the user wants; None for the processors that this process may use, and
            no more than the volumes keep busy.

    Raises:
        ConfigError: When fewer than one is asked for.
    """
    if asked is None:
        return max(1, min(processors().usable, volumes // KEPT_BUSY))
    if asked < 1:
        raise ConfigError(f"workers: expected at least 1, got {asked}")
    return min(asked, volumes)


def score_cases(cases: Sequence[Case], rules: Rules, workers: int = 1) -> Iterator[Outcome]:
    """Score volumes, in their order; each process holds one volume at a time.

    Args:
        cases: Files of the volumes.
        rules: Rules of how they are read and scored.
        workers: Number of processes.

    Raises:
        MriReconError: When a file cannot be read or scored, or a process was killed.
    """
    if workers == 1:
        yield from (score_case(case, rules) for case in cases)
        return
    _refuse_unsendable(rules)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), left_to_the_parent)
    try:
        waiting = iter(cases)
        running = [(c, pool.submit(score_case, c, rules)) for c in islice(waiting, 2 * workers)]
        while running:
            case, future = running.pop(0)
            try:
                outcome = future.result()
            except BrokenProcessPool as error:
                raise MriReconError(
                    f"{case.name}: a process was killed while it scored this volume or one of the "
                    "next ones, perhaps for its memory; take fewer with workers="
                ) from error
            running += [(c, pool.submit(score_case, c, rules)) for c in islice(waiting, 1)]
            yield outcome
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _refuse_unsendable(rules: Rules) -> None:
    """Raise ConfigError when other processes cannot be told by which metrics they score."""
    try:
        pickle.dumps(rules)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"workers: a metric or segmenter of yours cannot be sent to other processes ({error}); "
            "make it a function or a class of a module, without lambdas or open files in it, or "
            "score in one process with workers=1"
        ) from error


@single_thread()
def score_case(case: Case, rules: Rules) -> Outcome:
    """Read and score one volume on one core, so that sums do not depend on their number."""
    seen = Observed()
    stored = seen.read(case.reference, rules.reference_dataset)
    reference = stored.values
    protocol = rules.protocol.of_stack(stored.frames, len(reference) // stored.frames)
    read = {
        method: seen.read(path, rules.reconstruction_dataset, method)
        for method, path in case.images.items()
    }
    images = {method: one.values for method, one in read.items()}
    places = {}
    if rules.regions is not None:
        slices, y, x = reference.shape
        alike = [one for one in (stored, *read.values()) if one.values.shape == reference.shape]
        affine = next((one.affine for one in alike if one.affine is not None), None)
        seen.placed(case.name in rules.regions.maps and affine is None)
        places = rules.regions.of(case.name, (slices, y, x), affine)
    scores, speeds = [], _Compared(case, protocol, reference)
    for method, image in images.items():
        pair = compared(method, case.name, image, reference, protocol)
        inside = foreground(pair[1]) if protocol.foreground else None
        with _naming(f"{case.name}, {method}"):
            scores.append(Score(method, case.name, speeds.values(method, pair, inside)))
        for label, place in places.items():
            where = region(place.float(), reference, protocol) > 0
            if not where.any():
                continue  # the protocol leaves out where it lies
            seen.region(case.name, label, int(where.sum()))
            with _naming(f"{case.name}, {method}, region {label}"):
                found = speeds.values(method, pair, where)
                scores.append(Score(method, case.name, found, label))
    seen.compare(case.name, images, reference, protocol)
    return Outcome(scores, seen)


class _Compared:
    """The metrics of a volume, those of its velocities included.

    Args:
        case: Files of the volume.
        protocol: Protocol to score by.
        reference: Volume of the reference.
    """

    def __init__(self, case: Case, protocol: Protocol, reference: Reference) -> None:
        self._case, self._protocol, self._reference = case, protocol, reference
        self._magnitudes, self._velocities = map(protocol.comparing, ("magnitude", "velocity"))
        if case.flow is not None:
            known = velocities(Pair(case.name, case.reference, case.flow.reference), case.flow.venc)
            self._known = region(known.velocity, reference, protocol)
            self._inside = foreground(region(known.magnitude, reference, protocol))

    def values(
        self, method: str, pair: tuple[Scored, Scored], where: Where | None
    ) -> dict[str, float]:
        """Return every metric of a method; velocities count in the foreground, or in a region.

        Args:
            method: Name of the method.
            pair: Magnitudes as they are compared.
            where: Voxels that count; None for all.
        """
        found, flow = values(*pair, self._magnitudes, where), self._case.flow
        if flow is None:
            return found
        files = Pair(self._case.name, self._case.images[method], flow.images[method])
        moved = region(velocities(files, flow.venc).velocity, self._reference, self._protocol)
        where = self._inside if where is None else where
        return found | values(moved, self._known, self._velocities, where)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Put what is scored before what is wrong with it."""
    try:
        yield
    except (ShapeError, RawDataError) as error:
        raise type(error)(f"{what}: {error}") from error
