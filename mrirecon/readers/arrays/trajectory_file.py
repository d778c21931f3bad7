"""Trajectories in files of their own: ``reading.trajectory=FILE``."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.trajectory_names import NAMED
from mrirecon.readers.arrays.bart_pair import open_pair
from mrirecon.readers.arrays.numpy_pieces import is_numpy, load_numpy
from mrirecon.readers.base import blaming
from mrirecon.readers.hdf5.opening import contents, looks_like_hdf5, open_hdf5, read
from mrirecon.readers.hdf5.unwritten import refuse_unwritten

NAMES = ("trajectory", "traj", "ktraj", "coord")
"""What datasets with a trajectory are called."""
KSPACE = ("kspace", "rawdata", "ksp", "kdata")
"""What datasets with k-space beside a trajectory are called."""


def kspace_name(file: Any) -> str | None:
    """Return the name of the k-space in an HDF5 file or an archive; None when it has none."""
    return next((name for name in KSPACE if name in file and is_array(file[name])), None)


def stored_name(file: Any) -> str | None:
    """Return the name of the trajectory in an HDF5 file or an archive; None when it has none."""
    return next((name for name in NAMES if name in file and is_array(file[name])), None)


def stored_places(file: Any, name: str) -> tuple[np.ndarray, str]:
    """Read the trajectory of that name out of an open file; complex ones as real coordinates.

    Raises:
        RawDataError: When it cannot be read or was never written.
    """
    stored = file[name]
    refuse_unwritten(stored)
    values = np.asarray(read(stored) if isinstance(stored, h5py.Dataset) else stored)
    if values.dtype.names and len(values.dtype.names) == 2:  # complex numbers of MATLAB
        values = np.stack([values[part] for part in values.dtype.names], -1)
    return values, name


def read_places(text: str) -> tuple[np.ndarray, str]:
    """Read a trajectory from a BART pair, a ``.npy`` or an HDF5 file.

    Returns:
        The stored values, coordinates along some axis, and the name for messages.

    Raises:
        RawDataError: When there is no such file, or no trajectory in it.
    """
    path = Path(text)
    if not path.is_file() and path.suffix == "" and path.with_suffix(".cfl").is_file():
        path = path.with_suffix(".cfl")
    if not path.is_file():
        raise RawDataError(
            f"reading.trajectory={text or '?'}: no such file (working folder: {Path.cwd()}) and no "
            f"trajectory of that name; give a file (.cfl, .npy, HDF5), or one of {NAMED}"
        )
    with blaming(path):
        if path.suffix in (".cfl", ".hdr"):
            return _bart(path)
        if looks_like_hdf5(path):
            with open_hdf5(path) as file:
                name = stored_name(file)
                if name is None:
                    raise RawDataError(
                        f"there is no dataset {' or '.join(NAMES)}; found {contents(file)}"
                    )
                return stored_places(file, name)
        if not is_numpy(path):
            raise RawDataError("is no file of a trajectory; expected .cfl, .npy, .npz or HDF5")
        arrays = load_numpy(path, NAMES)
        if "kspace" in arrays:  # the only array of an .npy file
            return np.asarray(arrays["kspace"]), path.name
        name = stored_name(arrays)
        if name is None:
            raise RawDataError(f"there is no array {' or '.join(NAMES)} in it")
        return stored_places(arrays, name)


def _bart(path: Path) -> tuple[np.ndarray, str]:
    """Return coordinates, samples and readouts of a BART trajectory, frames last."""
    values = open_pair(path)
    if values.shape[0] not in (2, 3):
        raise RawDataError(
            f"has {values.shape[0]} numbers along READ, expected the 3 coordinates of a trajectory"
        )
    if values.imag.any():
        raise RawDataError("is not real, expected a trajectory; is this k-space?")
    squeezed = values.real.reshape(*values.shape[:3], -1) if values.ndim > 3 else values.real
    if squeezed.shape[3] > 1 and max(values.shape[3:]) != squeezed.shape[3]:
        raise RawDataError(
            f"has several axes of frames {values.shape}, expected at most one besides samples and "
            "readouts"
        )
    # frames, readouts, samples, coordinates
    places = np.moveaxis(squeezed, (3, 2, 1, 0), (0, 1, 2, 3))
    return np.ascontiguousarray(places if len(places) > 1 else places[0]), path.name


def is_array(item: object) -> bool:
    """Tell whether an item of an HDF5 file or an archive holds numbers."""
    return isinstance(item, h5py.Dataset | np.ndarray)
