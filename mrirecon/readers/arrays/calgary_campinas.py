r"""Calgary-Campinas multi-channel brains: hybrid space, channels interleaved, other Fourier pair.

Beauferris et al., Front Neurosci 16:919186, 2022. ``kspace`` is (x, ky, kz, 2 channels) float32
with real and imaginary parts alternating along the last axis; x is in image space already. The
image is published as the plain ``ifft2`` of what is stored, with k = 0 in the middle of the array.
With centre :math:`c = N // 2` along an axis that is

.. math:: \frac1N \sum_k K_k\, e^{2\pi i k n / N} = e^{2\pi i c n / N}\,
          \frac1N \sum_k K_k\, e^{2\pi i (k-c) n / N},

an image that changes sign from pixel to pixel. Here the factor in front is left out and the rest
written as a centred orthonormal transform, of :math:`K_k\, e^{2\pi i (k-c) c / N} / \sqrt N`. So
magnitudes are exactly the published ones, and the phase is smooth.
"""

from contextlib import AbstractContextManager
from math import ceil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Complex64

from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.arrays.measured_samples import everything
from mrirecon.readers.hdf5.opening import has_axes, hdf5_holds, open_hdf5

AXES = ("slice", "h", "w", "coil")
PARTS = (24, 64)
"""Lengths of the last axis: real and imaginary parts of 12 or 32 channels."""
MEASURED = 0.85
"""Share of kz that was measured; what is stored beyond is no data."""
VOXEL = (1.0, 1.0, 1.0)


class CalgaryCampinasScan(ArrayScan):
    """``kspace`` (x, ky, kz, 24 or 64) float32; the planes are cuts perpendicular to the readout.

    Raises:
        RawDataError: When the file is damaged.
    """

    format = "Calgary-Campinas"
    layout = "a dataset 'kspace' (x, ky, kz, 24 or 64) float32"

    @classmethod
    def detect(cls, path: Path) -> bool:
        def interleaved(file: h5py.File) -> bool:
            if not has_axes(file, "kspace", AXES):
                return False
            kspace = file["kspace"]
            return kspace.dtype.kind == "f" and kspace.shape[-1] in PARTS

        return hdf5_holds(path, interleaved)

    def open(self) -> AbstractContextManager[h5py.File]:
        return open_hdf5(self.path)

    def recognize(self, file: h5py.File) -> KSpaceArray:
        return KSpaceArray.of(file["kspace"], AXES, interleaved=True)

    def describe(self, file: h5py.File, notes: list[str]) -> dict[str, Any]:  # noqa: ARG002
        notes.append(
            "k-space was converted from an uncentred to a centred orthonormal Fourier transform."
        )
        notes.append("The voxel size is that of the data set's description, not of the file.")
        return {"volumetric": True, "voxel": VOXEL, "acquisition": "T1"}

    def told(self, file: h5py.File, notes: list[str]) -> Bool[np.ndarray, "frame #h w"]:  # noqa: ARG002
        w = self.array.grid[1]
        mask = everything(self.array)
        mask[..., ceil(MEASURED * w) :] = False
        notes.append(f"The last {w - ceil(MEASURED * w)} of {w} columns (kz) were not measured.")
        return mask

    def probed(self) -> tuple[int, ...]:
        return (self.array.slices // 2,)  # in hybrid space all planes have the same samples

    def plane(
        self, file: Contents, index: int, coil: int | None, average: int
    ) -> Complex64[np.ndarray, "coil h w"]:
        values = super().plane(file, index, coil, average)
        ky, kz = (_factor(size) for size in self.array.grid)
        return (values * np.outer(ky, kz)).astype(np.complex64)


def _factor(size: int) -> Complex64[np.ndarray, " n"]:
    """Return what turns k-space of a plain transform into that of a centred orthonormal one."""
    center = size // 2
    turns = ((np.arange(size) - center) * center % size) / size
    return (np.exp(2j * np.pi * turns) / size**0.5).astype(np.complex64)
