"""Raw data of vendors that are not read: recognised, and refused with what to do instead."""

from pathlib import Path

from mrirecon.errors import RawDataError

_MRD2 = b"yardl"
_PHILIPS_LIST = b"# === DATA DESCRIPTION FILE ==="
_BRUKER_DATA = ("fid", "ser", "rawdata.job0")
_BRUKER_PARAMETERS = ("acqp", "method")


def refuse_foreign(path: Path) -> None:
    """Refuse MRD version 2, Philips and Bruker raw data by name; return when it is none of them.

    Philips' k-space has no mark of its own, so the files beside it tell.

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
    if start.startswith(_MRD2):
        raise RawDataError(
            f"{path}: MRD version 2 (a stream defined with yardl), which is not read. Convert it "
            "to version 1 with mrd_to_ismrmrd of the conda package ismrmrd::mrd: "
            f"mrd_to_ismrmrd < {path.name} > {path.stem}.ismrmrd, and give that file"
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
