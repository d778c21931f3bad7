"""Opening HDF5 files read-only, with errors that a user can act upon."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float32

from mrirecon.errors import RawDataError
from mrirecon.memory_pool import empty
from mrirecon.readers.expansion import refuse_expansion
from mrirecon.readers.hdf5.held import HeldFile, elsewhere

LISTED = 12


@contextmanager
def open_hdf5(path: Path) -> Iterator[HeldFile]:
    """Open a file read-only; a raw file is never written to. Only what it holds itself is given.

    Raises:
        RawDataError: When it is no HDF5 file or a damaged one, also when the damage shows only
            while the file is in use.
    """
    try:
        file = HeldFile(path)
    except OSError as error:
        reason = str(error)
        if "truncated" in reason:
            advice = "the file is truncated; copy or download it again"
        elif isinstance(error, PermissionError):
            advice = "you may not read it; change its permissions"
        elif isinstance(error, BlockingIOError):
            advice = "another program holds it open for writing; close it there, or wait"
        else:
            advice = "the file is damaged or no HDF5 file; copy or download it again"
        raise RawDataError(f"{path}: cannot be opened as HDF5 ({reason}): {advice}") from error
    with file:
        try:
            yield file
        except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, RawDataError) or not _raised_by_h5py(error):
                raise
            raise RawDataError(
                f"{path}: the HDF5 structure is damaged ({error}); copy or download the file again"
            ) from error


def _raised_by_h5py(error: BaseException) -> bool:
    """Tell damage, which h5py reports as almost any type, from a mistake in our own code."""
    frames = traceback.extract_tb(error.__traceback__)
    return any("h5py" in Path(frame.filename).parts for frame in frames)


def read(dataset: h5py.Dataset | Any, selection: Any = ()) -> Any:
    """Read from a dataset, or from some fields of it.

    Raises:
        RawDataError: When the data cannot be read; names the dataset.
    """
    _refuse_large(dataset, selection)
    with _readable(dataset):
        return dataset[selection]


def read_whole_axes(stored: Any, selection: tuple[int | slice, ...]) -> np.ndarray:
    """Read numbers into new memory, which nothing else is written to first; of an array, a view.

    Args:
        stored: An HDF5 dataset, or a memory-mapped array.
        selection: A position along each axis, or ``slice(None)``.

    Raises:
        RawDataError: When the data cannot be read; names the dataset.
    """
    _refuse_large(stored, selection)
    with _readable(stored):
        if not isinstance(stored, h5py.Dataset):
            return np.asarray(stored[selection])
        kept = zip(stored.shape, selection, strict=True)
        values = empty([n for n, part in kept if isinstance(part, slice)], stored.dtype)
        if _may_have_holes(stored):
            values.fill(0)
        stored.read_direct(values, selection)
        return values


def _refuse_large(dataset: Any, selection: Any) -> None:
    """Refuse to read what would take too much memory, or lies in chunks that do."""
    if not isinstance(dataset, h5py.Dataset) or not dataset.shape:
        return
    count = prod(dataset.shape)
    parts = selection if isinstance(selection, tuple) else (selection,)
    for n, part in zip(dataset.shape, parts, strict=False):
        if isinstance(part, int | np.integer):
            count //= max(n, 1)
        elif isinstance(part, slice):
            count = count // max(n, 1) * len(range(*part.indices(n)))
    size = max(count, prod(dataset.chunks or (0,))) * dataset.dtype.itemsize
    stored = size if dataset.is_virtual else int(dataset.id.get_storage_size())
    refuse_expansion(f"dataset '{dataset.name}'", stored, size)


def _may_have_holes(dataset: h5py.Dataset) -> bool:
    """Tell whether reading may leave chunks that were never written as they are in memory."""
    made = dataset.id.get_create_plist()
    return (
        made.get_fill_time() == h5py.h5d.FILL_TIME_NEVER
        or made.fill_value_defined() == h5py.h5d.FILL_VALUE_UNDEFINED
    )


@contextmanager
def _readable(dataset: h5py.Dataset | Any) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        name = getattr(dataset, "name", "data")
        reason = _missing_filter(dataset) or "the file is damaged; copy or download it again"
        raise RawDataError(f"dataset '{name}' cannot be read ({error}): {reason}") from error


def _missing_filter(dataset: Any) -> str | None:
    """Name the compression that HDF5 lacks for a dataset."""
    if not isinstance(dataset, h5py.Dataset):
        return None
    made = dataset.id.get_create_plist()
    for code, _, _, name in map(made.get_filter, range(made.get_nfilters())):
        if not h5py.h5z.filter_avail(code):
            return (
                f"it is compressed with filter {code} {text(name)}, which is not installed; set "
                "HDF5_PLUGIN_PATH to its folder (that of the package hdf5plugin, say), or "
                "export the file uncompressed (h5repack -f NONE)"
            )
    return None


def read_magnitude(
    stored: h5py.Dataset | np.ndarray, selection: Any, name: str
) -> Float32[np.ndarray, "..."]:
    """Read from a reference volume, real or complex, of this name.

    Raises:
        RawDataError: When it cannot be read or is not finite.
    """
    values = np.abs(np.asarray(read(stored, selection)))
    with np.errstate(over="ignore", invalid="ignore"):  # found out below
        values = values.astype(np.float32)
    if not all_finite(values):
        raise RawDataError(
            f"dataset '{name}' holds values that are not finite (NaN or infinity), "
            "expected an image; delete it or export the file again"
        )
    return values


def all_finite(values: Float32[np.ndarray, "..."]) -> bool:
    """Tell whether there is neither NaN nor infinity; one fast pass when there is none."""
    flat = values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.dot(flat, flat)
    return bool(np.isfinite(square)) or bool(np.isfinite(values).all())  # squares may overflow


def read_text(item: object, name: str) -> str:
    """Read a dataset that holds a string.

    Raises:
        RawDataError: When it does not: HDF5 may crash when it reads damaged types of other kinds.
    """
    kind = item.dtype if isinstance(item, h5py.Dataset) else type(item).__name__
    if not isinstance(item, h5py.Dataset) or h5py.check_string_dtype(item.dtype) is None:
        raise RawDataError(f"'{name}' is {kind}, expected text; correct or delete it")
    return text(read(item))


def text(value: Any) -> str:
    """Turn what HDF5 gives for a string (bytes, str, an array of one) into a str."""
    while isinstance(value, np.ndarray | list | tuple):
        if len(np.atleast_1d(value)) == 0:
            return ""
        value = np.asarray(value).ravel()[0]
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def looks_like_hdf5(path: Path) -> bool:
    """Tell whether the file starts like HDF5; it may still be damaged."""
    return bool(h5py.is_hdf5(path))


def hdf5_holds(path: Path, question: Callable[[h5py.File], bool]) -> bool:
    """Ask an HDF5 file what is in it; of any other file the answer is no."""
    if not looks_like_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return question(file)


def has_axes(file: h5py.File, name: str, axes: Sequence[str]) -> bool:
    """Tell whether a file has a dataset of this name with this number of axes."""
    found = file.get(name)
    return isinstance(found, h5py.Dataset) and len(found.shape or ()) == len(axes)


def contents(file: h5py.File) -> str:
    """List groups and datasets with shapes, for error messages."""
    found: list[str] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> bool | None:
        if isinstance(item, h5py.Dataset):
            kind = "compound" if item.dtype.names else str(item.dtype)
            found.append(f"{name} {item.shape} {kind}")
        elif isinstance(item, h5py.Group) and not len(item):
            found.append(f"{name}/ (empty)")
        return True if len(found) > LISTED else None

    try:
        h5py.Group(file.id).visititems(visit)
    except (OSError, RuntimeError) as error:
        found.append(f"an unreadable part ({error})")
    found += elsewhere(file)
    if not found:
        return "nothing"
    return ", ".join(found[:LISTED]) + (", …" if len(found) > LISTED else "")
