"""Raw data of MRD version 2: a stream of typed records, captured as it came or piped.

The stream is walked over once. Headers stay in memory, samples in the file: they are read when a
slice is asked for.

References:
    The model: https://github.com/ismrmrd/mrd
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.acquired_scan import Measurement
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.mrd_records import NOT_IMAGE_MASK
from mrirecon.raw.readouts import Index, Readouts
from mrirecon.readers.mrd.cursor import Cursor
from mrirecon.readers.mrd.stream import NOT_CLOSED, MrdStreamScan, listed, mapped, skipped
from mrirecon.readers.mrd.typed_header import typed_header
from mrirecon.readers.mrd.typed_heads import Acquisitions, Collector
from mrirecon.readers.mrd.yardl import MAGIC, Protocol

Rows = dict[int, np.ndarray]
"""Rows of a readout that come first, second …, by the number of its channel order."""


class Mrd2Scan(MrdStreamScan):
    """Cartesian acquisitions in a stream of MRD version 2.

    Raises:
        RawDataError: When the stream is damaged, or holds something that is not supported.
    """

    format = "MRD version 2"
    layout = "a stream of MRD version 2 (b'yardl'): a header and acquisitions"
    axis_first = True

    @classmethod
    def detect(cls, path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def measurement(self) -> Measurement:
        header, found, notes = _scan(self.path)
        self._starts, self._order = found.starts, found.order
        self._trajectories = found.trajectories
        first = _first_order(found)
        self._rows = {
            number: np.array([order.index(channel) for channel in first], np.int64)
            for number, order in enumerate(found.orders)
            if order != first and sorted(order) == sorted(first)
        }
        if first != tuple(range(len(first))):  # then labels go by other numbers than rows
            labels = header.coil_labels
            told = {row: labels[channel] for row, channel in enumerate(first) if channel in labels}
            header = replace(header, coil_labels=told)
        return Measurement("stream", header, found.heads, None, (*found.notes, *notes))

    def fetch(self, measurement: Measurement, numbers: Index) -> Readouts:
        readouts = super().fetch(measurement, numbers)
        rows = [self._rows.get(order) for order in self._order[numbers].tolist()]
        samples = [
            samples if order is None else samples[order]
            for samples, order in zip(readouts.samples, rows, strict=True)
        ]
        return Readouts(readouts.heads, samples, readouts.places)


def _first_order(found: Acquisitions) -> tuple[int, ...]:
    """Return the channel order of the first line of an image, empty when it is none."""
    imaging = np.flatnonzero((found.heads["flags"] & np.uint64(NOT_IMAGE_MASK)) == 0)
    number = int(imaging[0]) if len(imaging) else 0
    order = found.orders[found.order[number]]
    whole = len(set(order)) == int(found.heads["active_channels"][number])
    return order if whole and len(set(order)) == len(order) else ()


def _scan(path: Path) -> tuple[MeasurementHeader, Acquisitions, list[str]]:
    """Walk through the stream once; returns its header, its readouts, and notes."""
    with mapped(path) as stream:
        if stream is None:
            raise RawDataError("the stream is empty")
        cursor = Cursor(stream)
        try:
            protocol = Protocol(cursor, "Mrd")
        except RawDataError as error:
            raise RawDataError(
                f"MRD version 2: {error} (mrd_to_ismrmrd makes version 1 of what its own library "
                "still reads)"
            ) from error
        header, others = typed_header(protocol.header), Counter[str]()
        collector, count = Collector(stream), 0
        for tag, value in protocol.items("acquisition"):
            if isinstance(value, Mapping):
                collector.add(value)
                count += 1
            else:
                others[tag] += 1
        if not count:
            raise RawDataError(
                f"the stream holds no acquisitions ({listed(others) or 'nothing'} behind its "
                "header), expected readouts; give the stream of the scanner"
            )
        if stream[cursor.place : cursor.place + len(MAGIC)] == MAGIC:
            raise RawDataError("the file holds several streams, expected one measurement; split it")
        found = collector.finished()
    notes = skipped(others)
    if not protocol.closed:
        notes.append(NOT_CLOSED)
    elif protocol.rest:
        notes.append(f"{protocol.rest} bytes after the end of the stream were ignored.")
    return header, found, notes
