"""k-space on a grid in HDF5: the fastMRI layout, with or without its header.

Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839. The
k-space is centred and orthonormal already, readout oversampling is still in it (the image is the
central crop), and it is kept as stored. fastMRI tells neither noise nor orientation.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.image import center_crop
from mrirecon.raw.header import Encoding, MeasurementHeader, parse_header
from mrirecon.readers.base import FileScan, blaming
from mrirecon.readers.hdf5 import looks_like_hdf5, open_hdf5, read, text
from mrirecon.readers.kspace_array import KSpaceArray, measured_mask, stored_mask
from mrirecon.reading import Reading
from mrirecon.sampling.calibration import center_slice, central_block
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample

Shape = tuple[int, int]
_NO_HEADER = MeasurementHeader()
TARGETS = ("reconstruction_rss", "reconstruction_esc", "reconstruction")
"""Where a volume may be, in the order in which it is looked for; the first two are fastMRI's."""


@dataclass(frozen=True)
class _Facts:
    """What is known after the file has been looked at once."""

    array: KSpaceArray
    mask: Bool[Tensor, "#h w"]
    acs: Shape
    target: str | None
    peak: float | None


class FastMriScan(FileScan):
    """``kspace`` (slice, coil, h, w) or (slice, h, w), with what else there is.

    Used when present: ``ismrmrd_header``, ``mask`` (w) or (h, w), ``reconstruction_rss``,
    ``reconstruction_esc`` or ``reconstruction`` (slice, y, x), and the attributes ``max``,
    ``patient_id``, ``acquisition``, ``num_low_frequency``.

    Raises:
        RawDataError: When the file is damaged or its arrays do not fit together.
    """

    format = "fastMRI"
    layout = "a dataset 'kspace' (slice, coil, h, w) or (slice, h, w), 'ismrmrd_header' optional"

    def __init__(self, path: Path, reading: Reading | None = None) -> None:
        super().__init__(path, reading)
        with blaming(path), open_hdf5(path) as file:
            self.header, self._facts = _look(path.name, file)

    @classmethod
    def detect(cls, path: Path) -> bool:
        if not looks_like_hdf5(path):
            return False
        with open_hdf5(path) as file:
            return isinstance(file.get("kspace"), h5py.Dataset)

    def __getitem__(self, index: int) -> Sample:
        self.check(index)
        facts = self._facts
        with blaming(self.path), open_hdf5(self.path) as file:
            kspace = torch.from_numpy(facts.array.read(file["kspace"], index))
            target = self._target(file, index)
            peak = self._peak(file)
        return Sample(
            kspace=kspace * facts.mask,
            mask=facts.mask.clone(),
            target=target,
            peak=peak,
            acs=torch.tensor(facts.acs),
            key=(self.header.name, index),
        )

    def _target(self, file: h5py.File, index: int) -> Float32[Tensor, "y x"] | None:
        if self._facts.target is None:
            return None
        image = np.asarray(read(file[self._facts.target], index))
        magnitude = np.abs(image).astype(np.float32)
        return center_crop(torch.from_numpy(magnitude), self.header.matrix).contiguous()

    def _peak(self, file: h5py.File) -> Float32[Tensor, ""] | None:
        facts = self._facts
        if facts.target is None:
            return None
        if facts.peak is None:  # found once, then kept: it takes a pass over the volume
            peak = float(np.abs(read(file[facts.target])).max())
            self._facts = facts = _Facts(facts.array, facts.mask, facts.acs, facts.target, peak)
        return torch.tensor(facts.peak, dtype=torch.float32)


