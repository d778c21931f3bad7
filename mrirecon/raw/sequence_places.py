"""Readouts whose places a Pulseq sequence tells, as though they were stored beside them."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.planning import imaging_kinds
from mrirecon.raw.pulseq_file import Sequence, is_sequence, read_sequence
from mrirecon.raw.readout_bins import acquired
from mrirecon.raw.readouts import Heads, Index, Readouts
from mrirecon.read_options import ReadOptions


def with_sequence(
    header: MeasurementHeader, heads: Heads, fetch: Fetch, reading: ReadOptions
) -> tuple[Fetch, ReadOptions, tuple[str, ...]]:
    """Take places from the sequence that ``reading`` names, if it does.

    Args:
        header: Header of the measurement.
        heads: Headers of all readouts.
        fetch: Function that returns readouts by number.
        reading: Read options, of which one may name a sequence.

    Returns:
        A function that returns readouts with these places, read options for places that are stored
        in cycles per metre, and notes about it; all as they were and no notes without a sequence.

    Raises:
        RawDataError: When the sequence cannot be read, or has other readouts.
    """
    if not is_sequence(reading.trajectory):
        return fetch, reading, ()
    sequence = read_sequence(str(reading.trajectory))
    event, what = _events(sequence, header, heads)

    def placed(numbers: Index) -> Readouts:
        readouts = fetch(numbers)
        places = [
            np.zeros((samples.shape[1], 3), np.float32) if one < 0 else sequence.places[one]
            for one, samples in zip(event[numbers], readouts.samples, strict=True)
        ]
        return replace(readouts, places=places)

    note = (
        f"The trajectory is that of {sequence.name}: its {len(sequence.places)} ADC events are "
        f"{what} in the order of acquisition; the gradient axes x and y are readout and phase "
        "direction."
    )
    unit = reading.trajectory_unit or "1/m"
    return placed, replace(reading, trajectory=None, trajectory_unit=unit), (note,)


def _events(
    sequence: Sequence, header: MeasurementHeader, heads: Heads
) -> tuple[Int64[np.ndarray, "readout"], str]:
    """Return the number of each readout's ADC event, -1 for none, and what these readouts are.

    Raises:
        RawDataError: When there are more or fewer events, or they have other samples.
    """
    imaging, count = imaging_kinds(header, heads).imaging, len(sequence.places)
    if count not in (len(imaging), len(heads)):
        raise RawDataError(
            f"the sequence {sequence.name} has {count} ADC events, but the scan has {len(imaging)} "
            f"imaging readouts ({len(heads)} with those of noise and navigators), expected as "
            "many; give the sequence that the scan was made with"
        )
    every = np.arange(len(heads)) if count == len(heads) else imaging
    event = np.full(len(heads), -1, np.int64)
    event[every] = acquired(heads[every])
    length = np.array([len(one) for one in sequence.places])[event[imaging]]
    stored = heads["number_of_samples"][imaging].astype(np.int64)
    if (length != stored).any():
        first = int(np.flatnonzero(length != stored)[0])
        raise RawDataError(
            f"the ADC event {event[imaging[first]] + 1} of the sequence {sequence.name} has "
            f"{length[first]} samples, but its readout (scan_counter "
            f"{heads['scan_counter'][imaging[first]]}) has {stored[first]}, expected as many; give "
            "the sequence that the scan was made with, and a file whose oversampling was kept"
        )
    return event, "all readouts" if count == len(heads) > len(imaging) else "the imaging readouts"
