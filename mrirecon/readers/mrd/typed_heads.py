"""The acquisitions of MRD version 2 as headers of version 1, and where their samples are."""

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.mrd_records import ACQUISITION_HEADER, ENCODING_COUNTERS, NOT_IMAGE_MASK
from mrirecon.raw.readouts import Heads
from mrirecon.readers.mrd.yardl_kinds import Stored

Record = Mapping[str, Any]
TOGETHER = 4096
"""So many headers are made into an array at once; before, they take many times more memory."""
WIDEST = 2**16 - 1
"""Largest count in a header of version 1."""
COUNTERS = {
    "kspace_encode_step_1": "kspaceEncodeStep1",
    "kspace_encode_step_2": "kspaceEncodeStep2",
}
"""Counters whose names are others in version 2."""

UNLIKE = (ArithmeticError, LookupError, TypeError, AttributeError, ValueError, struct.error)
"""What goes wrong where the records of a stream have other fields, or other kinds of values."""


@dataclass(frozen=True)
class Acquisitions:
    """All readouts of a stream.

    Attributes:
        heads: Headers of the readouts.
        starts: Byte of the stream where the samples of each begin.
        trajectories: Byte where the trajectory of each begins, axis by axis.
        orders: Channel numbers of the rows of readouts, each list of them once.
        order: Number of each readout's list in ``orders``.
        notes: Notes about what is missing or was ignored, one sentence each.
    """

    heads: Heads
    starts: Int64[np.ndarray, "readout"]
    trajectories: Int64[np.ndarray, "readout"]
    orders: tuple[tuple[int, ...], ...]
    order: Int64[np.ndarray, "readout"]
    notes: tuple[str, ...]


class Collector:
    """Takes the acquisitions of a stream, one by one, as its schema names their parts."""

    def __init__(self, stream: bytes | mmap.mmap) -> None:
        self._stream = stream
        self._rows: list[tuple[Any, ...]] = []
        self._done: list[np.ndarray] = []
        self._starts: list[int] = []
        self._trajectories: list[int] = []
        self._order: list[int] = []
        self._orders: dict[tuple[int, ...], int] = {}
        self._middle, self._phases = 0, 0

    def add(self, record: Record) -> None:
        """Take one acquisition.

        Raises:
            RawDataError: When it lacks something, or holds what version 1 has no room for.
        """
        with _blaming(f"acquisition {len(self._starts)}"):
            self._add(record)
            if len(self._rows) == TOGETHER:
                self._gather()

    def finished(self) -> Acquisitions:
        """Return what was taken."""
        with _blaming("one of the last acquisitions"):
            self._gather()
        notes = []
        if self._middle:
            notes.append(
                f"center_sample is missing in {self._middle} readouts: their middle is taken as "
                "the echo centre."
            )
        if self._phases:
            notes.append(f"The phase offsets of {self._phases} readouts were not applied.")
        return Acquisitions(
            np.concatenate(self._done),
            np.array(self._starts, np.int64),
            np.array(self._trajectories, np.int64),
            tuple(self._orders),
            np.array(self._order, np.int64),
            tuple(notes),
        )

    def _gather(self) -> None:
        self._done.append(np.array(self._rows, ACQUISITION_HEADER))
        self._rows = []

    def _add(self, record: Record) -> None:
        head, data = record.get("head", record), record["data"]  # there was no "head" before 2.1
        flags = int(head["flags"]) % 2**64
        if not isinstance(data, Stored) or data.dtype != np.complex64 or len(data.shape) != 2:
            raise RawDataError(
                f"its samples are {getattr(data, 'shape', data)} {getattr(data, 'dtype', '')}, "
                "expected complex64 of two axes, coil and sample"
            )
        coils, samples = data.shape
        center = head["centerSample"]
        if center is None:
            center = samples // 2
            self._middle += not flags & NOT_IMAGE_MASK
        self._phases += self._any(record.get("phase"))
        trajectory = record["trajectory"]
        told = trajectory.shape
        if 0 not in told and (len(told) != 2 or told[1] != samples or trajectory.dtype != "f4"):
            raise RawDataError(
                f"its trajectory is {told} {trajectory.dtype}, expected float32 of two axes, "
                f"coordinate and sample, for its {samples} samples"
            )
        self._rows.append(self._row(head, flags, coils, samples, center, trajectory))
        self._trajectories.append(trajectory.place)
        self._starts.append(data.place)
        order = tuple(head["channelOrder"])
        self._order.append(self._orders.setdefault(order, len(self._orders)))

    def _any(self, array: Stored | None) -> bool:
        """Tell whether an array of float32 holds more than zeros."""
        if array is None:
            return False
        size = 4 * int(np.prod(array.shape, dtype=object))
        return bool(self._stream[array.place : array.place + size].strip(b"\0"))

    def _row(
        self, head: Record, flags: int, coils: int, samples: int, center: int, trajectory: Stored
    ) -> tuple[Any, ...]:
        """Return the header's values in the order of version 1."""
        vectors = [
            self._vector(head[name])
            for name in ("position", "readDir", "phaseDir", "sliceDir", "patientTablePosition")
        ]
        return (
            1,
            flags,
            head["measurementUid"] % 2**32,
            (head["scanCounter"] or 0) % 2**32,
            _stamp(head, "acquisitionTimeStamp") % 2**32,
            tuple(stamp % 2**32 for stamp in _padded(_stamps(head), 3)),
            _counted("number of samples", samples),
            _counted("number of channels", coils),
            _counted("number of channels", coils),
            (0,) * 16,
            _counted("discard_pre", head["discardPre"]),
            _counted("discard_post", head["discardPost"]),
            _counted("center_sample", center),
            _counted("encoding_space_ref", head["encodingSpaceRef"]),
            _counted("dimension of the trajectory", trajectory.shape[0]),
            _dwell(head),
            *vectors,
            _counters(head["idx"]),
            tuple((value + 2**31) % 2**32 - 2**31 for value in _padded(head["userInt"], 8)),
            _padded(head["userFloat"], 8),
        )

    def _vector(self, array: Stored) -> tuple[float, float, float]:
        if array.shape != (3,) or array.dtype != np.float32:
            raise ValueError(f"a vector is {array.shape} {array.dtype}")
        x, y, z = struct.unpack_from("<3f", self._stream, array.place)
        return x, y, z


