"""Rigid motion in the plane, exact for what k-space holds: no interpolation, no smoothing."""

import math

import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.fourier import displacement_phase, fft, ifft
from mrirecon.scan import ScanHeader
from mrirecon.types import KSpace


def pixel_ratio(header: ScanHeader) -> float:
    """Return the height of a pixel of the grid divided by its width; 1 where nobody knows."""
    if header.voxel is None:
        return 1.0
    (h, w), (canvas_h, canvas_w) = header.grid, header.canvas
    return (header.voxel[0] * canvas_h / h) / (header.voxel[1] * canvas_w / w)


def rotated(kspace: KSpace, degrees: float, ratio: float = 1.0) -> KSpace:
    r"""Return the k-space of the object rotated about the centre of the image.

    Three shears, each of which displaces the rows or the columns of the image by a phase in their
    transform (Unser, Thévenaz and Yaroslavsky, IEEE Trans Image Process 4:1371, 1995):

    .. math:: R(\theta) = S_x(-\tan\tfrac\theta2)\,S_y(\sin\theta)\,S_x(-\tan\tfrac\theta2)

    Each is unitary, so energy and white noise stay what they are, and the rotation back undoes it.
    What leaves the field of view comes back at the other side.

    Args:
        kspace: Measured k-space of one slice or several.
        degrees: Angle from the axis ``h`` towards ``w``: what lies below the centre moves to the
            right when it is positive.
        ratio: Height of a pixel divided by its width.
    """
    angle = math.radians(degrees)
    across, down = math.tan(angle / 2) * ratio, -math.sin(angle) / ratio
    image = ifft(kspace)
    for axis, slope in ((-1, across), (-2, down), (-1, across)):
        image = _sheared(image, axis, slope)
    return fft(image)


def displaced(kspace: KSpace, rows: float, columns: float) -> KSpace:
    """Return the k-space of the object displaced by so many pixels, around the edges.

    Args:
        kspace: Measured k-space of one slice or several.
        rows: Displacement along ``h`` in pixels.
        columns: Displacement along ``w`` in pixels.
    """
    h, w = kspace.shape[-2:]
    y, x = (
        torch.tensor(d / n, dtype=torch.float64, device=kspace.device)
        for d, n in ((rows, h), (columns, w))
    )
    return kspace * displacement_phase(y, x, (h, w)).to(kspace.dtype)


def _sheared(
    image: Complex64[Tensor, "*b coil h w"], axis: int, slope: float
) -> Complex64[Tensor, "*b coil h w"]:
    """Displace each line along an axis by ``slope`` pixels for each pixel from the centre."""
    h, w = image.shape[-2:]
    rows, columns = (
        torch.arange(n, device=image.device, dtype=torch.float64) - n // 2 for n in (h, w)
    )
    turns = rows[:, None] * columns * (slope / (w if axis == -1 else h))
    phase = torch.polar(torch.ones_like(turns), -2 * torch.pi * turns).to(image.dtype)
    return ifft(fft(image, (axis,)) * phase, (axis,))
