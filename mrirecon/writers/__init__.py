"""Volumes into files; each writer takes ``(path, reconstruction, overwrite=...)``."""

from mrirecon.writers.dicom import write_dicom
from mrirecon.writers.hdf5 import write_hdf5
from mrirecon.writers.nifti import write_nifti
from mrirecon.writers.png import save_figure, write_png

# Name of the format, what is appended to the name of the scan, and the writer.
WRITERS = {
    "hdf5": (".h5", write_hdf5),
    "nifti": (".nii.gz", write_nifti),
    "png": (".png", write_png),
    "dicom": ("_dicom", write_dicom),
}

__all__ = ["WRITERS", "save_figure", "write_dicom", "write_hdf5", "write_nifti", "write_png"]
