"""Header, attributes and reference of files of the fastMRI family."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float32

from mrirecon.geometry import Vector
from mrirecon.raw.header import Encoding, MeasurementHeader, parse_header
from mrirecon.raw.plausibility import plausible_voxel
from mrirecon.raw.views import small_view
from mrirecon.readers.hdf5.opening import read_magnitude, read_text, text
from mrirecon.readers.hdf5.unwritten import refuse_unwritten

TARGETS = ("reconstruction_rss", "reconstruction_esc", "reconstruction")
"""Where a volume may be, in the order in which it is looked for; the first two are fastMRI's."""
_NO_HEADER = MeasurementHeader()


@dataclass(frozen=True)
class Reference:
    """A reference volume (slice, y, x) in the same file.

    Attributes:
        name: Name of the dataset.
        shape: Size ``(y, x)`` of its images.
        peak: Maximum of the volume; None when the file does not tell it.
    """

    name: str
    shape: tuple[int, int]
    peak: float | None

    @classmethod
    def find(
        cls, file: h5py.File, planes: int, notes: list[str], first: str = TARGETS[0]
    ) -> "Reference | None":
        """Return the volume that has an image for each plane; look for ``first`` first."""
        for name in (first, *TARGETS):
            item = file.get(name)
            if not isinstance(item, h5py.Dataset):
                continue
            shape: tuple[int, ...] = item.shape or ()
            fits = len(shape) == 3 and shape[0] == planes and 0 not in shape
            if fits and item.dtype.kind in "fciu":
                refuse_unwritten(item)
                told = number_attribute(file, "max")
                known = told is not None and np.isfinite(told) and told > 0
                return cls(name, (shape[1], shape[2]), told if known else None)
            notes.append(
                f"The dataset '{name}' {item.shape} {item.dtype} was left out: expected "
                f"({planes}, y, x)."
            )
        return None

    def image(
        self, file: Mapping[str, Any], index: int, shape: tuple[int, int]
    ) -> Float32[np.ndarray, "y x"]:
        """Read the centre of one image.

        Raises:
            RawDataError: When it cannot be read or is not finite.
        """
        image = read_magnitude(file[self.name], index, self.name)
        y, x = (n // 2 - kept // 2 for n, kept in zip(image.shape, shape, strict=True))
        return np.ascontiguousarray(image[y : y + shape[0], x : x + shape[1]])

    def maximum(self, file: Mapping[str, Any]) -> float:
        """Return ``peak``, or find it, which takes a pass over the volume."""
        if self.peak is not None:
            return self.peak
        volume = file[self.name]
        return max(
            float(read_magnitude(volume, index, self.name).max()) for index in range(len(volume))
        )


def read_measurement(file: h5py.File, notes: list[str]) -> MeasurementHeader | None:
    """Parse ``ismrmrd_header``.

    Raises:
        RawDataError: When it is there but cannot be parsed.
    """
    if "ismrmrd_header" not in file:
        notes.append("The file has no header: voxel sizes are unknown.")
        return None
    xml = read_text(file["ismrmrd_header"], "ismrmrd_header")
    if "repetitionInformation" in xml:
        notes.append("This is one of several repetitions (M4Raw); the others are in other files.")
    return parse_header(xml)


def header_facts(
    file: h5py.File, measurement: MeasurementHeader | None, notes: list[str]
) -> dict[str, Any]:
    """Return what header and attributes tell, as fields of ScanHeader; extends ``notes``."""
    told = measurement or _NO_HEADER
    voxel, corrected = plausible_voxel(_voxel(measurement.encodings[0]) if measurement else None)
    notes += corrected
    if measurement and voxel and not corrected:
        notes += small_view(*measurement.encodings[0].recon.field_of_view[:2])
    return {
        "voxel": voxel,
        "subject": _text_attribute(file, "patient_id") or told.subject,
        "acquisition": _text_attribute(file, "acquisition") or "",
        "sequence": told.sequence,
    }


def number_attribute(file: h5py.File, name: str) -> float | None:
    """Return an attribute of the file, or None when it is no number."""
    try:
        return float(np.asarray(file.attrs[name]).ravel()[0]) if name in file.attrs else None
    except (TypeError, ValueError, IndexError):
        return None


def _text_attribute(file: h5py.File, name: str) -> str | None:
    return text(file.attrs[name]) or None if name in file.attrs else None


def _voxel(encoding: Encoding) -> Vector | None:
    (nx, ny, _), (fx, fy, fz) = encoding.recon.matrix, encoding.recon.field_of_view
    if nx is None or ny is None or fx is None or fy is None or fz is None:
        return None
    return (fx / nx, fy / ny, fz)
