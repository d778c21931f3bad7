"""The formats that there are, and the one that a file is.

A new format is one file in this folder with a :class:`~mrirecon.readers.base.FileScan`, and one
line in ``READERS``; another package adds its own by an entry point, see
:mod:`mrirecon.readers.installed`.
"""

from pathlib import Path

from mrirecon.errors import RawDataError
from mrirecon.read_options import ReadOptions
from mrirecon.readers.arrays.bart import BartScan
from mrirecon.readers.arrays.calgary_campinas import CalgaryCampinasScan
from mrirecon.readers.arrays.cmrxrecon import CmrxReconScan
from mrirecon.readers.arrays.hdf5_trajectory import Hdf5TrajectoryScan
from mrirecon.readers.arrays.matlab_trajectory import MatTrajectoryScan
from mrirecon.readers.arrays.numpy_file import NumpyScan
from mrirecon.readers.arrays.numpy_trajectory import NumpyTrajectoryScan
from mrirecon.readers.arrays.skm_tea import SkmTeaScan
from mrirecon.readers.base import FileScan, blaming
from mrirecon.readers.fastmri.prostate import FastMriProstateScan
from mrirecon.readers.fastmri.scan import FastMriScan
from mrirecon.readers.ge.scan import GeScan
from mrirecon.readers.installed import detects, installed_readers
from mrirecon.readers.mrd.ismrmrd import IsmrmrdScan
from mrirecon.readers.mrd.stream import MrdStreamScan
from mrirecon.readers.mrd.version2 import Mrd2Scan
from mrirecon.readers.naming import placed
from mrirecon.readers.no_raw_data import IMAGE, images_in, named_format
from mrirecon.readers.packed import PackedScan
from mrirecon.readers.siemens.scan import SiemensScan
from mrirecon.readers.unsupported_vendors import refuse_foreign
from mrirecon.readers.variables import found_in, reader_of

READERS: tuple[type[FileScan], ...] = (
    IsmrmrdScan,
    MrdStreamScan,
    Mrd2Scan,
    Hdf5TrajectoryScan,
    MatTrajectoryScan,
    SkmTeaScan,
    CalgaryCampinasScan,
    CmrxReconScan,
    FastMriProstateScan,
    FastMriScan,
    BartScan,
    NumpyTrajectoryScan,
    NumpyScan,
    SiemensScan,
    GeScan,
    PackedScan,
)
"""The supported formats; the first that recognises a file reads it."""


def known_readers() -> tuple[type[FileScan], ...]:
    """Return all readers, those of other packages first: they know their files best."""
    return (*installed_readers(), *READERS)


def open_scan(
    path: str | Path, reading: ReadOptions | None = None, folder: Path | None = None
) -> FileScan:
    """Open a raw file; only its header is read, k-space follows slice by slice.

    Args:
        path: Path of the file.
        reading: Read options, which override what the file says; None overrides nothing.
        folder: Folder of the data set, in or below which the file lies: below it, the scan's name
            is the path relative to it (see :mod:`mrirecon.readers.naming`).

    Raises:
        RawDataError: When the file is missing, unreadable, damaged or of no supported format.
    """
    path = Path(path)
    _check_file(path)
    with blaming(path):
        reader = next((one for one in known_readers() if detects(one, path)), None)
        if reader is None and reading is not None and reading.variable is not None:
            reader = reader_of(path, reading.variable)
    if reader is not None:
        if reading is not None and reading.trajectory is not None:
            reader = reader.along_trajectory or reader
        scan = reader(path, reading)
        scan.header = placed(scan.header, path, folder)
        return scan
    refuse_foreign(path)
    if (known := named_format(path)) is not None:
        raise RawDataError(f"{path}: is {known[0]}, expected a raw file: {known[1]}")
    found, remedy = found_in(path)
    names = ", ".join(reader.format for reader in known_readers())
    raise RawDataError(
        f"{path}: found {found}; expected one of {names} (the guide 'Reconstruct raw "
        f"files' tells how each is recognised){remedy}"
    )


def _check_file(path: Path) -> None:
    if path.is_dir():
        refuse_foreign(path)
        files = sorted(item.name for item in path.iterdir() if item.is_file())
        if images := images_in(path):
            raise RawDataError(f"{path}: is a folder of images ({images}): {IMAGE}")
        some = f" ({', '.join(files[:3])}{', …' if len(files) > 3 else ''})" if files else ""
        raise RawDataError(
            f"{path}: is a folder with {len(files)} files{some}, expected one raw file; "
            "give a file in it"
        )
    if not path.exists():
        raise RawDataError(f"{path}: no such file; check the path (working folder: {Path.cwd()})")
    if not path.is_file():
        raise RawDataError(f"{path}: is a pipe or a device, expected a file; write it to one first")
    try:
        empty = path.stat().st_size == 0
        with path.open("rb"):
            pass
    except OSError as error:
        raise RawDataError(f"{path}: cannot be read ({error}); check its permissions") from error
    if empty:
        raise RawDataError(f"{path}: the file is empty; copy or download it again")
