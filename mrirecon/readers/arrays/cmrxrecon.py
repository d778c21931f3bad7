"""CMRxRecon 2023 to 2025: cardiac k-space in MAT files, frames in time.

Wang et al., Sci Data 11:687, 2024 (CMRxRecon) and arXiv:2406.19043 (CMRxRecon2024). In MATLAB the
arrays are (kx, ky, coil, slice, time), in HDF5 the reverse, which is the order meant here. The
k-space is centred; readout oversampling is removed. Masks come in files of their own, so that what
was not measured is found by its zeros, which may differ between frames.
"""

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.arrays.matlab import from_matlab, is_old_mat, load_old_mat, old_mat_names
from mrirecon.readers.arrays.matlab_trajectory import MatTrajectoryScan
from mrirecon.readers.arrays.measured_samples import everything, stored_mask
from mrirecon.readers.hdf5.opening import looks_like_hdf5, open_hdf5

NAMES = re.compile(r"(kspace(_single)?(_full|_sub\d+)|kus|Recon_ks|kspace)", re.ASCII)
AXES = {
    5: ("phase", "slice", "coil", "w", "h"),
    4: ("slice", "coil", "w", "h"),
    3: ("coil", "w", "h"),
}
SINGLE_COIL_AXES = {4: ("phase", "slice", "w", "h"), 3: ("slice", "w", "h"), 2: ("w", "h")}
"""By the number of axes, as MATLAB drops trailing ones of length one."""


class CmrxReconScan(ArrayScan):
    """``kspace_full``, ``kspace_subXX``, ``kspace_single_…``, ``kus``, ``Recon_ks`` or ``kspace``.

    Used when present: a ``mask…`` for k-space (ky, kx) or (time, ky, kx).

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "CMRxRecon"
    layout = "a MAT file with 'kspace_full', 'kspace_sub04', 'kus' or 'kspace'"
    choices = ("axes", "variable", "centered", "image_centered")
    along_trajectory = MatTrajectoryScan

    @classmethod
    def detect(cls, path: Path) -> bool:
        if not looks_like_hdf5(path):
            return is_old_mat(path) and bool(_kspace_names(old_mat_names(path)))
        with open_hdf5(path) as file:
            return any(
                isinstance(file.get(name), h5py.Dataset)
                and (name != "kspace" or from_matlab(file, name))
                for name in _kspace_names(file)
            )

    def open(self) -> AbstractContextManager[Contents]:
        if looks_like_hdf5(self.path):
            return open_hdf5(self.path)
        if self.kept is None:
            self.kept = load_old_mat(self.path)
        return nullcontext(self.kept)

    def recognize(self, file: Contents) -> KSpaceArray:
        told = self.reading.variable
        names = [n for n in ([told] if told else _kspace_names(file)) if is_array(file, n)]
        if not names:
            found = ", ".join(map(str, file)) or "no array"
            raise RawDataError(
                f"found {found}, expected {f'an array {told!r}' if told else self.layout}; choose "
                "one with reading.variable=NAME, or export k-space again"
            )
        # the undersampled data are what there is to reconstruct, unless all of it is there
        name = next((name for name in names if name.endswith("_full")), names[0])
        self._others = tuple(n for n in _kspace_names(file) if n != name)
        self._public = bool(NAMES.fullmatch(name))
        stored, single = file[name], "single" in name
        self._assumed = self.reading.axes is None
        axes = self.reading.axes or (SINGLE_COIL_AXES if single else AXES).get(
            len(stored.shape or ())
        )
        if axes is None:
            raise RawDataError(
                f"'{name}' is {stored.shape} {stored.dtype}, expected (time, slice, coil, ky, kx); "
                "say with reading.axes what each axis means"
            )
        return KSpaceArray.of(stored, axes, name)

    def describe(self, file: Contents, notes: list[str]) -> dict[str, Any]:  # noqa: ARG002
        if self._others:
            notes.append(f"'{self.array.name}' was read, not {', '.join(self._others)}.")
        if self._assumed and self._public:
            notes.append(
                f"The axes of '{self.array.name}' {self.array.shape} were taken as "
                f"({', '.join(self.array.axes)}); if they are not, set reading.axes."
            )
        return {} if self._public else {"format": "MAT"}

    def known(self, file: Contents) -> bool:  # noqa: ARG002
        return self._public

    def told(self, file: Contents, notes: list[str]) -> Bool[np.ndarray, "frame #h w"]:
        masks = [name for name in map(str, file) if name.lower().startswith("mask")]
        if not masks:
            return everything(self.array)
        notes.extend(f"'{name}' was not used, but '{masks[0]}'." for name in masks[1:])
        transposed = self.array.axes.index("w") < self.array.axes.index("h")
        return stored_mask(file[masks[0]], self.array, masks[0], transposed)


def is_array(file: Contents, name: str) -> bool:
    """Tell whether a file has an array of this name."""
    return name in file and isinstance(file[name], Stored)


def _kspace_names(names: Iterable[str]) -> list[str]:
    """Return those that are names of k-space; h5py gives bytes for names that are no text."""
    return sorted(name for name in names if isinstance(name, str) and NAMES.fullmatch(name))
