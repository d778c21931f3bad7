"""Arrays of spokes whose trajectory a user names: ``reading.trajectory=golden``."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.named_spokes import spokes_named
from mrirecon.readers.arrays.array_words import Stored, kind_of
from mrirecon.readers.arrays.kspace_array import KSpaceArray

DEFAULT_AXES = {2: ("w", "h"), 3: ("coil", "w", "h"), 4: ("slice", "coil", "w", "h")}
"""What the axes of k-space mean where no trajectory tells."""


@dataclass(frozen=True)
class Laid:
    """An array of k-space and the places of its samples.

    Attributes:
        array: Layout of the array.
        places: Places in their own unit, of all frames together or of each.
        cycles: Cycles per field of view in one of these units, and pixels of the image.
        notes: Notes about what was found, one sentence each.
    """

    array: KSpaceArray
    places: Float32[Tensor, "frame h w 2"]
    cycles: tuple[float, int] | None
    notes: tuple[str, ...]


def made_by_name(
    stored: Stored, axes: tuple[str, ...] | None, name: str, variable: str, matrix: int | None
) -> Laid:
    """Make a trajectory of diameters by its name.

    Args:
        stored: k-space as it is stored.
        axes: Meaning of its axes as far as it is known; None takes :data:`DEFAULT_AXES`.
        name: Name of the trajectory.
        variable: Name of the k-space, for messages.
        matrix: Pixels of the image; None takes as many as samples.

    Raises:
        RawDataError: When k-space has other axes.
    """
    kind = kind_of(stored, None if axes is None else len(axes), False)
    count = len(stored.shape) - (kind == "pairs")
    words = axes or DEFAULT_AXES.get(count)
    if words is None:
        raise RawDataError(
            f"'{variable}' is {stored.shape}, expected (coil, readout, sample); say with "
            "reading.axes what its axes mean, w for readouts and h for samples"
        )
    array = KSpaceArray.of(stored, words, variable)
    samples, spokes = array.grid
    frames = len(array.frames) if name not in ("radial", "radial_360") else 1
    pixels = matrix or samples
    radius = (np.arange(samples) - samples // 2) * (pixels / samples)
    numbers = np.arange(frames * spokes)
    made = spokes_named(name, numbers, spokes, radius)
    places = made.reshape(samples, frames, spokes, 2).movedim(1, 0).contiguous()
    note = (
        f"The trajectory was made as told: {name}, {spokes} diameters of {samples} samples whose "
        f"centre is sample {samples // 2}, from h towards w, for an image of {pixels} x {pixels} "
        f"pixels ({'as told' if matrix else 'as many as samples, so that nothing is cut off'}). "
        f"The axes of '{variable}' {array.shape} were taken as ({', '.join(words)})."
    )
    return Laid(array, places, (1.0, pixels), (*array.notes, note))
