"""A captured ISMRMRD / MRD version 1 stream: what a scanner sends, saved as it came.

Standard input is read the same way, from a temporary copy, so a container can be piped through.
"""

import mmap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.acquired_scan import Measurement
from mrirecon.raw.header import parse_header
from mrirecon.raw.messages import Message, MessageId, acquisition_head, messages
from mrirecon.raw.mrd_records import ACQUISITION_HEADER
from mrirecon.raw.readouts import Heads, Index, Readouts, classify, unpack
from mrirecon.raw.whitening import NoiseScan, noise_scan
from mrirecon.readers.acquisitions import AcquisitionScan

FIRST = (MessageId.CONFIG_FILE, MessageId.CONFIG_TEXT, MessageId.HEADER)
"""A stream begins with one of these."""
OTHERS = (MessageId.IMAGE, MessageId.WAVEFORM, MessageId.ARRAY)
"""Data that are no readouts."""
NOT_CLOSED = "The stream was not closed: the measurement may be incomplete."


class MrdStreamScan(AcquisitionScan):
    """Cartesian acquisitions in the order in which a scanner sent them.

    Raises:
        RawDataError: When the stream is damaged, or holds something that is not supported.
    """

    format = "MRD stream"
    layout = "messages of an ISMRMRD / MRD version 1 stream: a header and acquisitions"
    choices = tuple(one for one in AcquisitionScan.choices if one != "measurement")
    axis_first: ClassVar[bool] = False
    """Whether a trajectory is stored axis by axis, and not sample by sample."""
    _starts: Index
    _trajectories: Index

    @classmethod
    def detect(cls, path: Path) -> bool:
        with mapped(path) as stream:
            if stream is None:
                return False
            try:
                for message in messages(stream):
                    if message.id == MessageId.HEADER:
                        start = stream[message.start + 4 : message.start + 4096]
                        return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
                    if message.id not in FIRST:
                        return False
            except RawDataError:
                return False
        return False

    def measurement(self) -> Measurement:
        measurement, starts = _scan(self.path)
        self._trajectories, self._starts = starts
        return measurement

    def fetch(self, measurement: Measurement, numbers: Index) -> Readouts:
        heads = measurement.heads[numbers]
        counts = heads["number_of_samples"].astype(np.int64)
        along = heads["trajectory_dimensions"].astype(np.int64)
        with self.path.open("rb") as file:
            data = _numbers(file, self._starts[numbers], 2 * counts * heads["active_channels"])
            places = []
            if along.any():
                places = _numbers(file, self._trajectories[numbers], counts * along)
        if self.axis_first and places:
            pairs = zip(places, along.tolist(), strict=True)
            places = [values.reshape(n, -1).T.reshape(-1) if n else values for values, n in pairs]
        return unpack(heads, data, numbers, places)

    @classmethod
    def noise_scan(cls, path: Path) -> NoiseScan | None:
        scan = cls.__new__(cls)
        scan.path = path
        measurement = scan.measurement()
        numbers = classify(measurement.heads, None).noise
        if not len(numbers):
            return None
        labels = measurement.header.coil_labels
        return noise_scan(scan.fetch(measurement, numbers), labels, path.name)


def _numbers(file: BinaryIO, starts: Index, counts: Index) -> list[np.ndarray]:
    """Read so many numbers from each of some places."""
    found = []
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        file.seek(start)
        found.append(np.frombuffer(file.read(4 * count), "<f4"))
    return found


def _scan(path: Path) -> tuple[Measurement, tuple[Index, Index]]:
    """Walk through the messages once; returns where trajectories and samples begin."""
    header, xml, found, closed, others = None, "", [], False, Counter[str]()
    with mapped(path) as stream:
        if stream is None:
            raise RawDataError("the stream is empty")
        for message in messages(stream):
            if message.id == MessageId.HEADER:
                if header is not None:
                    raise RawDataError(
                        "the stream has several headers, expected one measurement; split it"
                    )
                xml = stream[message.start + 4 : message.stop].decode("utf-8", "replace")
                header = parse_header(xml)
            found += [message] if message.id == MessageId.ACQUISITION else []
            closed = message.id == MessageId.CLOSE
            others.update([message.id.name.lower()] if message.id in OTHERS else [])
        if header is None or not found:
            raise RawDataError(
                f"the stream has {'no' if header is None else 'a'} header and {len(found)} "
                "acquisitions, expected both"
            )
        heads = np.array([acquisition_head(stream, m.start) for m in found], ACQUISITION_HEADER)
    notes = (*skipped(others), *(() if closed else (NOT_CLOSED,)))
    measurement = Measurement("stream", header, heads, None, notes, xml.rstrip("\0"))
    return measurement, _starts(found, heads)


def _starts(found: list[Message], heads: Heads) -> tuple[Index, Index]:
    trajectory = heads["number_of_samples"].astype(np.int64) * heads["trajectory_dimensions"]
    starts = np.array([message.start for message in found], np.int64)
    starts = starts + ACQUISITION_HEADER.itemsize
    return starts, starts + 4 * trajectory


def skipped(others: Counter[str]) -> list[str]:
    """Say what a stream holds besides readouts, by its kind and number."""
    if not others:
        return []
    return [f"Items of the stream that are no readouts were skipped: {listed(others)}."]


def listed(counts: Counter[str]) -> str:
    """Write counts in the order of their names."""
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap | None]:
    """Map a file for reading; None when it is empty or cannot be mapped."""
    with path.open("rb") as file:
        try:
            stream = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (ValueError, OSError):
            yield None
            return
        with stream:
            yield stream
