"""Coil sensitivities of a scan as HDF5."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Complex64, Float32

from mrirecon.files import Kind, atomic, mark_hdf5
from mrirecon.hdf5_output import created_hdf5
from mrirecon.reconstruction import Provenance
from mrirecon.scan import ScanHeader
from mrirecon.writers.hdf5 import store_provenance


@dataclass(frozen=True)
class SliceMaps:
    """Sensitivities of one slice, and how good they are.

    Attributes:
        maps: One set or several.
        eigenvalues: Eigenvalues of every set; None for estimators without.
        residual: Part of the calibration data in the object that the maps do not explain.
        null_energy: Part of its energy where the maps are zero.
    """

    maps: Complex64[np.ndarray, "set coil h w"]
    eigenvalues: Float32[np.ndarray, "set h w"] | None
    residual: float
    null_energy: float


def write_maps(
    path: Path,
    slices: Iterable[SliceMaps],
    header: ScanHeader,
    provenance: Provenance,
    *,
    overwrite: bool = False,
) -> Iterator[SliceMaps]:
    """Write slices one by one, so that only one is held, and hand them on.

    ``maps`` is (slice, coil, h, w) complex64, with a set axis after the slices when there are
    several sets; likewise ``eigenvalues`` (slice, h, w). ``residual`` and ``null_energy`` have an
    entry per slice, attributes tell how the maps were made. The file appears when complete.
    """
    count = header.slices * len(header.frames)
    with (
        atomic(path, Kind.MAPS, overwrite=overwrite) as temporary,
        created_hdf5(temporary) as file,
    ):
        for number, one in enumerate(slices):
            several = len(one.maps) > 1
            _put(file, "maps", one.maps if several else one.maps[0], number, count)
            if one.eigenvalues is not None:
                values = one.eigenvalues if several else one.eigenvalues[0]
                _put(file, "eigenvalues", values, number, count)
            _put(file, "residual", np.float32(one.residual), number, count)
            _put(file, "null_energy", np.float32(one.null_energy), number, count)
            file.check()  # a full disk need not wait for the last slice
            yield one
        file.attrs.update(name=header.name, format=header.format, whitened=header.whitened)
        store_provenance(file, provenance)
        mark_hdf5(file, Kind.MAPS)


def _put(
    file: h5py.File, name: str, value: np.ndarray | np.float32, number: int, count: int
) -> None:
    if name not in file:
        file.create_dataset(name, (count, *np.shape(value)), value.dtype)
    file[name][number] = value
