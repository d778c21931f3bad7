"""Makes the volumes of a benchmark: each once, whatever the number of processes that share them."""

import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

from mrirecon.commands.benchmark_methods import Entrants
from mrirecon.commands.going_on import Failures
from mrirecon.commands.method_words import REFERENCE
from mrirecon.data.gaps import has_gaps
from mrirecon.errors import OutputError, RawDataError
from mrirecon.kits.across_readout import across_readout
from mrirecon.kits.cases import KitCase
from mrirecon.kits.claims import Claims
from mrirecon.kits.made import difference, expected, read_stored
from mrirecon.kits.references import other_reference
from mrirecon.leaks import refuse_seen
from mrirecon.pipeline import Method, Request, run, with_signal
from mrirecon.reconstruction import planes_of
from mrirecon.selection import Selection
from mrirecon.simulation.raw_files import write_reference
from mrirecon.terminal import draws_bars
from mrirecon.types import Sample
from mrirecon.writers import WRITERS

VOLUMES = "volumes"
"""Folder of the volumes, with a folder for each method."""
WRITER, SUFFIX = "hdf5", ".h5"
POLL = 0.5
"""Seconds between two looks at what other processes are working on."""
SHOWN = 10
"""At most so many problems are listed."""


@dataclass(frozen=True)
class Piece:
    """One volume that is to be made.

    Attributes:
        label: Name of the method, or that of the references.
        case: Case of the kit.
        path: Path of the volume.
    """

    label: str
    case: KitCase
    path: Path

    @property
    def claim(self) -> str:
        """Name of the work."""
        return f"{self.label}/{self.case.name}"


@dataclass(frozen=True)
class Run:
    """The volumes of a run, and how they are made.

    Attributes:
        folder: Folder of all outputs.
        cases: Cases of the kit, in the order in which this process takes them.
        entrants: Methods that take part; the one of the references makes them from all samples.
        target: Reference of the kit.
        across_readout: Whether volumes of 3-D scans are planes across the readout.
        request: Request of each scan.
        overwrite: Whether volumes are made again that were made in another way.
    """

    folder: Path
    cases: Sequence[KitCase]
    entrants: Entrants
    target: str
    across_readout: bool
    request: Request
    overwrite: bool

    @property
    def methods(self) -> list[str]:
        """Names of the methods, without that of the references."""
        return [name for name in self.entrants.methods if name != REFERENCE]

    def reference(self, case: KitCase) -> Path:
        """Return the path of a reference: the raw file where it brings it."""
        if self.target == "file":
            assert case.file is not None
            return case.file
        return self.folder / REFERENCE / f"{case.name}{SUFFIX}"

    def volume(self, method: str, case: KitCase) -> Path:
        """Return the path of a volume."""
        return self.folder / VOLUMES / method / f"{case.name}{SUFFIX}"

    def pieces(self) -> Iterator[Piece]:
        """Yield all volumes, those of a case one after the other."""
        for case in self.cases:
            if self.target != "file":
                yield Piece(REFERENCE, case, self.reference(case))
            for method in self.methods:
                yield Piece(method, case, self.volume(method, case))

    def refuse(self, allow_leak: bool) -> set[Path]:
        """Refuse what would not be a fair result, before anything is computed.

        Returns:
            The volumes that are there as this run would make them.

        Raises:
            ConfigError: When a method has learned from the people that it would be scored on.
            OutputError: When volumes are there that were made in another way.
            RawDataError: When a reference cannot be made of a scan.
        """
        for method in self.methods:
            own = self.entrants.methods[method]
            seen = [case.name for case in self.cases if own.has_seen(case.header)]
            refuse_seen(method, () if allow_leak else seen, "take another kit")
        if self.target == "fully_sampled":
            for case in self.cases:
                _refuse_gaps(case)
        there = {piece.path: piece for piece in self.pieces() if os.path.lexists(piece.path)}
        told = {path: self._differs(piece) for path, piece in there.items()}
        if not self.overwrite and (others := list(filter(None, told.values()))):
            rest = [f"... and {len(others) - SHOWN} more"] if len(others) > SHOWN else []
            listed = "\n".join(f"  {one}" for one in [*others[:SHOWN], *rest])
            raise OutputError(
                f"{self.folder} holds volumes that this run would not make; choose another output, "
                f"or make them again with overwrite=true:\n{listed}"
            )
        return {path for path, why in told.items() if not why}

    def _differs(self, piece: Piece) -> str:
        """Tell how a volume that is there differs, where it may be made again."""
        try:
            return self.otherwise(piece)
        except OutputError as error:
            if self.overwrite:  # told again when it is not replaced
                return str(error)
            raise

    def otherwise(self, piece: Piece) -> str:
        """Tell how a volume that is there differs from what is wanted; empty if it does not.

        Raises:
            OutputError: When it is no volume of this package.
        """
        scan = piece.case.opened()
        raw = _first(piece.case, tuple(planes_of(scan.header, Selection())))
        if piece.label == REFERENCE and piece.case.simulated is not None:
            return other_reference(piece.path, raw)
        file = piece.case.file or Path(scan.header.name)
        wanted = expected(self._method(piece), scan.header, raw, file)
        told = difference(read_stored(piece.path), wanted)
        return f"{piece.path}: {told}" if told else ""

    def make(self, piece: Piece) -> tuple[str, ...]:
        """Make one volume; returns sentences about it.

        Raises:
            MriReconError: When it cannot be made.
        """
        scan, overwrite = piece.case.opened(), self.overwrite
        if piece.label == REFERENCE and piece.case.simulated is not None:
            write_reference(piece.path, piece.case.simulated, overwrite=overwrite)
            return ()
        made = run(scan, self._method(piece), self.request)
        if len(made.results) != 1:
            raise RawDataError(
                f"{piece.case.name} has {len(made.results)} series of images, expected one"
            )
        result = made.results[0]
        if self.across_readout:
            result = across_readout(result, scan.header)
        WRITERS[WRITER].write(piece.path, result, overwrite=overwrite)
        return (*made.notes, *(f"WARNING: {one}" for one in made.warnings))

    def _method(self, piece: Piece) -> Method:
        sampling = None if piece.label == REFERENCE else piece.case.sampling
        return self.entrants.method(piece.label, sampling)


