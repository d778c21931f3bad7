"""Volumes into files; each writer takes ``(path, reconstruction, overwrite=...)``."""

from collections.abc import Callable
from dataclasses import dataclass

from mrirecon.writers.dicom import read_template, write_dicom
from mrirecon.writers.hdf5 import write_hdf5
from mrirecon.writers.mrd import send_mrd, write_mrd
from mrirecon.writers.nifti import write_nifti
from mrirecon.writers.png import save_figure, write_png
from mrirecon.writers.qc import write_qc

Writer = Callable[..., None]


@dataclass(frozen=True)
class Format:
    """One choice of ``formats=``.

    Attributes:
        suffixes: What is appended to the name of the scan: of the path that the writer is given,
            then of what it writes beside that.
        write: The writer.
    """

    suffixes: tuple[str, ...]
    write: Writer


WRITERS: dict[str, Format] = {
    "hdf5": Format((".h5",), write_hdf5),
    "nifti": Format((".nii.gz", ".json"), write_nifti),
    "dicom": Format(("_dicom",), write_dicom),
    "mrd": Format(("_images.h5",), write_mrd),
    "png": Format((".png",), write_png),
    "qc": Format(("_qc.html",), write_qc),
}

__all__ = [
    "WRITERS",
    "Format",
    "Writer",
    "read_template",
    "save_figure",
    "send_mrd",
    "write_dicom",
    "write_hdf5",
    "write_mrd",
    "write_nifti",
    "write_png",
    "write_qc",
]
