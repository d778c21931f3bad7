"""References of simulated scans: what a scanner without noise would have seen."""

from pathlib import Path

import numpy as np

from mrirecon.files import Kind, found_kind
from mrirecon.readers.base import blaming
from mrirecon.readers.hdf5.opening import open_hdf5
from mrirecon.types import Sample

SAME = 1e-5
"""Relative difference of the largest values that rounding may cause."""


def other_reference(path: Path, raw: Sample) -> str:
    """Tell how a reference that is there is not that of a scan; empty if it is.

    Args:
        path: Path of the reference.
        raw: One plane of the scan, which knows the largest value of the reference.
    """
    try:
        kind = found_kind(path)
    except (OSError, EOFError, ValueError, KeyError):
        kind = None
    if kind is not Kind.REFERENCE:
        return f"{path}: it is no simulated reference, or was changed since"
    with blaming(path), open_hdf5(path) as file:
        largest = float(np.asarray(file.attrs["max"]))
    assert raw.peak is not None
    same = np.isclose(largest, float(raw.peak), rtol=SAME)
    return "" if same else f"{path}: it is the reference of another scan"
