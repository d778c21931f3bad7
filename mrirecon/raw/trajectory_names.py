"""Trajectories that a file does not hold, by the name that a user gives them."""

import re

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.sampling.trajectories import golden_angle

_TINY = re.compile(r"tiny_golden_([1-9]\d{0,3})")
NAMES = ("radial", "radial_360", "golden", "tiny_golden_N")
"""Diameters turned evenly over half a turn or a whole one, or by a (tiny) golden angle each."""
NAMED = "reading.trajectory=" + "|".join(NAMES)
ASK = f"say where its samples lie with reading.trajectory=FILE, or {NAMED}"
"""What helps with spokes whose places are not stored."""


def is_name(text: str) -> bool:
    """Tell whether a text names a trajectory, and not a file."""
    return text in NAMES[:-1] or _TINY.fullmatch(text) is not None


def angles_named(
    name: str, numbers: Int64[np.ndarray, "spoke"], spokes: int
) -> Float64[Tensor, "spoke"]:
    """Return the angles of spokes, in radians from ``h`` towards ``w``.

    Args:
        name: Name of the trajectory, one of :data:`NAMES`.
        numbers: Numbers of the spokes, from 0.
        spokes: Number of spokes of a whole image, over which even angles are spread.

    Raises:
        RawDataError: When the name is unknown.
    """
    if not is_name(name):
        raise RawDataError(f"there is no trajectory '{name}'; expected {NAMED}, or a file")
    tiny = _TINY.fullmatch(name)
    step = {"radial": np.pi / spokes, "radial_360": 2 * np.pi / spokes}.get(name)
    if step is None:
        step = golden_angle(int(tiny[1]) if tiny else 1)
    return torch.from_numpy(np.remainder(numbers * step, 2 * np.pi))


def spokes_named(
    name: str,
    numbers: Int64[np.ndarray, "spoke"],
    spokes: int,
    radius: Float64[np.ndarray, "sample"],
) -> Float32[Tensor, "sample spoke 2"]:
    """Return straight spokes through k = 0.

    Args:
        name: Name of the trajectory, one of :data:`NAMES`.
        numbers: Numbers of the spokes, from 0.
        spokes: Number of spokes of a whole image, over which even angles are spread.
        radius: Place of each sample along its spoke, in cycles per field of view.

    Raises:
        RawDataError: When the name is unknown.
    """
    angles = angles_named(name, numbers, spokes)
    direction = torch.stack([angles.cos(), angles.sin()], -1)
    return (torch.from_numpy(radius)[:, None, None] * direction).float()
