"""Find and read the volumes to compare."""

import sys
from pathlib import Path

import h5py
import torch

from mrirecon.errors import RawDataError
from mrirecon.readers.fastmri import TARGETS
from mrirecon.readers.naming import scan_name
from mrirecon.types import Volume


def volume_files(path: Path) -> dict[str, Path]:
    """Return the HDF5 files of a folder, or one file, by stem; MRD images beside them do not count.

    When there is none in the folder, those below it count, by their path up to the ending;
    otherwise how many were left out below is said.

    Raises:
        RawDataError: When there is none.
    """
    if not path.exists():
        raise RawDataError(f"{path}: no such file or folder (in {Path.cwd()})")
    if path.is_file():
        return {path.stem: path}
    files = sorted(path.glob("*.h5"))
    below = [f for f in sorted(path.glob("*/**/*.h5")) if not _hidden(f.relative_to(path))]
    if files and below:
        print(f"note: {path}: left out {len(below)} files in folders below", file=sys.stderr)  # noqa: T201
    files = files or below
    files = [file for file in files if not _holds_mrd_images(file)] or files
    if not files:
        raise RawDataError(f"{path}: the folder holds no .h5 file; expected reconstructed volumes")
    return {scan_name(file, path).removesuffix(".h5"): file for file in files}


def _hidden(path: Path) -> bool:
    """Tell whether a file lies in a hidden folder: an output that is not complete, say."""
    return any(part.startswith(".") for part in path.parts)


def _holds_mrd_images(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "dataset/image_0" in file
    except OSError:  # reported when it is read
        return False


def read_volume(path: Path) -> Volume:
    """Read the magnitude volume (slice, y, x) of an HDF5 file; frames follow one another.

    Raises:
        RawDataError: When the file cannot be read or holds no volume.
    """
    try:
        with h5py.File(path, "r") as file:
            name = next((n for n in TARGETS if n in file), None)
            if name is None:
                raise RawDataError(
                    f"{path}: found {', '.join(file) or 'nothing'}, expected one of the data sets "
                    f"{', '.join(TARGETS)}"
                )
            volume = torch.from_numpy(file[name][()]).abs().float()
    except OSError as error:
        raise RawDataError(f"{path}: not a readable HDF5 file ({error})") from error
    if volume.ndim == 4:
        volume = volume.flatten(0, 1)
    if volume.ndim != 3 or not volume.isfinite().all():
        raise RawDataError(
            f"{path}: {name} must be finite and (slice, y, x), but has shape {tuple(volume.shape)}"
        )
    return volume
