"""Trajectories in files of their own: ``reading.trajectory=FILE``."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.pulseq_file import Sequence, is_sequence, read_sequence
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
    """Read a trajectory from a BART pair, a ``.npy``, an HDF5 or a Pulseq file.

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
            f"trajectory of that name; give a file (.cfl, .npy, HDF5, .seq), or one of {NAMED}"
        )
    if is_sequence(text):
        return _sequence(read_sequence(text))
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
            raise RawDataError(
                "is no file of a trajectory; expected .cfl, .npy, .npz, HDF5 or .seq"
            )
        arrays = load_numpy(path, NAMES)
        if "kspace" in arrays:  # the only array of an .npy file
            return np.asarray(arrays["kspace"]), path.name
        name = stored_name(arrays)
        if name is None:
            raise RawDataError(f"there is no array {' or '.join(NAMES)} in it")
        return stored_places(arrays, name)


def _sequence(sequence: Sequence) -> tuple[np.ndarray, str]:
    """Return the places of a sequence in cycles per field of view, as it defines that."""
    if sequence.view is None:
        raise RawDataError(
            f"{sequence.name}: has no field of view among its definitions, expected FOV in m, "
            "which brings places in cycles per metre to the grid of the image; add it there"
        )
    return sequence.stacked() * np.float32(1e-3 * sequence.view), sequence.name


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
