"""Samples of k-space that is stored as an array on its grid."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from mrirecon.buffers import masked
from mrirecon.readers.arrays.array_scan import ArrayScan, Contents
from mrirecon.readers.hdf5.mapped import map_arrays
from mrirecon.types import Sample


def filled(scan: ArrayScan, index: int) -> Sample:
    """Return a plane of a scan.

    Raises:
        RawDataError: When it is damaged.
    """
    with _contents(scan) as file:
        values, measured, weights = scan.combined(file, index)
        extras = scan.extras(file, index)
    kspace, mask = torch.from_numpy(values).contiguous(), torch.from_numpy(measured)
    further: dict[str, Any] = {name: torch.from_numpy(found) for name, found in extras.items()}
    return Sample(
        kspace=kspace if bool(mask.all()) else masked(kspace, mask),
        mask=mask,
        weights=torch.from_numpy(weights) if scan.weighted and weights is not None else None,
        acs=torch.tensor(scan.acs(measured)),
        key=(scan.header.name, index),
        **further,
    )


def _contents(scan: ArrayScan) -> AbstractContextManager[Contents]:
    """Return the arrays of the file: mapped into memory when they can be, else opened."""
    if scan.located is None:
        return scan.open()
    if scan.kept is None:
        scan.kept = map_arrays(scan.path, scan.located)
    return nullcontext(scan.kept)
