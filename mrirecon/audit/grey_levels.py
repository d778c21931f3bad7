"""Images of few grey levels: 8-bit pictures that were made k-space of."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32
from scipy.fft import rfft
from torch import Tensor

from mrirecon.audit.finding import CRIME, Kind, Level, Seen
from mrirecon.audit.planes import Plane

GREY = Kind(
    "few grey levels",
    "The images were stored in whole numbers, of 8 bits for instance, before k-space was made of "
    f"them: noise and fine contrast were rounded away. {CRIME}",
    "Go back to the raw data.",
)
BINS = 8192
LEAST, MOST = 20, 1100
"""Steps between zero and the maximum that are looked for: 5 to 10 bits."""
PEAK = 9.0
"""Standard deviations of a chance agreement that a comb must exceed; 1100 are looked at, each
passes with the probability exp(-81)."""
FINE = 4
"""Frequencies that are looked at for each step more between zero and the maximum."""
AROUND = 4
"""Frequencies on either side that tell what a smooth distribution would have."""
ALL = 0.8
"""Agreement with a comb that only pixels have which all lie on it."""
FEWEST = 500
"""Pixels brighter than that which are needed."""
DARK = 0.06
"""Magnitude relative to the maximum up to which there is background, of few values by itself."""


def find(plane: Plane, most: int = MOST) -> Iterator[Seen]:
    """Look at the combined image and at that of the strongest coil.

    Args:
        plane: Plane of k-space.
        most: Largest number of steps that is told.
    """
    if not plane.complete:
        return
    strongest = int(plane.images.abs().square().sum((-1, -2)).argmax())
    for what, image in (
        ("image", plane.magnitude),
        ("image of a coil", plane.images[strongest].abs()),
    ):
        steps = grey_steps(image)
        if steps is not None and steps <= most:
            yield Seen(
                GREY, Level.PROBLEM, f"The magnitudes of the {what} lie on {steps} even steps."
            )
            return


def grey_steps(image: Float32[Tensor, "y x"]) -> int | None:
    """Return the number of even steps from zero to the maximum on which pixels lie, or None.

    The empirical characteristic function of the pixels has a sharp peak at the frequency of such a
    comb; that of a smooth distribution has none.
    """
    top = float(image.max())
    values = (image / top).flatten() if top > 0 else image.flatten()
    values = values[(values > DARK) & (values < 0.999)]
    if len(values) < FEWEST:
        return None
    counts = torch.histc(values, BINS, 0, 1)
    counts = counts.clamp_max(
        float(counts[counts > 0].mean()) * 8
    )  # one value that fills the background
    weights = counts / counts.sum()
    found = torch.from_numpy(np.abs(rfft(weights.numpy(), FINE * BINS)))
    found = found[FINE * LEAST - 4 * AROUND : FINE * MOST]
    floor = found.unfold(0, 8 * AROUND + 1, 1).median(-1).values
    peaks = found[4 * AROUND : 4 * AROUND + len(floor)] - floor
    best = int(peaks.argmax())
    steps = LEAST + best / FINE
    height, around = float(peaks[best]), float(floor[best])
    on_a_comb = height + around > ALL or height > around
    return round(steps) if on_a_comb and height > PEAK / len(values) ** 0.5 else None
