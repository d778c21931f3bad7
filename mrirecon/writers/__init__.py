"""Volumes into files; each writer takes ``(path, reconstruction, overwrite=...)``."""

from collections.abc import Callable

from mrirecon.writers.dicom import write_dicom
from mrirecon.writers.hdf5 import write_hdf5
from mrirecon.writers.nifti import write_nifti
from mrirecon.writers.png import save_figure, write_png

Writer = Callable[..., None]

# Name of the format, what is appended to the name of the scan, and the writer.
WRITERS: dict[str, tuple[str, Writer]] = {
    "hdf5": (".h5", write_hdf5),
    "nifti": (".nii.gz", write_nifti),
    "png": (".png", write_png),
    "dicom": ("_dicom", write_dicom),
}

__all__ = [
    "WRITERS",
    "Writer",
    "save_figure",
    "write_dicom",
    "write_hdf5",
    "write_nifti",
    "write_png",
]
