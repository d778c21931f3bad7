"""Raw data of vendors that are not read: recognised, and refused with what to do instead."""

from pathlib import Path

import h5py

from mrirecon.errors import RawDataError
from mrirecon.readers.hdf5.held import HeldFile
from mrirecon.readers.hdf5.opening import hdf5_holds

_MRD2_TEXT = b'{"yardl"'
_MRD2_SCHEMA = "$yardl_schema"
_PHILIPS_LIST = b"# === DATA DESCRIPTION FILE ==="
_BRUKER_DATA = ("fid", "ser", "rawdata.job0")
_BRUKER_PARAMETERS = ("acqp", "method")


def refuse_foreign(path: Path) -> None:
    """Refuse Philips and Bruker raw data, and MRD version 2 but its binary streams, by name.

    Returns when it is none of them. Philips' k-space has no mark of its own, so the files beside
    it tell.

    Raises:
        RawDataError: With the tools that convert the format.
    """
    folder = path if path.is_dir() else path.parent
    names = {item.name.lower() for item in folder.iterdir()} if folder.is_dir() else set()
    data = [name for name in _BRUKER_DATA if name in names]
    bruker = data and any(name in names for name in _BRUKER_PARAMETERS)
    if bruker and (path.is_dir() or path.name.lower() in _BRUKER_DATA):
        raise RawDataError(
            f"{path}: Bruker ParaVision raw data ({data[0]} with its parameters), which is not "
            "read. Load it with the Python package brukerapi and save k-space as .npy in the order "
            "slice, coil, readout, phase encoding; or convert it to ISMRMRD"
        )
    if path.is_dir():
        return
    with path.open("rb") as stream:
        start = stream.read(256)
    if start.startswith(_MRD2_TEXT):
        raise RawDataError(
            f"{path}: MRD version 2 as text (NDJSON), which is not read. Write it as a binary "
            "stream with the Python package mrd-python: read it with mrd.NDJsonMrdReader, and "
            "copy_to an mrd.BinaryMrdWriter"
        )
    if hdf5_holds(path, _is_mrd2):
        raise RawDataError(
            f"{path}: MRD version 2 as HDF5, which is not read. Write it as a binary stream with "
            f"mrd_hdf5_to_stream of the conda package ismrmrd::mrd: mrd_hdf5_to_stream {path.name} "
            f"> {path.stem}.mrd, and give that file"
        )
    stem, suffix = path.stem.lower(), path.suffix.lower()
    exported = _PHILIPS_LIST in start or (
        path.suffix.lower() == ".data" and f"{stem}.list" in names
    )
    parts = (".raw", ".lab", ".sin")
    scanned = suffix in parts and all(f"{stem}{part}" in names for part in parts[:2])
    if exported or scanned:
        kind = ".list/.data" if exported else ".raw/.lab/.sin"
        raise RawDataError(
            f"{path}: Philips raw data ({kind}), which is not read. Convert it to ISMRMRD with "
            "philips_to_ismrmrd, or load it with MRecon and save k-space as .npy in the order "
            "slice, coil, readout, phase encoding"
        )


def _is_mrd2(file: HeldFile) -> bool:
    return any(isinstance(one, h5py.Group) and _MRD2_SCHEMA in one for _, one in file.held())
