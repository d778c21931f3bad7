"""NIfTI-1 volumes with the scanner's coordinates."""

from pathlib import Path

import nibabel
import numpy as np

from mrirecon.files import atomic
from mrirecon.reconstruction import Reconstruction


def write_nifti(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write a float32 ``.nii.gz`` indexed (x, y, slice), with several frames (x, y, slice, frame).

    qform and sform carry code 1 (scanner) when the raw file told where the slices lie; else code
    0, and voxel sizes are all that can be relied on.
    """
    data = np.ascontiguousarray(result.volume.numpy().transpose(3, 2, 1, 0))
    if data.shape[-1] == 1:
        data = data[..., 0]
    affine = result.header.affine()
    code = int(result.header.geometry is not None)
    image = nibabel.Nifti1Image(data, affine)
    image.set_qform(affine, code)
    image.set_sform(affine, code)
    if data.ndim == 4 and result.header.sequence.repetition_time:
        image.header["pixdim"][4] = result.header.sequence.repetition_time / 1000
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = f"mrirecon {result.header.acquisition}".encode()[:79]
    with atomic(path, overwrite=overwrite) as temporary:
        nibabel.save(image, temporary)
