"""Find and read the volumes to compare."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Complex64, Float64
from torch import Tensor

from mrirecon.data.raw_files import readable
from mrirecon.errors import RawDataError
from mrirecon.files import Kind, found_kind
from mrirecon.readers.base import blaming
from mrirecon.readers.fastmri.scan import TARGETS
from mrirecon.readers.hdf5.opening import open_hdf5, read
from mrirecon.readers.hdf5.unwritten import refuse_unwritten
from mrirecon.readers.naming import scan_name
from mrirecon.types import Volume

COMPLEX = "reconstruction_complex"
TOLD = re.compile(r'<meta name="(misfit|unmeasured|unmeasured-error)" content="(\d+\.\d+)">')
"""How a quality page tells numbers to programs."""


@dataclass(frozen=True)
class Judged:
    """What the quality page beside a volume tells of the plane that it shows; None if it does not.

    Attributes:
        misfit: Part of the measured k-space that the image does not explain.
        unmeasured: Part of the image's energy that was not measured.
        unmeasured_error: Part of the energy of the image's error that was not measured.
    """

    misfit: float | None = None
    unmeasured: float | None = None
    unmeasured_error: float | None = None


@dataclass(frozen=True)
class StoredVolume:
    """A volume and the data set that it was found in.

    Attributes:
        values: Values in the units of the file; negative ones stay negative, as in fastMRI's
            evaluation.
        dataset: Name of the data set.
        affine: Matrix from indices ``(x, y, slice)`` to RAS+ in mm, where the file tells it.
        frames: Number of frames that follow one another.
        judged: Numbers of the quality page beside the file.
    """

    values: Volume
    dataset: str
    affine: Float64[np.ndarray, "4 4"] | None = None
    frames: int = 1
    judged: Judged = Judged()


def volume_files(path: Path) -> dict[str, Path]:
    """Return the HDF5 files of a folder, or one file, by stem; MRD images beside them do not count.

    When there is none in the folder, those below it count, by their path up to the ending;
    otherwise how many were left out below is said.

    Raises:
        RawDataError: When there is none.
    """
    with readable(path):
        return _volume_files(path)


def _volume_files(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise RawDataError(f"{path}: no such file or folder (in {Path.cwd()})")
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise RawDataError(f"{path}: is a pipe or a device, expected a file or a folder of .h5")
    files, below = (
        [f for f in sorted(path.glob(where)) if _counts(f) and not _hidden(f.relative_to(path))]
        for where in ("*.h5", "*/**/*.h5")
    )
    if files and below:
        print(f"note: {path}: left out {len(below)} files in folders below", file=sys.stderr)  # noqa: T201
    files = files or below
    files = [file for file in files if not _holds_mrd_images(file)] or files
    if not files:
        raise RawDataError(f"{path}: the folder holds no .h5 file; expected reconstructed volumes")
    return {scan_name(file, path).removesuffix(".h5"): file for file in files}


def _counts(path: Path) -> bool:
    """Tell whether this is a file, or a link to one that is gone, which is reported later."""
    return path.is_file() or not path.exists()


def _hidden(path: Path) -> bool:
    """Tell whether a file lies in a hidden folder: an output that is not complete, say."""
    return any(part.startswith(".") for part in path.parts)


def _holds_mrd_images(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "dataset/image_0" in file
    except OSError:  # reported when it is read
        return False


def read_volume(path: Path, dataset: str | None = None) -> StoredVolume:
    """Read the volume (slice, y, x) of an HDF5 file; frames follow one another.

    Complex volumes are compared by their magnitudes.

    Args:
        path: Path of the file.
        dataset: Name of the data set; when None, that which the file's own k-space belongs to
            (``reconstruction_esc`` for a single coil), else the first of ``TARGETS`` it has.

    Raises:
        RawDataError: When the file cannot be read or holds no such volume.
    """
    with blaming(path), open_hdf5(path) as file:
        name = _find(file, dataset)
        if name is None:
            wanted = dataset or f"one of the data sets {', '.join(TARGETS)}"
            raise RawDataError(f"found {', '.join(file) or 'nothing'}, expected {wanted}")
        refuse_unwritten(file[name])
        stored, facts = read(file[name]), dict(file.attrs)
    affine = np.asarray(facts.get("affine_ras_mm") if facts.get("has_geometry") else ())
    return StoredVolume(
        _volume(stored, f"{path}: {name}"),
        name,
        affine.astype(np.float64) if affine.shape == (4, 4) else None,
        len(stored) if np.ndim(stored) == 4 else 1,
        _judged(path),
    )


def read_complex_volume(path: Path) -> Complex64[Tensor, "plane y x"]:
    """Read the images with their phase that ``image=complex`` has written; frames follow.

    Args:
        path: Path of an HDF5 file of ``mrirecon reconstruct``.

    Raises:
        RawDataError: When the file cannot be read or holds magnitudes only.
    """
    with blaming(path), open_hdf5(path) as file:
        stored = file.get(COMPLEX)
        if not isinstance(stored, h5py.Dataset) or stored.dtype.kind != "c":
            raise RawDataError(
                f"found {', '.join(file) or 'nothing'}, expected images with their phase, the data "
                f"set {COMPLEX}; reconstruct with image=complex"
            )
        refuse_unwritten(stored)
        values = read(stored)
    _volume(values, f"{path}: {COMPLEX}")  # refuses what is no volume
    volume = torch.from_numpy(np.ascontiguousarray(values, np.complex64))
    return volume.flatten(0, 1) if volume.ndim == 4 else volume


def _judged(path: Path) -> Judged:
    """Return what an unchanged quality page beside a volume tells."""
    page = path.with_name(f"{path.stem}_qc.html")
    try:
        if not page.is_file() or found_kind(page) is not Kind.PAGE:
            return Judged()
        head = page.read_text(encoding="utf-8", errors="replace").partition("<title>")[0]
    except OSError:
        return Judged()
    return Judged(**{name.replace("-", "_"): float(value) for name, value in TOLD.findall(head)})


def _find(file: h5py.File, wanted: str | None) -> str | None:
    names = [wanted] if wanted else list(TARGETS)
    kspace = file.get("kspace")
    if isinstance(kspace, h5py.Dataset) and kspace.ndim == 3:  # one coil: both references are there
        names.sort(key=lambda name: name != "reconstruction_esc")
    return next((name for name in names if isinstance(file.get(name), h5py.Dataset)), None)


def _volume(stored: object, where: str) -> Volume:
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "biufc":
        kind = getattr(stored, "dtype", type(stored).__name__)
        raise RawDataError(f"{where} holds {kind}, expected numbers of shape (slice, y, x)")
    values = np.abs(stored) if stored.dtype.kind == "c" else stored
    with np.errstate(over="ignore"):  # found out below
        volume = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    if volume.ndim == 4:
        volume = volume.flatten(0, 1)
    if volume.ndim != 3 or 0 in volume.shape or not volume.isfinite().all():
        raise RawDataError(
            f"{where} must be finite and (slice, y, x), but has shape {tuple(volume.shape)}"
            + ("" if volume.isfinite().all() else " and values that are not finite")
        )
    return volume
