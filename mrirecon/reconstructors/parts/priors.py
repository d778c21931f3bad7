"""Prior knowledge of an image: its phase, and where nothing is."""

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.operators import Coils, central_kspace
from mrirecon.sensitivity.base import calibration_extent, in_center
from mrirecon.types import Image, Maps, Sample

SMALLEST = 4
FLOOR = 1e-3
BACKGROUND = 0.05
PERCENTILE = 0.999


def low_resolution(sample: Sample) -> Complex64[Tensor, "*b coil h w"]:
    """Return the coil images of the fully sampled centre of k-space, at least 4 x 4 samples."""
    h, w = sample.grid
    extent = calibration_extent(sample).clamp(min=SMALLEST)
    rows = in_center(h, extent[..., 0])[..., :, None]
    columns = in_center(w, extent[..., 1])[..., None, :]
    return ifft(central_kspace(sample, (h, w)) * (rows & columns).unsqueeze(-3))


def phase_factor(coil_images: Complex64[Tensor, "*b coil h w"], maps: Maps) -> Image:
    r"""Return :math:`\bar x_{LF} / |x_{LF}|` of the combined image :math:`x_{LF} = S^Hv`.

    Its product with an image of the same phase is real. Below a thousandth of the maximum the
    magnitude falls to zero with :math:`|x_{LF}|`, as there is no phase to speak of.
    """
    x = Coils(maps).adjoint(coil_images)
    magnitude = x.abs()
    floor = FLOOR * magnitude.detach().amax((-2, -1), keepdim=True)
    return x.conj() / torch.maximum(magnitude, torch.where(floor > 0, floor, 1.0))


def background(coil_images: Complex64[Tensor, "*b coil h w"]) -> Float32[Tensor, "*b h w"]:
    r"""Return 1 where there is no signal, falling linearly to 0 where there is.

    .. math:: b = \max\big(0,\ 1 - m / (0.05\,p_{99.9}(m))\big)

    with the root-sum-of-squares :math:`m`. The edge is soft: a hard one teaches a network to paint
    zeros. An empty slice is background throughout.
    """
    m = root_sum_of_squares(coil_images)
    values = m.detach().flatten(-2).sort(-1).values
    limit = BACKGROUND * values[..., round(PERCENTILE * (values.shape[-1] - 1))]
    return (1 - m / torch.where(limit > 0, limit, 1.0)[..., None, None]).clamp_min(0)
