"""Averaged readouts, sorted into k-space without oversampling, or into planes of a volume."""

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.raw.averaging import AveragedLines
from mrirecon.raw.kspace_grid import Axis, Grid
from mrirecon.raw.oversampling import nearest_sample


def sort_lines(lines: AveragedLines, grid: Grid) -> Complex64[Tensor, "coil h w"]:
    """Sort the lines of one slice of a 2-D scan, zero where nothing was measured."""
    h, w = grid.shape
    measured = torch.from_numpy(lines.counts[:, nearest_sample(grid.full, h)] > 0)
    kspace = remove_oversampling(torch.from_numpy(lines.kspace), h)
    if not measured.all():
        kspace = kspace * measured[:, None, :]
    result = torch.zeros(kspace.shape[1], h, w, dtype=kspace.dtype)
    result[:, :, lines.places] = kspace.permute(1, 2, 0)
    return result


def remove_oversampling(
    kspace: Complex64[Tensor, "*b full"], size: int
) -> Complex64[Tensor, "*b size"]:
    """Crop the field of view along the last axis: to image space, centre crop, and back.

    Orthonormal on either side: white noise keeps its variance. Cropping k-space instead would halve
    the resolution and keep the field of view.
    """
    if kspace.shape[-1] == size:
        return kspace
    return fft(center_fit(ifft(kspace, (-1,)), (size,)), (-1,))


def to_planes(lines: AveragedLines, grid: Grid) -> Complex64[Tensor, "x coil place"]:
    """Take lines of a 3-D scan to image space along the readout, on its image matrix.

    Orthonormal up to a gain that keeps both the signal and the variance of the noise when the
    readout is interpolated. An asymmetric echo is zero-filled.
    """
    return to_image(torch.from_numpy(lines.kspace), grid.readout).permute(2, 1, 0)


def to_image(kspace: Complex64[Tensor, "*b full"], axis: Axis) -> Complex64[Tensor, "*b pixel"]:
    """Take k-space to image space along the last axis, on the matrix of the image.

    Orthonormal up to a gain that keeps both the signal and the variance of the noise when the axis
    is interpolated.
    """
    image = center_fit(ifft(kspace, (-1,)), (axis.size,))
    if axis.canvas != axis.size:
        image = ifft(center_fit(fft(image, (-1,)), (axis.canvas,)), (-1,))
        image = image * (axis.canvas / axis.size) ** 0.5
    return center_fit(image, (axis.matrix,))