@contextmanager
def _blaming(what: str) -> Iterator[None]:
    """Refuse what has other fields than an acquisition, or other kinds of values."""
    try:
        yield
    except RawDataError:
        raise
    except UNLIKE as error:
        raise RawDataError(
            f"{what} of the stream is none of MRD version 2 ({type(error).__name__}: "
            f"{str(error)[:80]}): its schema is of another kind, or damaged"
        ) from error


def _counters(idx: Record) -> tuple[Any, ...]:
    """Return the encoding counters; those that are missing are zero."""
    names = [name for name in ENCODING_COUNTERS.names or () if name != "user"]
    counters = (_counted(name, idx[COUNTERS.get(name, name)]) for name in names)
    return (*counters, tuple(_counted("user", value) for value in _padded(idx["user"], 8)))


def _counted(name: str, value: int | None) -> int:
    """Return a count as version 1 holds it."""
    if value is not None and not 0 <= value <= WIDEST:
        raise RawDataError(
            f"the {name} of an acquisition is {value}, expected 0 to {WIDEST}: the stream is "
            "damaged, or was made of one that is"
        )
    return value or 0


def _padded(values: Sequence[Any], size: int) -> tuple[Any, ...]:
    """Return as many values as version 1 has room for; those that are missing are zero."""
    return (*values[:size], *(0,) * (size - len(values)))


def _stamp(head: Record, name: str) -> int:
    """Return a time stamp in the units of version 1: where it is in ns, those are ms."""
    if f"{name}Ns" in head:
        return (head[f"{name}Ns"] or 0) // 10**6
    return head[name] or 0


def _stamps(head: Record) -> list[int]:
    if "physiologyTimeStampNs" in head:
        return [stamp // 10**6 for stamp in head["physiologyTimeStampNs"]]
    return list(head["physiologyTimeStamp"])


def _dwell(head: Record) -> float:
    """Return the sampling interval in µs, zero where it is missing."""
    if "sampleTimeNs" in head:
        return (head["sampleTimeNs"] or 0) / 1000
    return head["sampleTimeUs"] or 0.0
