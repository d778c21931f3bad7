"""HDF5 volumes in fastMRI's submission layout, with facts and provenance as attributes."""

from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
from torch import Tensor

from mrirecon.files import Kind, atomic, mark_hdf5
from mrirecon.hdf5_output import created_hdf5
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.writers.quantities import NAMINGS


def write_hdf5(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write ``reconstruction`` (slice, y, x) float32, as fastMRI's tools expect it.

    Images with their phase are ``reconstruction_complex`` beside their magnitudes, complex64. What
    tells how uncertain these are lies beside them, too: ``mean``, ``standard_deviation``,
    ``lower_bound`` and ``upper_bound``, with the attribute ``meaning``.

    With several frames it has a leading axis for them, and the attribute ``frames`` names them.

    Header facts that are known become attributes of the file (lengths in mm, times in ms); the
    group ``provenance`` tells how the volume was made.
    """
    header, volume = result.header, _stored(result.volume)
    facts = {
        "name": header.name,
        "format": header.format,
        "acquisition": header.acquisition,
        "patient_id": header.subject,
        "vendor": header.vendor or None,
        "voxel_y_x_slice_mm": header.voxel,
        "affine_ras_mm": header.affine(),
        "has_geometry": header.located,
        "frames": [str(frame) for frame in header.frames] if volume.ndim == 4 else None,
        "notes": "\n".join(header.notes),
        "max": float(volume.max()),
        **{f"sequence_{name}": value for name, value in asdict(header.sequence).items()},
    }
    with (
        atomic(path, Kind.VOLUME, overwrite=overwrite) as temporary,
        created_hdf5(temporary) as file,
    ):
        file["reconstruction"] = volume
        if result.complex_volume is not None:
            file["reconstruction_complex"] = _stored(result.complex_volume)
        for one in result.apart():
            name = NAMINGS[one.quantity].dataset
            file[name] = _stored(one.volume)
            file[name].attrs["meaning"] = one.meaning
        file.attrs.update({name: value for name, value in facts.items() if value is not None})
        store_provenance(file, result.provenance)
        mark_hdf5(file, Kind.VOLUME)


def _stored(volume: Tensor) -> np.ndarray:
    """Return the images of one frame, or of several."""
    return (volume[0] if len(volume) == 1 else volume).numpy()


def store_provenance(file: h5py.File, provenance: Provenance) -> None:
    """Write how something was made into the group ``provenance`` of an open file."""
    group = file.create_group("provenance")
    for name, value in asdict(provenance).items():
        texts = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
        group.attrs[name] = "\n".join(value) if texts else value
