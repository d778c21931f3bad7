"""Velocity images as HDF5."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from mrirecon.files import Kind, atomic, mark_hdf5
from mrirecon.hdf5_output import created_hdf5


@dataclass(frozen=True)
class VelocityImages:
    """Velocities of a series along one direction.

    Attributes:
        velocity: Velocity of every voxel in cm/s; frames follow one another.
        magnitude: Geometric mean of the magnitudes of both encodings.
        venc: Velocity in cm/s beyond which velocities are wrapped.
    """

    velocity: Float32[Tensor, "plane y x"]
    magnitude: Float32[Tensor, "plane y x"]
    venc: float


def write_velocity(path: Path, images: VelocityImages, *, overwrite: bool = False) -> None:
    """Write the data sets ``velocity`` and ``reconstruction``, the magnitude; both (plane, y, x).

    The attribute ``venc_cm_s`` tells the largest velocity.
    """
    with (
        atomic(path, Kind.VOLUME, overwrite=overwrite) as temporary,
        created_hdf5(temporary) as file,
    ):
        file["velocity"] = images.velocity.numpy()
        file["reconstruction"] = images.magnitude.numpy()
        file["velocity"].attrs["unit"] = "cm/s"
        file.attrs["venc_cm_s"] = np.float64(images.venc)
        mark_hdf5(file, Kind.VOLUME)
