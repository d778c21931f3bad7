"""Label maps in NIfTI, on the grid of the volume that they belong to."""

import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from mrirecon.errors import RawDataError

Shape = tuple[int, int, int]
CLOSE = 0.01
"""Part of a voxel by which the places of a label map and of a volume may differ."""


def read_label_map(
    path: Path, shape: Shape, affine: Float64[np.ndarray, "4 4"] | None
) -> dict[str, Bool[Tensor, "slice y x"]]:
    """Read the regions of a NIfTI label map; 0 is no region.

    Axes may be stored in another order or direction than those of the volume, if both tell where
    they lie.

    Args:
        path: Path of the NIfTI file.
        shape: Size of the volume, ``(slice, y, x)``.
        affine: Matrix from indices ``(x, y, slice)`` of the volume to RAS+ in mm; None where it
            is not known, so that only the sizes can be compared.

    Raises:
        RawDataError: When it cannot be read, holds no labels, or has another grid.
    """
    import nibabel

    try:
        image = nibabel.Nifti1Image.from_filename(path)
        values = np.asarray(image.dataobj)
    except (
        nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError,
        nibabel.wrapstruct.WrapStructError, OSError, ValueError, EOFError, zlib.error,
    ) as error:  # fmt: skip
        raise RawDataError(f"{path}: cannot be read as NIfTI: {error}") from error
    if values.ndim != 3 or not np.isfinite(values).all() or (values != values.round()).any():
        raise RawDataError(
            f"{path}: expected a label map, whole numbers in three dimensions, found "
            f"{values.dtype} of shape {values.shape}"
        )
    own = image.affine if image.header["sform_code"] or image.header["qform_code"] else None
    if affine is not None and own is not None:
        values = _reoriented(path, values, own, affine)
    values = values.transpose(2, 1, 0)
    if values.shape != shape:
        raise RawDataError(
            f"{path}: the label map has {' x '.join(map(str, values.shape))} voxels (slice, y, x), "
            f"its volume {' x '.join(map(str, shape))}; resample it to the grid of the volume"
        )
    labels = [int(label) for label in np.unique(values) if label]
    if not labels:
        raise RawDataError(f"{path}: the label map is empty")
    return {str(label): torch.from_numpy(values == label) for label in labels}


def _reoriented(
    path: Path,
    values: np.ndarray,
    own: Float64[np.ndarray, "4 4"],
    affine: Float64[np.ndarray, "4 4"],
) -> np.ndarray:
    """Order and turn the axes as those of the volume, and make sure that voxels coincide."""
    steps = np.linalg.solve(affine[:3, :3], own[:3, :3])  # of the map, in voxels of the volume
    order = np.abs(steps).argmax(0)
    if sorted(order) != [0, 1, 2]:
        raise RawDataError(f"{path}: the label map lies oblique to its volume; resample it")
    signs = np.sign(steps[order, range(3)])
    turned, moved = values, own.copy()
    for axis in range(3):
        if signs[axis] < 0:
            turned = np.flip(turned, axis)
            moved[:3, 3] += moved[:3, axis] * (values.shape[axis] - 1)
            moved[:3, axis] *= -1
    where = np.argsort(order)
    moved[:3, :3] = moved[:3, where]
    off = np.linalg.solve(affine, moved) - np.eye(4)
    reach = np.array([*(max(n - 1, 1) for n in turned.transpose(*where).shape), 1.0])
    if np.abs(off * reach).max() > CLOSE:
        raise RawDataError(
            f"{path}: the label map lies elsewhere than its volume, or has other voxels "
            f"(by up to {np.abs(off * reach).max():.3g} voxels); resample it to the volume's grid"
        )
    return turned.transpose(*where)
