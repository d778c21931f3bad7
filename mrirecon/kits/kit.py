"""Kits: the frozen description of a benchmark, one YAML file each in ``conf/benchmark/``.

Two laboratories that name the same kit reconstruct the same samples of the same scans and score
them in the same way. Nothing of a kit can be changed from the command line; a changed description
is another kit, which its checksum tells.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from mrirecon.kits.patterns import check_pattern

UNSCORED = ("anchors", "notes")
"""What of a description decides neither about cases nor about scores."""
LARGEST = 10_000
"""People, slices, coils and pixels along an axis of simulated scans, at most."""
WORDS = ("title", "source", "split", "patients")
"""What of the description of files does not, either."""


@dataclass(frozen=True)
class Anchor:
    """A score that somebody has published for the cases of a kit, or that we measured.

    Attributes:
        method: Name of the method as its source has it.
        metric: Name of the metric.
        value: Mean over the volumes of the kit.
        tolerance: Difference that other versions, masks of equal kind and rounding explain.
        source: Words about who says so and when.
        ours: Name of the class of this package that is the same classical method, which must reach
            the value; None for what only bounds what can be believed.
    """

    method: str
    metric: str
    value: float
    tolerance: float
    source: str
    ours: str | None = None


@dataclass(frozen=True)
class Files:
    """The files of a kit that users get themselves.

    Attributes:
        title: Name of the data set and of the part of it.
        source: Words about where to get it.
        split: Words about who has chosen these files.
        patients: Words about what is known of whose scans they are.
        count: Number of files.
        pattern: Shell pattern of the files in the folder.
        names: Name of the list of files, ``names/NAME.txt`` beside the kit; None where the kit is
            every file of the pattern.
        beside: Shell pattern of files that may lie in the folder without belonging to the kit.
        coils: Number of coils of each file.
        planes: Number of planes of each file.
        total: Number of planes of all files together.
        grid: Size of the k-space of each plane, 0 for an axis that varies.
        matrix: Size of the images, likewise.
    """

    title: str
    source: str
    split: str
    patients: str
    count: int
    pattern: str
    names: str | None = None
    beside: str | None = None
    coils: int | None = None
    planes: int | None = None
    total: int | None = None
    grid: tuple[int, ...] = ()
    matrix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("grid", "matrix"):
            if len(getattr(self, name)) not in (0, 2):
                raise ValueError(f"{name}: expected two numbers, got {getattr(self, name)}")


@dataclass(frozen=True)
class Simulated:
    """Simulated scans of one kind, each of a person of its own.

    Attributes:
        first: Number of the first person.
        count: Number of people.
        contrasts: Contrasts that take turns.
        matrix: Size ``(h, w)`` of the images.
        slices: Number of slices.
        coils: Number of receive loops.
        snr: Signal of the brain in standard deviations of the noise, see
            :class:`~mrirecon.simulation.SimulationProtocol`.
        sampling: Pattern by its name in ``conf/sampling``, and its settings.
    """

    first: int
    count: int
    contrasts: tuple[str, ...]
    matrix: tuple[int, ...]
    slices: int
    coils: int
    snr: float
    sampling: dict[str, Any]

    def __post_init__(self) -> None:
        sizes = (self.count, self.slices, self.coils, *self.matrix)
        if min(sizes) < 1 or max(sizes) > LARGEST or len(self.matrix) != 2 or self.first < 0:
            raise ValueError(
                f"simulated: expected positive numbers up to {LARGEST}, and a matrix of two"
            )
        if self.snr <= 0:
            raise ValueError(f"simulated: snr: expected a number above zero, got {self.snr}")
        if not self.contrasts:
            raise ValueError("simulated: contrasts: expected one at least")
        check_pattern(self.sampling)


@dataclass(frozen=True)
class Kit:
    """A frozen benchmark.

    Attributes:
        version: Number that is raised when the cases or their scores change.
        target: Reference: ``file``, the reconstruction that the raw file brings; ``fully_sampled``,
            the root-sum-of-squares of all its samples; ``noise_free``, what a simulated scanner
            without noise would have seen.
        protocol: Name of the scoring protocol in ``conf/protocol``.
        files: Files that users get themselves; None for simulated scans.
        simulated: Kinds of simulated scans; empty for files.
        sampling: Pattern of the samples of files that are kept, by its name in ``conf/sampling``,
            and its settings. Every scan gets a mask of its own, seeded by its name.
        across_readout: Whether volumes of 3-D scans are stacks of planes across the readout, as
            their protocol scores them.
        anchors: Published scores of these cases.
        notes: Sentences about what to know.
    """

    version: int
    target: Literal["file", "fully_sampled", "noise_free"]
    protocol: str
    files: Files | None = None
    simulated: tuple[Simulated, ...] = ()
    sampling: dict[str, Any] | None = None
    across_readout: Literal["yes", "no"] = "no"
    anchors: tuple[Anchor, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.files is None) == (not self.simulated):
            raise ValueError("expected either files or simulated")
        if (self.files is None) != (self.target == "noise_free"):
            raise ValueError(f"target: {self.target} is none of what the scans can have")
        if (self.files is None) != (self.sampling is None):
            raise ValueError("sampling: expected for files, and within simulated for the others")
        if self.sampling is not None:
            check_pattern(self.sampling)

    @property
    def cases(self) -> int:
        """Number of cases."""
        return self.files.count if self.files else sum(one.count for one in self.simulated)


@dataclass(frozen=True)
class NamedKit:
    """A kit as its file has it.

    Attributes:
        name: Name of the kit.
        about: First line of the file, which says what it is.
        kit: Frozen description of the benchmark.
        names: Names of its files in their frozen order, with folders below that of the data set;
            empty where the kit is every file of a pattern.
        checksum: Checksum of all that decides about cases and scores.
    """

    name: str
    about: str
    kit: Kit
    names: tuple[str, ...]
    checksum: str


def checksum_of(tree: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the checksum of a description.

    Args:
        tree: Description as YAML has it.
        names: Names of the list of files that it refers to.
    """
    told = {key: value for key, value in tree.items() if key not in UNSCORED}
    if isinstance(files := told.get("files"), dict):
        told["files"] = {key: value for key, value in files.items() if key not in WORDS}
    text = json.dumps({**told, "listed": names}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
