"""k-space that was saved with NumPy: ``.npy``, or ``.npz`` with an array ``kspace``.

The k-space is taken as centred and orthonormal. An ``.npy`` file is memory-mapped; an ``.npz`` file
cannot be read in parts.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.arrays.measured_samples import everything, stored_mask
from mrirecon.readers.arrays.numpy_pieces import is_numpy, located, members, open_numpy
from mrirecon.readers.arrays.numpy_trajectory import NumpyTrajectoryScan
from mrirecon.readers.hdf5.mapped import StoredArray

ARRAYS = ("kspace", "mask")


class NumpyScan(ArrayScan):
    """k-space (slice, coil, h, w) or (slice, h, w), or as ``reading.axes`` says.

    Used when present in an ``.npz``: ``mask`` (w), (h, w) or (frame, h, w).

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "NumPy"
    layout = "a .npy array (slice, coil, h, w) or (slice, h, w), or a .npz with such a 'kspace'"
    choices = ("axes", "variable", "centered", "image_centered")
    along_trajectory = NumpyTrajectoryScan

    @classmethod
    def detect(cls, path: Path) -> bool:
        return is_numpy(path)

    def open(self) -> AbstractContextManager[Contents]:
        if self.kept is not None:
            return nullcontext(self.kept)
        found = open_numpy(self.path, (self.reading.variable or ARRAYS[0], ARRAYS[1]))
        if located(found) is None:  # an archive, which was read as a whole
            self.kept = found
        return nullcontext(found)

    def locate(self, file: Contents) -> dict[str, StoredArray] | None:
        return located(file)

    def recognize(self, file: Contents) -> KSpaceArray:
        name = self.reading.variable or ARRAYS[0]
        if name not in file:
            found = ", ".join(sorted(members(self.path))) or "one array without a name"
            raise RawDataError(
                f"found {found}, expected an array '{name}'; save it by this name, or choose one "
                "with reading.variable=NAME"
            )
        return KSpaceArray.of(file[name], self.reading.axes, name)

    def describe(self, file: Contents, notes: list[str]) -> dict[str, Any]:  # noqa: ARG002
        notes.append("The file has no header: voxel sizes are unknown.")
        return {}

    def known(self, file: Contents) -> bool:  # noqa: ARG002
        return False

    def told(self, file: Contents, notes: list[str]) -> Bool[np.ndarray, "frame #h w"]:  # noqa: ARG002
        mask = file.get("mask")
        return everything(self.array) if mask is None else stored_mask(mask, self.array)
