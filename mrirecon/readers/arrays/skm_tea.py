"""SKM-TEA: 3-D double-echo knees in hybrid space, with sensitivities and references.

Desai et al., SKM-TEA: a dataset for accelerated MRI reconstruction with dense image labels, NeurIPS
Datasets and Benchmarks 2021. x is in image space already; the planes are k-space of the two phase
encodings, centred and orthonormal.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Complex64, Float32

from mrirecon.errors import RawDataError
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.readers.hdf5.opening import has_axes, hdf5_holds, open_hdf5, read_magnitude
from mrirecon.readers.hdf5.unwritten import refuse_unwritten

AXES = ("slice", "h", "w", "contrast", "coil")
UNIT = 0.01
"""Sensitivities whose root-sum-of-squares differs more from one were normalised differently."""


class SkmTeaScan(ArrayScan):
    """``kspace`` (x, y, z, echo, coil) and ``maps`` (x, y, z, coil, 1); two echoes, two frames.

    Used when present: ``target`` (x, y, z, echo, 1). Of ``masks`` only the names are told: choose a
    pattern with ``sampling=``.

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "SKM-TEA"
    layout = "datasets 'kspace' (x, y, z, echo, coil) and 'maps' (x, y, z, coil, 1)"

    @classmethod
    def detect(cls, path: Path) -> bool:
        return hdf5_holds(
            path, lambda file: all(has_axes(file, name, AXES) for name in ("kspace", "maps"))
        )

    def open(self) -> AbstractContextManager[h5py.File]:
        return open_hdf5(self.path)

    def recognize(self, file: h5py.File) -> KSpaceArray:
        return KSpaceArray.of(file["kspace"], AXES)

    def describe(self, file: h5py.File, notes: list[str]) -> dict[str, Any]:
        x, y, z, echoes, coils = self.array.shape
        refuse_unwritten(file["maps"])
        self._maps = KSpaceArray.of(file["maps"], ("slice", "h", "w", "coil", "set"), "maps")
        if self._maps.shape != (x, y, z, coils, 1):
            raise RawDataError(
                f"'maps' is {self._maps.shape}, expected {(x, y, z, coils, 1)} as 'kspace' is "
                f"{self.array.shape}; take maps of the same scan, or delete them"
            )
        norm = np.linalg.norm(self._stored_maps(file, x // 2), axis=0)
        if (np.abs(norm - 1) > UNIT)[norm > 0].any():
            notes.append("The maps were scaled to unit root-sum-of-squares.")
        self._has_target = self._check_target(file, (x, y, z, echoes, 1), notes)
        self._peaks: dict[int, float] = {}  # of each echo, found once
        notes.append(
            "The vendor (GE ARC) filled in k-space by parallel imaging: as a reference it is no "
            "raw data."
        )
        masks = file.get("masks")
        if isinstance(masks, h5py.Group) and len(masks):
            notes.append(
                f"The file's masks were not applied: {', '.join(sorted(map(str, masks)))}."
            )
        return {"volumetric": True}

    def probed(self) -> tuple[int, ...]:
        return (self.array.slices // 2,)  # in hybrid space all planes have the same samples

    def extras(self, file: Contents, index: int) -> dict[str, Any]:
        echo, x = divmod(index, self.array.slices)
        maps = self._stored_maps(file, x)
        norm = np.linalg.norm(maps, axis=0)
        found: dict[str, Any] = {"maps": maps / np.where(norm > 0, norm, np.float32(1))}
        if self._has_target:
            found["target"] = self._target(file, x, echo)
            if echo not in self._peaks:
                planes = range(self.array.slices)
                self._peaks[echo] = max(float(self._target(file, i, echo).max()) for i in planes)
            found["peak"] = np.array(self._peaks[echo], np.float32)
        return found

    def _stored_maps(self, file: Contents, x: int) -> Complex64[np.ndarray, "coil h w"]:
        return self._maps.read(file["maps"], x)

    def _target(self, file: Contents, x: int, echo: int) -> Float32[np.ndarray, "h w"]:
        values = read_magnitude(file["target"], (x, slice(None), slice(None), echo, 0), "target")
        return np.ascontiguousarray(values)

    def _check_target(self, file: h5py.File, expected: tuple[int, ...], notes: list[str]) -> bool:
        target = file.get("target")
        if not isinstance(target, h5py.Dataset):
            return False
        if target.shape == expected and target.dtype.kind in "fc":
            refuse_unwritten(target)
            return True
        notes.append(
            f"The dataset 'target' {target.shape} {target.dtype} was left out: expected {expected}."
        )
        return False
