"""The factor that gives a regularization weight the same meaning in every scan."""

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.operators.gridding import central_kspace
from mrirecon.sensitivity.base import calibration_extent, in_center
from mrirecon.sensitivity.series import calibrated_apart, time_average
from mrirecon.types import Sample

WIDTH = 32
SMALLEST = 8


def data_scale(sample: Sample, joint: bool = False) -> Float32[Tensor, "*b 1 1"]:
    r"""Return the brightness of the object, by which to divide k-space before regularizing.

    It is the 90th percentile :math:`p_{90}` of the root-sum-of-squares image of the fully sampled
    centre, of which at most 32 x 32 samples count, or the maximum where few pixels are very bright:

    .. math:: s = p_{90} \text{ if } \max - p_{90} < 2\,(p_{90} - p_{50}) \text{ else } \max

    as in BART's ``pics`` (Uecker et al., ISMRM 2015; ``optreg`` and ``scaling`` of version 1.0), so
    that its users' weights carry over. Unmeasured samples count as zeros.

    Args:
        sample: One slice or a batch.
        joint: One factor for all frames of a slice: the members of the batch. If some have no fully
            sampled centre, it is that of their time average, which lacks fewer samples.
    """
    if joint and len(sample.kspace) > 1 and not calibrated_apart(sample):
        return data_scale(time_average(sample)).expand(len(sample.kspace), 1, 1)
    h, w = sample.grid
    small = (min(WIDTH, h), min(WIDTH, w))
    extent = calibration_extent(sample)
    extent = torch.where(extent.amin(-1, keepdim=True) < SMALLEST, WIDTH, extent)
    rows = in_center(small[0], extent[..., 0].clamp(max=small[0]))
    columns = in_center(small[1], extent[..., 1].clamp(max=small[1]))
    center = (rows[..., :, None] & columns[..., None, :]).unsqueeze(-3)
    image = root_sum_of_squares(ifft(central_kspace(sample, small) * center))
    pixels = image.flatten(-2) * (small[0] * small[1] / (h * w)) ** 0.5
    if joint:
        pixels = pixels.flatten().expand(*pixels.shape[:-1], pixels.numel())
    values = pixels.sort(-1).values
    count = values.shape[-1]
    median, p90, largest = (values[..., i] for i in (count // 2, int(0.9 * count), count - 1))
    scale = torch.where(largest - p90 < 2 * (p90 - median), p90, largest)
    return torch.where(scale == 0, 1.0, scale)[..., None, None]
