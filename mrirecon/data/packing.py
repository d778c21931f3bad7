"""Pack scans for training: k-space as the reader hands it out, ready to be mapped into memory.

:class:`~mrirecon.readers.packed.PackedScan` reads what this writes.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mrirecon.data.collate import collate
from mrirecon.errors import ConfigError
from mrirecon.files import Kind, atomic, mark_hdf5
from mrirecon.fourier import fft, ifft
from mrirecon.half_precision import narrowed
from mrirecon.hdf5_output import created_hdf5
from mrirecon.image import center_crop, center_fit
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.readers.packed import VERSION, header_checksum
from mrirecon.readers.packed_samples import as_array, checksum
from mrirecon.scan import Scan, ScanHeader
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.types import Sample

PAGE = 4096
"""Arrays begin at multiples of this many bytes, as the pages of a mapped file do."""


@dataclass(frozen=True)
class Packing:
    """What is done once instead of every time that a slice is read.

    The default is nothing: Samples of the packed scan equal those of the source.

    Attributes:
        crop_readout: Remove the readout oversampling: the field of view along ``h`` becomes that
            of the reconstructed image. A network then sees smaller images than without it, and
            public weights, trained on the oversampled ones, do not fit.
        sensitivity: Estimates ``Sample.maps``, for ``sensitivity=given``. It looks at no more lines
            than its own ``calibration``; undersample with a centre that is as wide, or the maps
            know more than the undersampled data.
        half: Store k-space and maps in half precision (see :mod:`mrirecon.half_precision`).
    """

    crop_readout: bool = False
    sensitivity: SensitivityEstimator | None = None
    half: bool = False

    def __call__(self, sample: Sample, header: ScanHeader) -> Sample:
        """Return a slice as it is to be stored."""
        if self.crop_readout:
            sample = cropped(sample, cropped_rows(header))
        if self.sensitivity is not None and sample.maps is None:
            with torch.no_grad():
                sample = sample.replace(maps=self.sensitivity(collate([sample]))[0])
        return narrowed(sample) if self.half else sample

    def header(self, header: ScanHeader) -> ScanHeader:
        """Return the header of the packed scan, which tells a pseudonym of the patient."""
        if header.subject:
            header = replace(header, subject=patient_pseudonym(header.subject))
        if self.half:
            note = "k-space was rounded to half precision in packing."
            header = replace(header, notes=(*header.notes, note))
        rows, (h, w) = cropped_rows(header), header.grid
        if not self.crop_readout or rows == h:
            return header
        note = f"Readout oversampling was removed in packing, {h} to {rows} rows."
        canvas = (header.canvas[0] * rows // h, header.canvas[1])
        return replace(header, grid=(rows, w), canvas=canvas, notes=(*header.notes, note))


def cropped_rows(header: ScanHeader) -> int:
    """Return how many rows of k-space are left without readout oversampling."""
    h, canvas, y = header.grid[0], header.canvas[0], header.matrix[0]
    if header.volumetric or y >= canvas or (y * h) % canvas:
        return h
    return y * h // canvas


def cropped(sample: Sample, rows: int) -> Sample:
    """Crop the field of view along the readout; the noise stays as it is, white.

    Raises:
        ConfigError: When samples of a readout differ, in the mask or in their weights.
    """
    h, w = sample.grid
    if rows == h:
        return sample
    if not sample.cartesian:
        raise ConfigError(
            f"{sample.key} was sampled along a trajectory, whose readouts have no field of view to "
            "crop; pack without crop_readout"
        )
    if sample.mask.shape[-2] != 1 or (sample.weights is not None and len(sample.weights) != 1):
        raise ConfigError(
            f"{sample.key}: some samples of a readout were not measured, or not as often as others "
            "(partial echo, a pattern of points), so its oversampling cannot be removed; pack "
            "without crop_readout"
        )
    reference = sample.calibration
    if reference is not None and reference.shape[-2] * rows % h:
        raise ConfigError(
            f"{sample.key}: the reference scan has {reference.shape[-2]} rows, which cannot be "
            f"cropped in the ratio {rows} to {h}; pack without crop_readout"
        )

    def crop(x: torch.Tensor) -> torch.Tensor:
        size = (x.shape[-2] * rows // h, x.shape[-1])
        return fft(center_fit(ifft(x, (-2,)), size), (-2,))

    acs = sample.acs
    if acs is not None:
        acs = torch.stack([torch.where(acs[0] == h, rows, (acs[0] * rows) // h), acs[1]])
    region = sample.region
    if region is not None:
        region = torch.stack([region[0].clamp(max=rows), region[1]])
    return sample.replace(
        kspace=crop(sample.kspace),
        calibration=None if reference is None else crop(reference),
        maps=None if sample.maps is None else center_crop(sample.maps, (rows, w)),
        acs=acs,
        region=region,
    )


def pack(
    scan: Scan, path: Path, packing: Packing | None = None, overwrite: bool = False
) -> ScanHeader:
    """Write a scan to ``path``; the file appears complete or not at all.

    Args:
        scan: Scan of any format.
        path: Path of the file to write.
        packing: Settings of what is done to each slice; None takes the default ones.
        overwrite: Whether to replace an existing file.

    Raises:
        OutputError: When the file exists already, or cannot be written.
        ConfigError: When the slices have different fields or shapes.
    """
    packing = packing or Packing()
    header = packing.header(scan.header)
    options = {"alignment_threshold": 1, "alignment_interval": PAGE}
    with (
        atomic(path, Kind.PACKED, overwrite=overwrite) as part,
        created_hdf5(part, **options) as file,
    ):
        group = file.create_group("sample")
        sums = np.zeros(len(scan), np.uint32)
        for index, read in enumerate(scan):
            sample = packing(read, scan.header)
            if index == 0:
                _check_first(sample, header)
                for name, values in sample.tensors().items():
                    first = as_array(values)
                    group.create_dataset(name, (len(scan), *first.shape), first.dtype)
            fields = {name: as_array(values) for name, values in sample.tensors().items()}
            shapes = {name: array.shape for name, array in fields.items()}
            expected = {name: stored.shape[1:] for name, stored in group.items()}
            if shapes != expected:
                raise ConfigError(
                    f"{sample.key} has the fields {shapes}, the first slice {expected}; a scan can "
                    "only be packed when its slices are alike"
                )
            for name, array in fields.items():
                group[name][index] = array
            sums[index] = checksum(sample)
            file.check()  # a full disk need not wait for the last slice
        file["checksums"] = sums
        file.attrs["header"] = json.dumps(asdict(header))
        file.attrs["header_checksum"] = header_checksum(file.attrs["header"])
        file.attrs["packed"] = VERSION
        mark_hdf5(file, Kind.PACKED)
    return header


def packed_name(name: str) -> str:
    """Return the file name of a packed scan, which ends in ``.h5``."""
    return name if name.endswith(".h5") else f"{name}.h5"


def packed_bytes(scan: Scan, packing: Packing) -> int:
    """Return about how large the packed scan is."""
    header = packing.header(scan.header)
    copies = 1 if packing.sensitivity is None else 2
    size = 4 if packing.half else 8
    return size * len(scan) * copies * header.coils * header.grid[0] * header.grid[1]


def _check_first(sample: Sample, header: ScanHeader) -> None:
    shape = (header.coils, *header.grid)
    found = (sample.kspace.shape[0], *sample.grid)  # along a trajectory the image has the grid
    if sample.neighbors is not None or found != shape:
        raise ConfigError(
            f"{sample.key} has k-space {tuple(sample.kspace.shape)}, its header tells {shape}, or "
            "it brings neighbouring slices; pack the scan as its reader gives it"
        )
