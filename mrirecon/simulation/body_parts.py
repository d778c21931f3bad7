"""Parts of the body that can be simulated: what a scan of each depends on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mrirecon.geometry import Vector
from mrirecon.simulation.anatomy import Anatomy
from mrirecon.simulation.coil_array import CoilArray, head_array, torso_array
from mrirecon.simulation.phase import HEAD_AIR, TORSO_AIR
from mrirecon.simulation.tissues import BRAIN, TISSUES, TORSO
from mrirecon.simulation.torso import Torso


@dataclass(frozen=True)
class BodyPart:
    """A part of the body.

    Attributes:
        tissues: Names of its tissues, in the order of their rows.
        organs: Rows of the tissues whose mean signal is the SNR.
        organ: Words for these organs.
        contrasts: Contrasts that take turns when nobody has chosen any; none for that of the
            protocol.
        array: Function that draws the receive array around it.
        air: Places where air disturbs the field, in LPS mm.
        draw: Function that draws the anatomy of a subject, with or without pathology.
    """

    tissues: tuple[str, ...]
    organs: slice
    organ: str
    contrasts: tuple[str, ...]
    array: Callable[[int, np.random.Generator], CoilArray]
    air: tuple[Vector, Vector, Vector]
    draw: Callable[[np.random.Generator, bool], Anatomy | Torso]


BODY_PARTS = {
    "head": BodyPart(
        tissues=TISSUES,
        organs=slice(BRAIN[0], None),
        organ="brain",
        contrasts=("t1", "t2", "flair", "pd"),
        array=head_array,
        air=HEAD_AIR,
        draw=Anatomy.draw,
    ),
    "torso": BodyPart(
        tissues=TORSO,
        organs=slice(TORSO.index("blood"), None),
        organ="heart, liver or spleen",
        contrasts=(),
        array=torso_array,
        air=TORSO_AIR,
        draw=lambda rng, _: Torso.draw(rng),
    ),
}
