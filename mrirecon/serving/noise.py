"""Noise scans that are measured in one session and used in the next ones."""

import threading
import time
from dataclasses import dataclass, replace

from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.whitening import NoiseScan

KEPT = 16
"""Noise scans that are remembered."""
EARLIER = "an earlier session"


@dataclass(frozen=True)
class _Kept:
    noise: NoiseScan
    header: MeasurementHeader
    time: float


class NoiseStore:
    """Remembers noise scans for measurements that have none.

    A measurement that names the one it depends on gets that; any other gets the last one of the
    same coils, patient and patient position, if it is not too old: another patient loads the coils
    differently.

    Args:
        seconds: Age up to which a noise scan is used that the header does not name.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()

    def keep(self, noise: NoiseScan, header: MeasurementHeader) -> None:
        """Remember a noise scan."""
        with self._lock:
            self._kept = [*self._kept[1 - KEPT :], _Kept(noise, header, time.monotonic())]

    def find(self, header: MeasurementHeader) -> NoiseScan | None:
        """Return what suits a measurement best; None when nothing does."""
        wanted = {name for kind, name in header.dependencies if kind.lower() == "noise"} - {""}
        with self._lock:
            for kept in reversed(self._kept):
                if kept.header.measurement in wanted:
                    return replace(kept.noise, origin=EARLIER)
            recent = time.monotonic() - self._seconds
            for kept in reversed(self._kept):
                if kept.time >= recent and _suits(kept.header, header):
                    return replace(kept.noise, origin=EARLIER)
        return None


def _suits(kept: MeasurementHeader, header: MeasurementHeader) -> bool:
    """Tell whether a noise scan holds for a measurement: its coils, by their names, and patient."""
    names = set(header.coil_labels.values())
    return (
        bool(names)
        and names <= set(kept.coil_labels.values())
        and kept.patient_position == header.patient_position
        and kept.model == header.model
        and kept.field_strength == header.field_strength
        and (None in (kept.subject, header.subject) or kept.subject == header.subject)
    )
