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
from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import Protocol, Score, compared, region, values
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
    """

    name: str
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
    scores = []
    for method, image in images.items():
        pair = compared(method, case.name, image, reference, protocol)
        inside = foreground(pair[1]) if protocol.foreground else None
        with _naming(f"{case.name}, {method}"):
            scores.append(Score(method, case.name, values(*pair, protocol, inside)))
        for label, place in places.items():
            where = region(place.float(), reference, protocol) > 0
            if not where.any():
                continue  # the protocol leaves out where it lies
            seen.region(case.name, label, int(where.sum()))
            with _naming(f"{case.name}, {method}, region {label}"):
                scores.append(Score(method, case.name, values(*pair, protocol, where), label))
    seen.compare(case.name, images, reference, protocol)
    return Outcome(scores, seen)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Put what is scored before what is wrong with it."""
    try:
        yield
    except (ShapeError, RawDataError) as error:
        raise type(error)(f"{what}: {error}") from error
