"""Readouts as they arrive, gathered until those of a slice, or of a volume, are complete."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex64

from mrirecon.raw.frames import FRAME_COUNTERS
from mrirecon.raw.header import Limits, MeasurementHeader
from mrirecon.raw.mrd_records import ACQUISITION_HEADER, NOT_IMAGE_MASK, AcquisitionFlag, flag_mask
from mrirecon.raw.readouts import Readouts

END_OF_VOLUME = flag_mask(AcquisitionFlag.LAST_IN_REPETITION, AcquisitionFlag.LAST_IN_MEASUREMENT)
"""Flags of a readout after which nothing more of its volume is expected."""
END_OF_SLICE = END_OF_VOLUME | AcquisitionFlag.LAST_IN_SLICE.mask
"""Flags of a readout after which nothing more of its slice is expected."""


class Unit(Enum):
    """What is reconstructed at once."""

    SLICE = "slice"
    VOLUME = "volume"
    SCAN = "scan"


class Key(NamedTuple):
    """The counters that tell one image from another; ``slice`` is 0 where a volume is one piece."""

    contrast: int
    set: int
    phase: int
    repetition: int
    slice: int

    def precedes(self, other: "Key") -> bool:
        """Tell whether this is an earlier repetition of the same image."""
        return self._replace(repetition=0) == other._replace(repetition=0) and (
            self.repetition < other.repetition
        )


class Readout(NamedTuple):
    """One readout: when it came, its header and its samples."""

    number: int
    head: bytes
    samples: Complex64[np.ndarray, "coil sample"]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.head) + self.samples.nbytes


@dataclass(frozen=True)
class Part:
    """Readouts that are reconstructed together.

    Attributes:
        keys: Images that they make.
        readouts: The lines of these, those of a separate reference scan, and one of each kind that
            takes no part; noise is kept apart.
        size: Bytes of the lines.
        lines: The lines of each image, without those of a reference scan.
    """

    keys: tuple[Key, ...]
    readouts: Readouts
    size: int
    lines: tuple[tuple["Readout", ...], ...] = ()


@dataclass
class _Gathered:
    lines: list[Readout] = field(default_factory=list)
    sent: bool = False

    @property
    def size(self) -> int:
        return sum(one.size for one in self.lines)


class Collector:
    """Gathers the readouts of one session; what is complete comes out as a :class:`Part`.

    An image is complete when a readout of it has a flag that tells so, of the last average where
    the header tells their number. Other echoes, phases and sets of the same slice may still
    get lines then: they are complete when they have such a flag themselves, when a readout of
    another slice or repetition comes, or at the end. So is a repetition when the next one of the
    same slice begins. What has no flags at all is complete at the end.

    Lines of an image stay until its next repetition is complete, so that late ones can be added to
    them: the image comes out once more.

    Args:
        header: Header of the measurement.
        unit: What is reconstructed at once.

    Attributes:
        held: Bytes of all readouts that are kept.
        lost: Number of readouts that came after their image had been forgotten.
        again: Images that came out more than once.
    """

    def __init__(self, header: MeasurementHeader, unit: Unit) -> None:
        encoding = header.encodings[0]
        self.unit = unit
        self.held, self.lost, self.again = 0, 0, set[Key]()
        self._averages = (encoding.limits.get("average", Limits()).maximum or 0) + 1
        self._embedded = encoding.calibration_mode == "embedded"
        self._gathered: dict[Key, _Gathered] = {}
        self._forgotten: dict[Key, int] = {}
        self._ended: set[tuple[int, int]] = set()
        self._noise: list[Readout] = []
        self._reference: list[Readout] = []
        self._others: dict[int, Readout] = {}
        self._count = 0

    def add(self, head: np.void, samples: Complex64[np.ndarray, "coil sample"]) -> list[Part]:
        """Take a readout; returns what is complete now, mostly nothing."""
        one = Readout(self._count, head.tobytes(), samples)
        self._count += 1
        flags = int(head["flags"])
        if flags & NOT_IMAGE_MASK:
            self._keep_beside(one, flags)
            return []
        if _reference_only(flags) and not self._embedded:
            self._keep(self._reference, one)
            return []
        key = self._key(head)
        if self._forgotten.get(key._replace(repetition=0), -1) >= key.repetition:
            self.lost += 1
            return []
        complete = self._moved_on(key)
        gathered = self._gathered.setdefault(key, _Gathered())
        self._keep(gathered.lines, one)
        if gathered.sent:  # late: it is made once more
            gathered.sent = False
            self.again.add(key)
            self._ended.add((key.slice, key.repetition))
        end = END_OF_SLICE if self.unit is Unit.SLICE else END_OF_VOLUME
        if flags & end and int(head["idx"]["average"]) + 1 >= self._averages:
            self._ended.add((key.slice, key.repetition))
            complete.append(key)
        return self._parts(complete) if self.unit is not Unit.SCAN else []

    def finish(self) -> list[Part]:
        """Return what has not come out yet, at the end of the measurement."""
        left = [key for key, gathered in self._gathered.items() if not gathered.sent]
        if self.unit is Unit.SCAN:
            return [self._part(left)] if left else []
        return self._parts(left)

    def hold(self, part: Part) -> int:
        """Let everything come out together at the end, also what came out before.

        What came out may have been forgotten meanwhile, for readouts go on to come: the lines of
        ``part``, and of all parts that come out and cannot be made, are taken back.

        Args:
            part: Part that has to wait for the rest.

        Returns:
            Bytes of the lines that were taken back.
        """
        self.unit = Unit.SCAN
        for key, gathered in self._gathered.items():
            if gathered.sent:
                gathered.sent = False
                self.again.add(key)
        before = self.held
        for key, lines in zip(part.keys, part.lines, strict=True):
            if key not in self._gathered:
                self._forgotten.pop(key._replace(repetition=0), None)
                self._gathered[key] = gathered = _Gathered(list(lines))
                self.held += gathered.size
        return self.held - before

    def noise(self, known: int = 0) -> Readouts | None:
        """Return the noise readouts that have come; None when there are no more than ``known``."""
        return _readouts(self._noise) if len(self._noise) > known else None

    @property
    def count(self) -> int:
        """Readouts that have come."""
        return self._count

    @property
    def images(self) -> int:
        """Images of which there are lines."""
        return len(self._gathered)

    def _key(self, head: np.void) -> Key:
        index = head["idx"]
        slice_ = int(index["slice"]) if self.unit is not Unit.VOLUME else 0
        contrast, set_, phase, repetition = (int(index[name]) for name in FRAME_COUNTERS)
        return Key(contrast, set_, phase, repetition, slice_)

    def _keep(self, place: list[Readout], one: Readout) -> None:
        place.append(one)
        self.held += one.size

    def _keep_beside(self, one: Readout, flags: int) -> None:
        """Keep noise, and one readout of each other kind, which tells that there are such."""
        if flags & AcquisitionFlag.NOISE_MEASUREMENT.mask:
            self._keep(self._noise, one)
        elif (kind := flags & NOT_IMAGE_MASK) not in self._others:
            self._others[kind] = one
            self.held += one.size

    def _moved_on(self, key: Key) -> list[Key]:
        """Return the images of which no more lines are expected, now that one of ``key`` comes."""
        ended = self._ended - {(key.slice, key.repetition)}
        self._ended -= ended
        new = key not in self._gathered
        if not (ended or new):
            return []
        return [
            other
            for other, gathered in self._gathered.items()
            if not gathered.sent
            and (
                (other.slice, other.repetition) in ended
                or (new and other.slice == key.slice and other.repetition < key.repetition)
            )
        ]

    def _parts(self, keys: Iterable[Key]) -> list[Part]:
        return [self._part([key]) for key in dict.fromkeys(keys)]

    def _part(self, keys: list[Key]) -> Part:
        size = sum(self._gathered[key].size for key in keys)
        lines = [one for key in keys for one in self._gathered[key].lines]
        slices = {key.slice for key in keys}
        for one in self._reference:
            if self.unit is not Unit.SLICE or _slice(one) in slices:
                lines.append(one)
        lines += self._others.values()
        for key in keys:
            self._gathered[key].sent = True
        for old in [o for o in self._gathered if any(o.precedes(key) for key in keys)]:
            self._forget(old)
        own = tuple(tuple(self._gathered[key].lines) for key in keys)
        return Part(tuple(keys), _readouts(sorted(lines, key=lambda one: one.number)), size, own)

    def _forget(self, key: Key) -> None:
        if self.unit is Unit.SCAN or not self._gathered[key].sent:
            return
        self.held -= self._gathered.pop(key).size
        slot = key._replace(repetition=0)
        self._forgotten[slot] = max(key.repetition, self._forgotten.get(slot, -1))


def _reference_only(flags: int) -> bool:
    both = AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING.mask
    return bool(flags & AcquisitionFlag.PARALLEL_CALIBRATION.mask) and not flags & both


def _slice(one: Readout) -> int:
    return int(np.frombuffer(one.head, ACQUISITION_HEADER)[0]["idx"]["slice"])


def _readouts(lines: list[Readout]) -> Readouts:
    heads = np.frombuffer(b"".join(one.head for one in lines), ACQUISITION_HEADER)
    return Readouts(heads, [one.samples for one in lines])
