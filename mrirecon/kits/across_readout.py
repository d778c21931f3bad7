"""Volumes of 3-D scans as the planes that some protocols score."""

from dataclasses import replace

from mrirecon.reconstruction import Reconstruction
from mrirecon.scan import ScanHeader


def across_readout(result: Reconstruction, header: ScanHeader) -> Reconstruction:
    """Return the volume of a 3-D scan as its planes across the readout; others as they are.

    Args:
        result: Volume as slices, see :meth:`~mrirecon.scan.ScanHeader.as_slices`.
        header: Header of the scan.
    """
    if not result.volumetric:
        return result
    planes = replace(
        result.header, slices=header.slices, grid=header.grid, canvas=header.canvas,
        matrix=header.matrix, voxel=header.voxel, geometry=header.geometry, volumetric=True,
    )  # fmt: skip
    phased = result.complex_volume
    return replace(
        result,
        volume=result.volume.permute(0, 2, 3, 1).contiguous(),
        header=planes,
        complex_volume=phased if phased is None else phased.permute(0, 2, 3, 1).contiguous(),
    )