def make_all(wanted: Run, claims: Claims, there: Collection[Path] = ()) -> None:
    """Make all volumes that are not there, beside other processes that do the same.

    Args:
        wanted: Volumes of the run.
        claims: Claims of the processes that share its folder.
        there: Volumes that need not be made.

    Raises:
        MriReconError: When some of them could not be made.
    """
    pieces, failures = list(wanted.pieces()), Failures()
    total, waiting = len(pieces), [piece for piece in pieces if piece.path not in there]
    done, said = total - len(waiting), set[str]()
    with tqdm(
        total=total, initial=done, unit="volume", leave=False, disable=not draws_bars()
    ) as bar:
        while waiting:
            left = []
            for piece in waiting:
                with claims.claimed(piece.claim) as mine:
                    if not mine:
                        left.append(piece)
                        continue
                    with failures.of(piece.path):
                        _make(wanted, piece, said)
                    bar.update()
            if len(left) == len(waiting):
                time.sleep(POLL)
            waiting = left
    if failures.files:
        raise RawDataError(
            f"{len(failures.files)} of {total} volumes could not be made, so nothing is scored; "
            "the same command goes on with them"
        )


def _make(wanted: Run, piece: Piece, said: set[str]) -> None:
    """Make a volume unless it is there; another process may just have made it.

    Args:
        wanted: Volumes of the run.
        piece: Volume that is made.
        said: What has been told of other volumes, which is not told again.
    """
    if os.path.lexists(piece.path) and not wanted.otherwise(piece):
        return
    started = time.perf_counter()
    told = [f"{piece.label}: {one}" for one in wanted.make(piece)]
    print(f"{piece.claim}: {time.perf_counter() - started:.1f} s", flush=True)
    for one in told:
        if one not in said:
            print(f"  {one}", file=sys.stderr)
    said.update(told)


@lru_cache(maxsize=1)
def _first(case: KitCase, numbers: tuple[int, ...]) -> Sample:
    """Return the first plane of a case with signal; the pieces of a case come together."""
    return with_signal(case.opened(), numbers)


def _refuse_gaps(case: KitCase) -> None:
    """Raise RawDataError when a scan is undersampled, so that its images are no reference."""
    scan = case.opened()
    if has_gaps(_first(case, tuple(planes_of(scan.header, Selection())))).any():
        raise RawDataError(
            f"{case.file}: is undersampled, so its images are no reference; take the fully sampled "
            "files of the data set"
        )


def rotated(cases: Sequence[KitCase], job: int, jobs: int) -> list[KitCase]:
    """Return the cases from where one of several processes begins, so that few ways cross.

    Args:
        cases: Cases of the kit.
        job: Number of the process, from 1.
        jobs: Number of the processes.
    """
    start = len(cases) * (job - 1) // jobs
    return [*cases[start:], *cases[:start]]
