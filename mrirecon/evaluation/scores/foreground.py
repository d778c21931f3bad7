"""The foreground of a volume, for scores that the empty background must not decide."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BINS = 256


def foreground(reference: Float[Tensor, "slice y x"]) -> Bool[Tensor, "slice y x"]:
    """Return the voxels of the object: above Otsu's threshold, with the holes of each slice filled.

    The threshold is that of the square roots of the volume's magnitudes (Otsu, IEEE Trans Syst Man
    Cybern 9:62, 1979), so that a few bright voxels do not hide the others. Holes are dark voxels
    that no path of dark neighbours along y and x leads from to the border of the slice.

    Args:
        reference: Magnitudes of the reference volume.
    """
    from scipy.ndimage import binary_fill_holes  # takes its time, and few want it

    roots = reference.double().abs().sqrt()
    above = (roots > otsu_threshold(roots)).cpu().numpy()
    filled = [torch.from_numpy(binary_fill_holes(one)) for one in above]
    return torch.stack(filled)


def otsu_threshold(values: Float[Tensor, "*shape"]) -> float:
    """Return the threshold that parts values into two classes of the largest distance.

    Args:
        values: Values to part; 256 bins of their range are looked at.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low - 1.0  # all are one class, and count
    counts = torch.histc(values.flatten(), BINS, low, high).double()
    centers = low + (high - low) * (torch.arange(BINS, dtype=torch.float64) + 0.5) / BINS
    below = counts.cumsum(0)
    total, mass = below[-1], (counts * centers).cumsum(0)
    mean = mass / below.clamp_min(1)
    other = (mass[-1] - mass) / (total - below).clamp_min(1)
    between = below * (total - below) * (mean - other) ** 2
    best = int(between.argmax())
    return float(low + (high - low) * (best + 1) / BINS)