def _look(name: str, file: h5py.File) -> tuple[ScanHeader, _Facts]:
    trajectory = [key for key in ("trajectory", "traj") if key in file]
    if trajectory:
        raise RawDataError(
            f"there is a dataset '{trajectory[0]}' beside 'kspace', expected k-space on a "
            "Cartesian grid; non-Cartesian data are not supported yet"
        )
    array = KSpaceArray.of(file["kspace"])
    notes = list(array.notes)
    measurement = _header(file, notes)
    encoding = measurement.encodings[0] if measurement else None
    target = _target_name(file, array, notes)
    matrix = _matrix(file, array.grid, encoding, target, notes)
    mask = _padding(encoding, array.grid, notes)
    if "mask" in file:
        mask = mask & stored_mask(file["mask"], array.grid)
    mask = measured_mask(file["kspace"], array, mask, notes)
    header = ScanHeader(
        name=name,
        format=FastMriScan.format if measurement else f"{FastMriScan.format} without header",
        slices=array.slices,
        coils=array.coils,
        grid=array.grid,
        canvas=array.grid,
        matrix=matrix,
        voxel=_voxel(encoding),
        subject=_text_attribute(file, "patient_id") or (measurement or _NO_HEADER).subject,
        acquisition=_text_attribute(file, "acquisition") or "",
        sequence=(measurement or _NO_HEADER).sequence,
        notes=tuple(notes),
    )
    peak = _number_attribute(file, "max")
    peak = peak if peak is not None and np.isfinite(peak) and peak > 0 else None
    return header, _Facts(array, mask, _acs(file, mask, array.grid), target, peak)


def _header(file: h5py.File, notes: list[str]) -> MeasurementHeader | None:
    if "ismrmrd_header" not in file:
        notes.append("The file has no header: voxel sizes are unknown.")
        return None
    return parse_header(text(read(file["ismrmrd_header"])))


def _target_name(file: h5py.File, array: KSpaceArray, notes: list[str]) -> str | None:
    single = "reconstruction_esc" if array.axes == 3 else "reconstruction_rss"
    for name in (single, *TARGETS):
        if not isinstance(file.get(name), h5py.Dataset):
            continue
        shape = file[name].shape
        if len(shape) == 3 and shape[0] == array.slices:
            return name
        notes.append(f"The dataset '{name}' {shape} was left out: expected ({array.slices}, y, x).")
    return None


def _matrix(
    file: h5py.File, grid: Shape, encoding: Encoding | None, target: str | None, notes: list[str]
) -> Shape:
    """Return the crop that fastMRI evaluates: the target's, else the header's, else none."""
    y, x = grid
    if target is not None:
        y, x = file[target].shape[-2:]
    elif encoding is not None:
        y, x = encoding.recon.matrix[0] or y, encoding.recon.matrix[1] or x
    if x > grid[1]:  # some FLAIR volumes are narrower than their reconstruction matrix
        notes.append(
            f"The reconstruction is {x} pixels wide, k-space only {grid[1]}: the central "
            f"{grid[1]} x {grid[1]} pixels are used, as fastMRI does."
        )
        y, x = min(y, grid[1]), grid[1]
    return min(y, grid[0]), x


def _padding(encoding: Encoding | None, grid: Shape, notes: list[str]) -> Bool[Tensor, "1 w"]:
    """Return False where the scanner acquired nothing: partial Fourier, phase resolution."""
    mask = torch.ones((1, grid[1]), dtype=torch.bool)
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


def _voxel(encoding: Encoding | None) -> tuple[float, float, float] | None:
    if encoding is None:
        return None
    (nx, ny, _), (fx, fy, fz) = encoding.recon.matrix, encoding.recon.field_of_view
    if nx is None or ny is None or fx is None or fy is None or fz is None:
        return None
    return (fx / nx, fy / ny, fz)


def _acs(file: h5py.File, mask: Bool[Tensor, "#h w"], grid: Shape) -> Shape:
    """Return the calibration size that the file tells, when its mask agrees; else the mask's."""
    found = central_block(mask, grid)
    told = _number_attribute(file, "num_low_frequency")
    if told is None or mask.shape[0] != 1 or not 0 < told <= grid[1]:
        return found
    return (grid[0], int(told)) if bool(mask[0, center_slice(grid[1], int(told))].all()) else found


def _text_attribute(file: h5py.File, name: str) -> str | None:
    return text(file.attrs[name]) or None if name in file.attrs else None


def _number_attribute(file: h5py.File, name: str) -> float | None:
    try:
        return float(np.asarray(file.attrs[name]).ravel()[0]) if name in file.attrs else None
    except (TypeError, ValueError, IndexError):
        return None
