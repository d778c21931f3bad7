"""Calibration lines that a header calls embedded: do they belong to the image?"""

import numpy as np

from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.frames import FRAME_COUNTERS
from mrirecon.raw.kspace_grid import STEPS
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.readouts import Heads, LineKinds, calibration_only, classify, flagged

PAIRS = 64
"""At most so many lines are compared."""
DIFFERENT = 0.5
"""Energy of the differences of lines, relative to that of both: 0 for equal ones, 1 for others."""


def truly_embedded(heads: Heads, kinds: LineKinds, fetch: Fetch) -> tuple[LineKinds, list[str]]:
    """Keep reference lines apart whose signal is another than that of the same line of the image.

    They have numbers of their own, or another contrast; averaged with the image they would spoil
    it.

    Args:
        heads: Headers of all readouts.
        kinds: Numbers of the readouts of each kind, calibration lines merged into the image.
        fetch: Function that returns readouts by number.
    """
    if not kinds.merged:
        return kinds, []
    lines = heads[kinds.imaging]
    only = calibration_only(lines)
    names = ("slice", *FRAME_COUNTERS, *STEPS)
    counters = [lines["idx"][name] for name in names]
    layout = [lines["number_of_samples"], lines["center_sample"], lines["active_channels"]]
    reverse = flagged(lines, AcquisitionFlag.REVERSE)
    keys = np.stack([*counters, *layout, reverse], axis=1).astype(np.int64)
    _, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.reshape(-1)
    _, first, second = np.intersect1d(place[only], place[~only], return_indices=True)
    pairs = np.stack(
        [kinds.imaging[only][first], kinds.imaging[~only][second]], axis=1
    )[:: max(1, len(first) // PAIRS)]  # fmt: skip
    difference = total = 0.0
    for one, other in pairs:
        a, b = (x.astype(np.complex128) for x in fetch(np.array([one, other])).samples)
        difference += float(np.square(np.abs(a - b)).sum())
        total += float(np.square(np.abs(a)).sum() + np.square(np.abs(b)).sum())
    if not difference > DIFFERENT * total:
        return kinds, []
    return classify(heads, "separate"), [
        "The header calls the reference lines embedded, but they hold another signal than the "
        f"image's lines of the same numbers ({difference / total:.0%} of the energy differs): they "
        "are kept apart."
    ]
