"""NIfTI-1 volumes with the scanner's coordinates, each with a BIDS sidecar."""

import gzip
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np

from mrirecon.files import Kind, atomic, mark, refuse_existing, stamped
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.quantities import NAMINGS
from mrirecon.writers.sidecar import write_sidecar


def write_nifti(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write a float32 ``.nii.gz`` indexed (x, y, slice), with several frames (x, y, slice, frame).

    qform and sform carry code 1 (scanner) when the raw file told where the slices lie and they are
    a stack of equal steps; else code 0, and voxel sizes are all that can be relied on. The fourth
    pixel dimension of frames is the repetition time in seconds. What NIfTI cannot hold goes to
    ``<name>.json``.

    Images with their phase become two files, as BIDS has it: ``<name>_part-mag.nii.gz`` and
    ``<name>_part-phase.nii.gz``, in radians. Each companion of the image is a file as well, such
    as ``<name>_std.nii.gz``.
    """
    magnitude = replace(result, complex_volume=None, companions=())
    parts = {path: magnitude}
    if result.complex_volume is not None:
        parts = {
            beside(path, "part-mag"): magnitude, beside(path, "part-phase"): result.phase()
        }  # fmt: skip
    parts |= {beside(path, one.quantity): one for one in result.apart()}
    for one in parts:  # before the first is written
        refuse_existing(one, overwrite, Kind.NIFTI)
        refuse_existing(sidecar_path(one), overwrite, Kind.SIDECAR)
    for one, part in parts.items():
        _write_one(one, part, overwrite)


def beside(path: Path, what: str) -> Path:
    """Return where a part of complex images (``part-mag``, ``part-phase``) or a companion lies."""
    end = ".nii.gz" if path.suffix == ".gz" else path.suffix
    name = path.name.removesuffix(end).removesuffix("_part-mag")
    return path.with_name(f"{name}_{what}{end}")


def _write_one(path: Path, result: Reconstruction, overwrite: bool) -> None:
    data = np.ascontiguousarray(result.volume.numpy().transpose(3, 2, 1, 0))
    if data.shape[-1] == 1:
        data = data[..., 0]
    affine = result.header.affine()
    code = int(result.header.located)
    image = nibabel.Nifti1Image(data, affine)
    image.set_qform(affine, code)
    image.set_sform(affine, code)
    if data.ndim == 4:  # the time between volumes; TR is that between excitations
        image.header["pixdim"][4] = result.header.sequence.frame_interval or 0
    image.header.set_xyzt_units("mm", "sec")
    image.header["intent_name"] = NAMINGS[result.quantity].words[:15].encode()
    image.header["descrip"] = _text(f"{mark(Kind.NIFTI)}; {result.header.acquisition}")
    with atomic(path, Kind.NIFTI, overwrite=overwrite) as temporary:
        content = stamped(image.to_bytes(), Kind.NIFTI)
        packed = path.suffix == ".gz"
        temporary.write_bytes(gzip.compress(content, 1, mtime=0) if packed else content)
    write_sidecar(sidecar_path(path), result, overwrite=overwrite)


def sidecar_path(path: Path) -> Path:
    """Return where the sidecar of a ``.nii.gz`` or ``.nii`` lies."""
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def _text(text: str) -> bytes:
    """Return what fits into ``descrip``, not cut within a character."""
    return text.encode()[:79].decode(errors="ignore").encode()
