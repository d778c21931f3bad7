"""Names of scans in a data set: the file's path relative to the data set's folder.

Public data sets keep one folder per patient with equal file names in each (``P001/cine_lax.mat``,
``P002/cine_lax.mat``), so a file name alone would give all of them one mask and one score.
"""

from dataclasses import replace
from pathlib import Path

from mrirecon.scan import ScanHeader


def scan_name(file: Path, folder: Path | None) -> str:
    """Return the path of ``file`` relative to ``folder``, with ``/`` on every system.

    Args:
        file: Path of a file in the folder or below it.
        folder: Folder of the data set; None for a file on its own, whose name is its file name.

    Raises:
        ValueError: When the file lies elsewhere.
    """
    return file.name if folder is None else file.relative_to(folder).as_posix()


def placed(header: ScanHeader, file: Path, folder: Path | None) -> ScanHeader:
    """Return the header of a scan in the data set of ``folder``.

    Directly in the folder nothing changes. Below it, folders come before the name, unless a packed
    scan has kept its source's; and where the file tells no subject, the first of them is taken for
    its pseudonym, so that splits cannot share the patient. That is noted.
    """
    *folders, _ = scan_name(file, folder).split("/")
    if not folders:
        return header
    if "/" not in header.name:
        header = replace(header, name="/".join([*folders, header.name]))
    if header.subject:
        return header
    note = "The file tells no patient; the name of its folder stands for it."
    return replace(header, subject=folders[0], notes=(*header.notes, note))
