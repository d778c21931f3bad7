"""Places of samples that a Pulseq sequence tells: ``reading.trajectory=FILE.seq``.

The gradients of a sequence, summed up since the last excitation, are the way through k-space
(Layton et al., Magn Reson Med 77:1544, 2017). Its ADC events in the order of its blocks are the
readouts of a scan in the order in which they were acquired.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from mrirecon.errors import RawDataError

SUFFIX = ".seq"
"""Ending of the names of sequence files."""
PARTS = ("[VERSION]", "[BLOCKS]", "[ADC]")
"""What a sequence with readouts has."""
FLAT = 1e-3
"""Relative to the extent: what goes less far along the third axis stays in its plane."""


@dataclass(frozen=True)
class Sequence:
    """The readouts of a sequence.

    Attributes:
        name: Name of the file, for messages.
        places: Places of the samples of each readout along the gradient axes x, y and z, in cycles
            per metre.
        view: Larger of the fields of view along x and y in mm; None when the file defines none.
    """

    name: str
    places: tuple[Float32[np.ndarray, "_ 3"], ...]
    view: float | None

    def stacked(self) -> Float32[np.ndarray, "readout sample 3"]:
        """Return the places of readouts that all have as many samples.

        Raises:
            RawDataError: When they have not.
        """
        lengths = sorted({len(one) for one in self.places})
        if len(lengths) > 1:
            raise RawDataError(
                f"has readouts of {' and '.join(map(str, lengths))} samples, expected as many in "
                "all, as an array of k-space has; give the raw file that holds single readouts"
            )
        return np.stack(self.places)


def is_sequence(text: str | None) -> bool:
    """Tell whether a text names a sequence file."""
    return text is not None and Path(text).suffix.lower() == SUFFIX


def read_sequence(text: str) -> Sequence:
    """Read the readouts of a Pulseq sequence; the last one that was read is kept.

    Args:
        text: Path of the file, as a user gives it.

    Raises:
        RawDataError: When there is no such file, it is damaged, has no readouts or goes along
            three axes, or the optional package ``pypulseq`` is missing.
    """
    path = Path(text)
    if not path.is_file():
        raise RawDataError(
            f"reading.trajectory={text}: no such file (working folder: {Path.cwd()}), expected a "
            "Pulseq sequence"
        )
    state = path.stat()
    try:
        return _read(path.absolute(), (state.st_mtime_ns, state.st_size))
    except RawDataError as error:
        raise RawDataError(f"{text}: {error}") from error


@lru_cache(maxsize=1)
def _read(path: Path, _state: tuple[int, int]) -> Sequence:
    text = path.read_text(encoding="utf-8", errors="replace")
    if lacking := [part for part in PARTS if part not in text]:
        raise RawDataError(
            f"has no part {' or '.join(lacking)}, expected a Pulseq sequence; write it again"
        )
    sequence = _package().Sequence()
    try:
        sequence.read(str(path))
        whole = np.asarray(sequence.calculate_kspace()[0])
        events = [sequence.get_block(block).adc for block in sequence.block_events]
        view = sequence.get_definition("FOV")
    except Exception as error:  # a damaged file fails anywhere in that package
        raise RawDataError(
            f"cannot be read as a Pulseq sequence ({type(error).__name__}: {error}), expected a "
            "complete .seq file; write it again, or update pypulseq"
        ) from error
    lengths = [int(event.num_samples) for event in events if event is not None]
    if not lengths:
        raise RawDataError("has no ADC events, expected the sequence that the scan was made with")
    if whole.shape != (3, sum(lengths)) or not np.isfinite(whole).all():
        raise RawDataError(
            f"has {sum(lengths)} samples with places of shape {whole.shape}, expected three finite "
            "coordinates of each; write the sequence again"
        )
    places = np.split(whole.T.astype(np.float32), np.cumsum(lengths)[:-1])
    _refuse_third_axis(places)
    return Sequence(path.name, tuple(places), _millimetres(view))


def _refuse_third_axis(places: list[Float32[np.ndarray, "_ 3"]]) -> None:
    extent = max(float(np.abs(one[:, :2]).max()) for one in places)
    along = max(float(np.ptp(one[:, 2])) for one in places)
    if along > FLAT * extent:
        raise RawDataError(
            f"goes along three axes of k-space: readouts move by {along:.4g} cycles per metre "
            f"along z and reach to {extent:.4g} along x and y, expected readouts in "
            "planes; trajectories along three axes are not supported"
        )


def _millimetres(view: Any) -> float | None:
    """Return the larger of two fields of view, which a definition tells in m; None without one."""
    try:
        largest = max(np.atleast_1d(np.asarray(view, np.float64))[:2], default=0.0)
    except ValueError:  # an empty text, of a definition that is not there
        return None
    return 1e3 * float(largest) if 0 < largest < np.inf else None


def _package() -> Any:
    try:
        import pypulseq
    except ImportError as error:
        raise RawDataError(
            f"is a Pulseq sequence, which needs the package pypulseq ({error}); install it with "
            "pip install 'mrirecon[pulseq]'"
        ) from error
    return pypulseq
