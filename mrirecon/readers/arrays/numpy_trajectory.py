"""Non-Cartesian k-space that was saved with NumPy: an ``.npz`` with ``kspace`` and ``trajectory``.

Of an ``.npy`` file, or an ``.npz`` without them, the places are told by ``reading.trajectory``.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.numpy_pieces import is_numpy, load_numpy, members
from mrirecon.readers.arrays.trajectory_file import (
    KSPACE,
    NAMES,
    kspace_name,
)
from mrirecon.readers.arrays.trajectory_scan import TrajectoryScan


class NumpyTrajectoryScan(TrajectoryScan):
    """``kspace`` (coil, readout, sample) and ``trajectory`` (readout, sample, 2), or as they fit.

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "NumPy with trajectory"
    layout = "a .npz with 'kspace' (coil, readout, sample) and 'trajectory' (readout, sample, 2)"

    @classmethod
    def detect(cls, path: Path) -> bool:
        found = {name.removesuffix(".npy") for name in members(path)} if is_numpy(path) else set()
        return any(name in found for name in KSPACE) and any(name in found for name in NAMES)

    def open(self) -> AbstractContextManager[Mapping[str, Any]]:
        if self._held is None:
            told = (self.reading.trajectory,) if self.reading.trajectory else ()
            chosen = (self.reading.variable,) if self.reading.variable else KSPACE
            self._held = load_numpy(self.path, (*chosen, *told, *NAMES))
        return nullcontext(self._held)

    def values(self, file: Mapping[str, Any]) -> Stored:
        self.variable = self.reading.variable or kspace_name(file) or "kspace"
        if self.named() not in file:
            found = ", ".join(sorted(members(self.path))) or "one array without a name"
            raise RawDataError(
                f"found {found}, expected an array '{self.named()}'; save it by this name, or "
                "choose one with reading.variable=NAME"
            )
        stored: Stored = file[self.named()]
        return stored
