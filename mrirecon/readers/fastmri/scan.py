"""k-space on a grid in HDF5: the fastMRI layout, with or without its header.

Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839. The
k-space is centred and orthonormal already, readout oversampling is still in it (the image is the
central crop), and it is kept as stored. fastMRI tells neither noise nor orientation. M4Raw (Lyu et
al., Sci Data 10:264, 2023) has the same layout.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool

from mrirecon.errors import RawDataError
from mrirecon.raw.header import Encoding
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.hdf5_trajectory import Hdf5TrajectoryScan
from mrirecon.readers.arrays.kspace_array import KSpaceArray, Shape
from mrirecon.readers.arrays.measured_samples import everything, stored_mask
from mrirecon.readers.arrays.trajectory_file import stored_name
from mrirecon.readers.fastmri.header import (
    TARGETS,
    Reference,
    header_facts,
    number_attribute,
    read_measurement,
)
from mrirecon.readers.hdf5.opening import contents, hdf5_holds, open_hdf5
from mrirecon.sampling.calibration import center_slice, central_block

__all__ = ["TARGETS", "FastMriScan"]


class FastMriScan(ArrayScan):
    """``kspace`` (slice, coil, h, w) or (slice, h, w), or as ``reading.axes`` says, and the rest.

    Used when present: ``ismrmrd_header``, ``mask`` (w) or (h, w), ``reconstruction_rss``,
    ``reconstruction_esc`` or ``reconstruction`` (slice, y, x), and the attributes ``max``,
    ``patient_id``, ``acquisition``, ``num_low_frequency``.

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "fastMRI"
    layout = "a dataset 'kspace' (slice, coil, h, w) or (slice, h, w), 'ismrmrd_header' optional"
    choices = ("axes", "variable", "centered", "image_centered")
    along_trajectory = Hdf5TrajectoryScan
    small = True

    @classmethod
    def detect(cls, path: Path) -> bool:
        return hdf5_holds(path, lambda file: isinstance(file.get("kspace"), h5py.Dataset))

    def open(self) -> AbstractContextManager[h5py.File]:
        return open_hdf5(self.path)

    def recognize(self, file: h5py.File) -> KSpaceArray:
        name = self.reading.variable or "kspace"
        if not isinstance(file.get(name), h5py.Dataset):
            raise RawDataError(
                f"there is no dataset '{name}' (reading.variable); found {contents(file)}"
            )
        refuse_other_trajectories(file, name)
        return KSpaceArray.of(file[name], self.reading.axes, name)

    def known(self, file: Contents) -> bool:
        return "ismrmrd_header" in file

    def describe(self, file: h5py.File, notes: list[str]) -> dict[str, Any]:
        measurement = read_measurement(file, notes)
        self._encoding = measurement.encodings[0] if measurement else None
        single = "reconstruction_rss" if "coil" in self.array.axes else "reconstruction_esc"
        planes = self.array.slices * len(self.array.frames)
        self._reference = Reference.find(file, planes, notes, single)
        self._matrix = self._crop(notes)
        told = number_attribute(file, "num_low_frequency")
        self._peak: float | None = None  # found once, then kept
        self._told_acs = int(told) if told and 0 < told <= self.array.grid[1] else None
        return {
            **header_facts(file, measurement, notes),
            "format": self.format if measurement else f"{self.format} without header",
            "matrix": self._matrix,
        }

    def told(self, file: h5py.File, notes: list[str]) -> Bool[np.ndarray, "frame #h w"]:
        mask = everything(self.array) & _padding(self._encoding, self.array.grid, notes)
        return mask & stored_mask(file["mask"], self.array) if "mask" in file else mask

    def extras(self, file: Contents, index: int) -> dict[str, Any]:
        if self._reference is None:
            return {}
        if self._peak is None:
            self._peak = self._reference.maximum(file)
        target = self._reference.image(file, index, self._matrix)
        return {"target": target, "peak": np.array(self._peak, np.float32)}

    def acs(self, mask: Bool[np.ndarray, "#h w"]) -> Shape:
        """Return what the file tells when the mask agrees, else what the mask tells."""
        (h, w), told = self.array.grid, self._told_acs
        agrees = told and mask.shape[0] == 1 and bool(mask[0, center_slice(w, told)].all())
        return (h, told) if told and agrees else central_block(mask, (h, w))

    def _crop(self, notes: list[str]) -> Shape:
        """Return the crop that fastMRI evaluates: the target's, else the header's, else none."""
        h, w = y, x = self.array.grid
        if self._reference is not None:
            y, x = self._reference.shape
        elif self._encoding is not None:
            y, x = self._encoding.recon.matrix[0] or y, self._encoding.recon.matrix[1] or x
        if x > w:  # some FLAIR volumes are narrower than their reconstruction matrix
            notes.append(
                f"The reconstruction is {x} pixels wide, k-space only {w}: the central "
                f"{w} x {w} pixels are used, as fastMRI does."
            )
            y, x = min(y, w), w
        return min(y, h), x


def refuse_other_trajectories(file: h5py.File, name: str = "kspace") -> None:
    """Refuse what has a ``kspace`` too, but not on a Cartesian grid.

    Raises:
        RawDataError: For a file with a trajectory, or one of fastMRI breast.
    """
    if (trajectory := stored_name(file)) is not None:
        raise RawDataError(
            f"there is a dataset '{trajectory}' beside '{name}', expected k-space on a Cartesian "
            f"grid; say reading.trajectory={trajectory} if it tells the places of the samples"
        )
    kspace = file[name]
    radial = "temptv" in file or "centerPartition" in kspace.attrs
    if radial or (kspace.dtype == "float64" and (kspace.shape or ())[2:] == (640, 288, 2)):
        raise RawDataError(
            f"'{name}' {kspace.shape} is a radial stack of stars (fastMRI breast), expected "
            "k-space on a Cartesian grid; non-Cartesian data are not supported yet"
        )


def _padding(encoding: Encoding | None, grid: Shape, notes: list[str]) -> Bool[np.ndarray, "1 w"]:
    """Return False where the scanner acquired nothing: partial Fourier, phase resolution."""
    mask = np.ones((1, grid[1]), bool)
    if encoding is None:
        return mask
    limits = encoding.limits.get("kspace_encoding_step_1")
    encoded = encoding.encoded.matrix[1]
    if limits is None or limits.center is None or limits.maximum is None or encoded is None:
        notes.append("The header has no encoding limits: only zeros tell what was not measured.")
        return mask
    left = encoded // 2 - limits.center
    right = left + limits.maximum + 1
    if left >= grid[1] or right <= max(left, 0):
        notes.append(
            f"The header's encoding limits (padding {left}..{right} of {grid[1]}) are impossible "
            "and were ignored."
        )
        return mask
    mask[:, : max(left, 0)] = False
    mask[:, max(right, 0) :] = False
    return mask
