"""fastMRI prostate: T2 with averages that hold different lines; its diffusion scans are refused.

Tibrewala et al., FastMRI Prostate, Sci Data 11:404, 2024. Each of the three averages is twofold
undersampled; the first and the last hold the same lines, the second those between. Added as complex
numbers they are fully sampled. The published images were reconstructed by GRAPPA from each average,
interpolated to square pixels, flipped along the readout and averaged as magnitudes.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrirecon.errors import RawDataError
from mrirecon.raw.header import MeasurementHeader
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.arrays.kspace_array import KSpaceArray, Shape
from mrirecon.readers.fastmri.header import Reference, header_facts, read_measurement
from mrirecon.readers.hdf5.opening import has_axes, hdf5_holds, open_hdf5
from mrirecon.readers.hdf5.unwritten import refuse_unwritten

AXES = ("average", "slice", "coil", "h", "w")
DIFFUSION_AVERAGES = 50


class FastMriProstateScan(ArrayScan):
    """``kspace`` (average, slice, coil, h, w) with ``calibration_data`` (slice, coil, hc, wc).

    Raises:
        RawDataError: When the file is damaged, or an echo-planar diffusion scan.
    """

    format = "fastMRI prostate"
    layout = "datasets 'kspace' (average, slice, coil, h, w) and 'calibration_data'"

    @classmethod
    def detect(cls, path: Path) -> bool:
        return hdf5_holds(
            path, lambda file: has_axes(file, "kspace", AXES) and "calibration_data" in file
        )

    def open(self) -> AbstractContextManager[h5py.File]:
        return open_hdf5(self.path)

    def recognize(self, file: h5py.File) -> KSpaceArray:
        kspace = file["kspace"]
        marks = [name for name in ("phase_correction", "coil_sens_maps") if name in file]
        if marks or kspace.shape[0] == DIFFUSION_AVERAGES:
            raise RawDataError(
                f"'kspace' is {kspace.shape}{f' with {marks[0]!r}' if marks else ''}: a diffusion "
                "scan of fastMRI prostate, expected its T2 scan; echo-planar k-space needs "
                "regridding and phase correction, which are not supported yet"
            )
        return KSpaceArray.of(kspace, AXES)

    def describe(self, file: h5py.File, notes: list[str]) -> dict[str, Any]:
        measurement = read_measurement(file, notes)
        canvas = self._canvas(measurement)
        self._reference = Reference.find(file, self.array.slices, notes)
        self._peak: float | None = None  # found once, then kept
        self._matrix = canvas
        if self._reference is not None:
            y, x = self._reference.shape
            self._matrix = min(y, canvas[0]), min(x, canvas[1])
            notes.append(
                "The reference was flipped back along the readout and scaled to the interpolated "
                "image; it is the mean magnitude of GRAPPA images of each average."
            )
        self._calibration = self._find_calibration(file, notes)
        # a sum over zero-filled pixels is not a mean: what was published lacks this factor
        self._gain = (canvas[1] / self.array.grid[1]) ** 0.5
        facts = header_facts(file, measurement, notes)
        return {**facts, "canvas": canvas, "matrix": self._matrix}

    def extras(self, file: Contents, index: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._calibration is not None:
            found["calibration"] = self._calibration.read(file["calibration_data"], index)
        if self._reference is not None:
            if self._peak is None:
                self._peak = self._reference.maximum(file)
            image = self._reference.image(file, index, self._matrix)
            found["target"] = self._gain * np.ascontiguousarray(image[::-1])
            found["peak"] = np.array(self._gain * self._peak, np.float32)
        return found

    def _canvas(self, measurement: MeasurementHeader | None) -> Shape:
        """Return the size to which the published images were interpolated: square pixels."""
        h, w = self.array.grid
        encoded = measurement.encodings[0].encoded.matrix[0] if measurement else None
        return (h, max(w, encoded)) if encoded is not None and encoded <= h else (h, w)

    def _find_calibration(self, file: h5py.File, notes: list[str]) -> KSpaceArray | None:
        """Return the layout of the reference lines, when they fit k-space."""
        stored = file["calibration_data"]
        shape = stored.shape if isinstance(stored, h5py.Dataset) else None
        if shape is not None and len(shape) == 4 and stored.dtype.kind == "c" and 0 not in shape:
            array = KSpaceArray.of(stored, AXES[1:], "calibration_data")
            if (array.slices, array.coils) == (self.array.slices, self.array.coils):
                refuse_unwritten(stored)
                return array
        notes.append(
            f"'calibration_data' {shape} was left out: expected "
            f"({self.array.slices}, {self.array.coils}, hc, wc)."
        )
        return None
