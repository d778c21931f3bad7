"""Volumes into files; each writer takes ``(path, reconstruction, overwrite=...)``."""

from mrirecon.writers.hdf5 import write_hdf5
from mrirecon.writers.nifti import write_nifti
from mrirecon.writers.png import save_figure, write_png

WRITERS = {".h5": write_hdf5, ".nii.gz": write_nifti, ".png": write_png}

__all__ = [
    "WRITERS",
    "save_figure",
    "write_hdf5",
    "write_nifti",
    "write_png",
]
