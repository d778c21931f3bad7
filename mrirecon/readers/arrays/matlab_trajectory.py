"""Non-Cartesian k-space that MATLAB has saved: ``kspace`` with ``trajectory`` beside it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.matlab import is_old_mat, load_old_mat, old_mat_names
from mrirecon.readers.arrays.trajectory_file import (
    KSPACE,
    NAMES,
    kspace_name,
)
from mrirecon.readers.arrays.trajectory_scan import TrajectoryScan
from mrirecon.readers.hdf5.opening import looks_like_hdf5, open_hdf5


class MatTrajectoryScan(TrajectoryScan):
    """Arrays of an old MAT file, or of an HDF5 one whose names a user tells.

    In MATLAB k-space is (sample, readout, coil) and the trajectory (2, sample, readout), complex
    (sample, readout), or as they fit.

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "MATLAB with trajectory"
    layout = "a MAT file with 'kspace' or 'rawdata' and 'trajectory' or 'traj'"

    @classmethod
    def detect(cls, path: Path) -> bool:
        found = old_mat_names(path) if is_old_mat(path) else ()
        return any(name in found for name in KSPACE) and any(name in found for name in NAMES)

    def open(self) -> AbstractContextManager[Mapping[str, Any]]:
        if looks_like_hdf5(self.path):
            return open_hdf5(self.path)
        if self._held is None:
            self._held = load_old_mat(self.path)
        return nullcontext(self._held)

    def values(self, file: Mapping[str, Any]) -> Stored:
        self.variable = self.reading.variable or kspace_name(file) or "kspace"
        stored = file.get(self.variable)
        if not isinstance(stored, Stored):
            found = ", ".join(map(str, file)) or "no array"
            raise RawDataError(
                f"found {found}, expected an array '{self.variable}'; choose one with "
                "reading.variable=NAME"
            )
        return stored
