"""Places of readouts on the oversampled readout axis, and on the one without oversampling.

Positions are counted from k = 0. A readout of ``n`` samples with centre ``c`` covers
``[-c, n - c)``; discarded samples at either end do not count. On a grid of ``N`` samples k = 0 has
index ``N // 2``, so an asymmetric echo leaves a part of the grid *unmeasured*: zero, and False in
the mask.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from mrirecon.errors import RawDataError
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.readouts import Heads, flagged


@dataclass(frozen=True)
class ReadoutRanges:
    """Which samples of each readout count, and where they lie.

    Attributes:
        first, last: Samples ``[first, last)`` count, after the reversal of a reversed readout.
        start: Position of sample ``first`` relative to k = 0.
        reverse: The readout was acquired from right to left.
    """

    first: Int64[np.ndarray, "readout"]
    last: Int64[np.ndarray, "readout"]
    start: Int64[np.ndarray, "readout"]
    reverse: Bool[np.ndarray, "readout"]

    @property
    def stop(self) -> Int64[np.ndarray, "readout"]:
        """Position after the last sample relative to k = 0."""
        return self.start + self.last - self.first


def center_recorded(heads: Heads, size: int | None) -> bool:
    """Tell whether ``center_sample`` can be believed.

    Some converters leave 0 everywhere. That would put sample 0 at k = 0, which is believable only
    when the samples then still fit into the right half of a grid of ``size``.
    """
    if heads["center_sample"].any() or heads["number_of_samples"].max() == 1:
        return True
    return size is not None and int(heads["number_of_samples"].max()) <= size - size // 2


def readout_ranges(heads: Heads, recorded: bool = True) -> ReadoutRanges:
    """Return the windows of readouts; without a ``recorded`` centre it is taken as ``n // 2``.

    Raises:
        RawDataError: When a centre or the discarded samples lie outside the readout.
    """
    count = heads["number_of_samples"].astype(np.int64)
    before = heads["discard_pre"].astype(np.int64)
    after = heads["discard_post"].astype(np.int64)
    center = heads["center_sample"].astype(np.int64) if recorded else count // 2
    wrong = (center >= count) | (before + after >= count)
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise RawDataError(
            f"a readout (scan_counter {heads['scan_counter'][i]}) of {count[i]} samples has "
            f"center_sample {center[i]}, discard_pre {before[i]} and discard_post {after[i]}; "
            "expected a centre inside the readout and samples left after discarding"
        )
    reverse = flagged(heads, AcquisitionFlag.REVERSE)
    center = np.where(reverse, count - 1 - center, center)
    before, after = np.where(reverse, after, before), np.where(reverse, before, after)
    return ReadoutRanges(before, count - after, before - center, reverse)


def required_size(placed: ReadoutRanges) -> int:
    """Return the smallest grid on which all readouts fit with k = 0 at ``N // 2``."""
    left, right = -int(placed.start.min()), int(placed.stop.max())
    return max(2 * left, 2 * right - 1, 1)


def nearest_sample(full: int, size: int) -> Int64[np.ndarray, "size"]:
    """Return, for each sample after oversampling removal, the oversampled one at the same k.

    This defines the mask along the readout: a sample of the reduced grid counts as measured when
    the oversampled sample at its k was. Near the edge of an asymmetric echo the reduced samples are
    slightly blurred by the crop (a sinc with the width of one reduced sample); they still count.
    """
    k = (np.arange(size) - size // 2) * (full / size)
    return np.clip(np.rint(k).astype(np.int64) + full // 2, 0, full - 1)
