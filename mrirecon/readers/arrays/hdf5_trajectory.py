"""Non-Cartesian k-space in HDF5 files: ``kspace`` with ``trajectory`` beside it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.trajectory_file import kspace_name, stored_name
from mrirecon.readers.arrays.trajectory_scan import TrajectoryScan
from mrirecon.readers.hdf5.opening import contents, hdf5_holds, open_hdf5


class Hdf5TrajectoryScan(TrajectoryScan):
    """``kspace`` (coil, readout, sample) and ``trajectory`` (readout, sample, 2), or as they fit.

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "HDF5 with trajectory"
    layout = (
        "datasets 'kspace' (or 'rawdata') of (coil, readout, sample) and 'trajectory' of (readout, "
        "sample, 2)"
    )

    @classmethod
    def detect(cls, path: Path) -> bool:
        return hdf5_holds(
            path,
            lambda file: kspace_name(file) is not None and stored_name(file) is not None,
        )

    def open(self) -> AbstractContextManager[Mapping[str, Any]]:
        return open_hdf5(self.path)

    def values(self, file: Mapping[str, Any]) -> Stored:
        self.variable = self.reading.variable or kspace_name(file) or "kspace"
        stored = file.get(self.named())
        if not isinstance(stored, h5py.Dataset):
            raise RawDataError(
                f"there is no dataset '{self.named()}' (reading.variable); found {contents(file)}"
            )
        return stored
