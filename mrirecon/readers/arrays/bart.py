"""BART: pairs of ``.hdr`` (dimensions as text) and ``.cfl`` (complex64, first index fastest).

Uecker et al., Proc ISMRM 23:2486, 2015. The Fourier transform is centred and unitary as here.
Three-dimensional k-space is transformed along its readout and becomes a stack of planes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex64

from mrirecon.errors import RawDataError
from mrirecon.raw.trajectory_names import ASK
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.bart_contents import (
    check_slices,
    refuse_few_partitions,
    refuse_trajectory,
)
from mrirecon.readers.arrays.bart_pair import DIMENSIONS, MEANING, is_pair, open_pair, pair_of
from mrirecon.readers.arrays.bart_trajectory import BartTrajectoryScan
from mrirecon.readers.arrays.kspace_array import KSpaceArray

PLANES_AT_ONCE = 16
"""Planes of a 3-D scan that are computed and kept together; each time all of k-space is read."""


class BartScan(ArrayScan):
    """k-space ``READ PHS1 PHS2 COIL``, also with ``TE``, ``TIME``, ``TIME2``, ``SLICE``, ``AVG``.

    Either file of the pair may be given.

    Raises:
        RawDataError: When one of the pair is missing, they contradict each other, or there are
            other dimensions.
    """

    format = "BART"
    layout = "a .cfl file with its .hdr beside it"
    choices = ("centered", "image_centered")
    along_trajectory = BartTrajectoryScan

    @classmethod
    def detect(cls, path: Path) -> bool:
        return is_pair(path)

    @classmethod
    def parts(cls, path: Path) -> tuple[Path, ...]:
        return pair_of(path)

    @contextmanager
    def open(self) -> Iterator[Contents]:
        yield {"kspace": open_pair(self.path)}

    def recognize(self, file: Contents) -> KSpaceArray:
        sizes = dict(zip(DIMENSIONS, file["kspace"].shape, strict=True))
        other = [
            n for n, size in sizes.items() if size > 1 and n not in (*DIMENSIONS[:3], *MEANING)
        ]
        if other:
            raise RawDataError(
                f"there are {sizes[other[0]]} along {other[0]}, expected k-space with one; "
                "take one of them with 'bart slice', or check that this is k-space"
            )
        refuse_trajectory(file["kspace"])
        read, second = sizes["READ"], sizes["PHS2"]
        self._split = read > 1 and second > 1
        if self._split and sizes["SLICE"] > 1:
            raise RawDataError(
                f"there are {sizes['SLICE']} slabs of {second} partitions, expected one slab; "
                "take one of them with 'bart slice 13'"
            )
        planes = ("slice", "h", "w") if self._split else ("", "h", "w")
        encoding = planes if second > 1 else ("h", "w", "")
        meaning = MEANING | ({"SLICE": ""} if self._split else {})
        self._words = (*encoding, *(meaning.get(name, "") for name in DIMENSIONS[3:]))
        return KSpaceArray.of(self._squeezed(file), tuple(filter(None, self._words)))

    def describe(self, file: Contents, notes: list[str]) -> dict[str, Any]:
        notes.append("The file has no header: voxel sizes are unknown.")
        if self._split:
            if self.reading.centered is None:
                refuse_few_partitions(self.array, self._squeezed(file))
            notes.append("The 3-D k-space was transformed along its readout and split into planes.")
        elif not self._words[0]:
            notes.append(
                "READ is one: taken as a plane of two phase encodings. Non-Cartesian k-space looks "
                f"the same: {ASK}."
            )
        if not self._split and "slice" in self.array.axes:
            notes += check_slices(self.array, self._squeezed(file))
        return {"volumetric": self._split}

    def values(self, file: Contents) -> np.ndarray:
        return self._squeezed(file)

    def known(self, file: Contents) -> bool:  # noqa: ARG002
        return False

    def kspace_axes(self) -> tuple[str, ...]:
        return ("slice", "h", "w") if self._split else ("h", "w")

    def probed(self) -> tuple[int, ...] | None:
        return (self.array.slices // 2,) if self._split else None

    def plane(
        self, file: Contents, index: int, coil: int | None, average: int
    ) -> Complex64[np.ndarray, "coil h w"]:
        kspace = self._squeezed(file)
        if not self._split:
            return self.array.read(kspace, index, coil, average)
        frame, x = divmod(index, self.array.slices)
        start = x - x % PLANES_AT_ONCE
        key = (frame, average, start)
        if self.kept is None or self.kept[0] != key:
            fixed = {**self.array.counters(frame), "average": average}
            self.kept = (key, _hybrid(self.array, kspace, fixed, start))
        plane: np.ndarray = self.kept[1][:, x - start]
        return plane if coil is None else plane[coil : coil + 1]

    def _squeezed(self, file: Contents) -> np.ndarray:
        """Leave out the dimensions that have no meaning here; their length is one."""
        selection = tuple(slice(None) if word else 0 for word in self._words)
        view: np.ndarray = file["kspace"][selection]
        return view


def _hybrid(
    array: KSpaceArray, kspace: np.ndarray, fixed: dict[str, int], start: int
) -> Complex64[np.ndarray, "coil x h w"]:
    """Transform along the readout, coil by coil, and keep some planes."""
    # import torch, which is much faster with volumes, and which other arrays need not
    from torch import from_numpy

    from mrirecon.fourier import ifft

    blocks = []
    for coil in range(array.coils):
        volume = array.take(kspace, ("slice", "h", "w"), {**fixed, "coil": coil})
        image = ifft(from_numpy(volume), axes=(0,)).numpy()
        blocks.append(image[start : start + PLANES_AT_ONCE].copy())
    return np.stack(blocks)
