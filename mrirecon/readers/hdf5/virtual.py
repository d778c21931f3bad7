"""Virtual HDF5 datasets: their sources, in other files, all have to be there.

HDF5 reads a source that is missing, or too small, as the fill value, which is zero k-space.
"""

import os
from math import prod
from pathlib import Path
from typing import Any

import h5py

from mrirecon.errors import RawDataError
from mrirecon.readers.hdf5.links import refuse_external_storage, refuse_way_out
from mrirecon.readers.hdf5.unwritten import coverage, endless

ADVICE = "copy all files of the scan again, side by side"


def check_sources(dataset: h5py.Dataset) -> tuple[Path, ...]:
    """Return the files of which a virtual dataset is put together, other than its own.

    Raises:
        RawDataError: When one lies outside the folder of the file, is missing or lacks data, or is
            virtual itself.
    """
    if not dataset.is_virtual:
        return ()
    main = Path(dataset.file.filename)
    found: dict[Path, None] = {}
    for source in dataset.virtual_sources():
        where = "this file" if source.file_name == "." else f"the file '{source.file_name}'"
        what = f"'{dataset.name}' is put together from '{source.dset_name}' of {where}"
        if "%" in source.file_name + source.dset_name or endless(source.vspace):
            raise RawDataError(
                f"{what}: sources without end, expected a fixed number; write the dataset again "
                "with a source for each part"
            )
        if source.file_name == ".":
            _check_source(dataset.file, source, what)
            continue
        place = _place(main, source.file_name, what)
        found[place] = None
        try:
            with h5py.File(place, "r") as file:
                _check_source(file, source, what)
        except OSError as error:
            raise RawDataError(f"{what}, which cannot be read ({error}); {ADVICE}") from error
    return tuple(found)


def _place(main: Path, name: str, what: str) -> Path:
    """Return where HDF5 finds a source; it looks in several folders, in this order."""
    folder, told = _absolute(main).parent, os.environ.get("HDF5_VDS_PREFIX", "")
    chosen = [_absolute(Path(prefix)) for prefix in told.split(":") if prefix]  # by the user
    absolute = Path(name).is_absolute()
    folders = [*chosen, folder, Path.cwd(), main.resolve().parent]
    candidates = [Path(name)] if absolute else []  # if not there, looked for by its last part
    candidates += [parent / (Path(name).name if absolute else name) for parent in folders]
    place = next((_absolute(path) for path in candidates if os.path.exists(path)), None)  # noqa: PTH110
    if place is None:
        raise RawDataError(f"{what}, which is missing; {ADVICE}")
    if not any(place.is_relative_to(parent) for parent in (folder, *chosen)):
        raise RawDataError(
            f"{what}, which is not in the folder of this one. Files elsewhere are not followed: "
            "put them beside this one, named without a folder"
        )
    if not place.is_file():
        raise RawDataError(f"{what}, which is no file; {ADVICE}")
    return place


def _absolute(path: Path) -> Path:
    """Return an absolute path without ``..``; links on the disk are the user's, and stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _check_source(file: h5py.File, source: Any, what: str) -> None:
    refuse_way_out(file, source.dset_name)
    item = h5py.Group.get(file, source.dset_name)
    if not isinstance(item, h5py.Dataset):
        raise RawDataError(f"{what}, where it is missing; {ADVICE}")
    refuse_external_storage(item)
    if item.is_virtual:
        raise RawDataError(f"{what}, which is virtual itself; name the files that hold the values")
    taken = source.src_space
    whole = taken.get_select_type() == h5py.h5s.SEL_ALL
    count = prod(item.shape) if whole else taken.get_select_npoints()
    fits = whole or (
        len(taken.shape) == item.ndim
        and all(last < n for last, n in zip(taken.get_select_bounds()[1], item.shape, strict=True))
    )
    if not fits or count != source.vspace.get_select_npoints():
        raise RawDataError(
            f"{what}, which is {item.shape} there and does not fill its part of {what.split()[0]}; "
            f"{ADVICE}"
        )
    if coverage(item) is not None:
        raise RawDataError(f"{what}, where some of it was never written; {ADVICE}")
