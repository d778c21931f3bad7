"""Spokes whose places a file does not hold, made by the name that a user gives them."""

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.raw.trajectory_names import NAMED, is_name, tiny_number
from mrirecon.sampling.trajectories import golden_angle


def angles_named(
    name: str, numbers: Int64[np.ndarray, "spoke"], spokes: int
) -> Float64[Tensor, "spoke"]:
    """Return the angles of spokes, in radians from ``h`` towards ``w``.

    Args:
        name: Name of the trajectory, one of :data:`~mrirecon.raw.trajectory_names.NAMES`.
        numbers: Numbers of the spokes, from 0.
        spokes: Number of spokes of a whole image, over which even angles are spread.

    Raises:
        RawDataError: When the name is unknown.
    """
    if not is_name(name):
        raise RawDataError(f"there is no trajectory '{name}'; expected {NAMED}, or a file")
    step = {"radial": np.pi / spokes, "radial_360": 2 * np.pi / spokes}.get(name)
    if step is None:
        step = golden_angle(tiny_number(name))
    return torch.from_numpy(np.remainder(numbers * step, 2 * np.pi))


def spokes_named(
    name: str,
    numbers: Int64[np.ndarray, "spoke"],
    spokes: int,
    radius: Float64[np.ndarray, "sample"],
) -> Float32[Tensor, "sample spoke 2"]:
    """Return straight spokes through k = 0.

    Args:
        name: Name of the trajectory, one of :data:`~mrirecon.raw.trajectory_names.NAMES`.
        numbers: Numbers of the spokes, from 0.
        spokes: Number of spokes of a whole image, over which even angles are spread.
        radius: Place of each sample along its spoke, in cycles per field of view.

    Raises:
        RawDataError: When the name is unknown.
    """
    angles = angles_named(name, numbers, spokes)
    direction = torch.stack([angles.cos(), angles.sin()], -1)
    return (torch.from_numpy(radius)[:, None, None] * direction).float()
