"""The files of a kit in a folder, and what of the folder does not fit."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import h5py

from mrirecon.data.index import IndexedScan, read_folder
from mrirecon.data.raw_files import data_folder, raw_files
from mrirecon.errors import RawDataError
from mrirecon.kits.kit import Files, NamedKit
from mrirecon.read_options import ReadOptions
from mrirecon.readers.fastmri.scan import TARGETS
from mrirecon.readers.hdf5.opening import hdf5_holds
from mrirecon.readers.naming import scan_name
from mrirecon.scan import ScanHeader

SHOWN = 20
"""At most so many problems are listed."""


def scans_of_kit(named: NamedKit, folder: Path, subset: int | None = None) -> list[IndexedScan]:
    """Return the scans of a kit in its frozen order, which is that of their names.

    Args:
        named: Kit of files.
        folder: Folder of the data set.
        subset: Number of scans from the first on; None for all. Of a kit that lists its files, only
            these must be there.

    Raises:
        RawDataError: With a list of what is missing, what does not belong, and what is not as the
            kit has it.
    """
    files = named.kit.files
    assert files is not None
    found = raw_files(folder, files.pattern)
    names = {scan_name(file, data_folder(folder)): file for file in found}
    wanted = (named.names or tuple(sorted(names)))[:subset]
    problems = _misplaced(files, named.names, names, wanted)
    contents = read_folder(
        [names[name] for name in wanted if name in names], data_folder(folder), ReadOptions()
    )
    problems += contents.problems
    for scan in contents.scans:
        problems += _otherwise(files, scan.header)
        if named.kit.target == "file" and not hdf5_holds(scan.path, _brings_reference):
            problems.append(f"{scan.header.name} brings no reconstruction to compare with")
    total = sum(len(scan) for scan in contents.scans)
    if subset is None and not problems and files.total not in (None, total):
        problems.append(f"all files together have {total} planes, expected {files.total}")
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:SHOWN])
        more = f"\n  ... and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise RawDataError(
            f"{folder} does not hold the files of the kit {named.name} ({files.title}; "
            f"{files.source}):\n{shown}{more}"
        )
    return list(contents.scans)


def _brings_reference(file: h5py.File) -> bool:
    return any(isinstance(file.get(name), h5py.Dataset) for name in TARGETS)


def _misplaced(
    files: Files, listed: Sequence[str], names: dict[str, Path], wanted: Sequence[str]
) -> list[str]:
    """Tell which files are missing, and which do not belong."""
    if not listed:
        if len(names) == files.count:
            return []
        return [f"{len(names)} files match {files.pattern}, expected {files.count}"]
    missing = [f"{name} is missing" for name in wanted if name not in names]
    extra = sorted(names.keys() - set(listed))
    return missing + [
        f"{name} does not belong to it"
        for name in extra
        if not (files.beside and fnmatch(name, files.beside))
    ]


def _otherwise(files: Files, header: ScanHeader) -> list[str]:
    """Tell where a file is not as the kit has it."""
    told = (
        ("coils", files.coils, header.coils),
        ("planes", files.planes, header.slices * len(header.frames)),
        *_sizes("k-space", files.grid, header.grid),
        *_sizes("image", files.matrix, header.matrix),
    )
    return [
        f"{header.name} has {found} {what}, expected {expected}"
        for what, expected, found in told
        if expected and found != expected
    ]


def _sizes(
    what: str, expected: tuple[int, ...], found: tuple[int, int]
) -> list[tuple[str, int, int]]:
    axes = ("rows", "columns")
    pairs = zip(axes, expected or (0, 0), found, strict=True)
    return [(f"{axis} of {what}", wanted, is_) for axis, wanted, is_ in pairs]
