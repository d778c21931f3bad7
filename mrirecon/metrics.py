"""Image-quality metrics. One definition each, used by validation, training and ``evaluate``.

Every metric compares a whole volume with its reference, both magnitude ``slice y x``, exactly as
fastMRI's ``evaluate.py`` (Zbontar et al., arXiv:1811.08839): peak and norms are the volume's.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mrirecon.errors import ShapeError

Volume = Float[Tensor, "slice y x"]
Metric = Callable[[Volume, Volume], float]

WINDOW = 7  # pixels; the side of SSIM's uniform window


def nmse(image: Volume, reference: Volume) -> float:
    r"""Normalised mean squared error, :math:`\|x-r\|^2/\|r\|^2`; lower is better."""
    image, reference = _checked(image, reference)
    return float((image - reference).square().sum() / reference.square().sum())


def psnr(image: Volume, reference: Volume) -> float:
    """Peak signal-to-noise ratio in dB; the peak is the maximum of the reference volume."""
    image, reference = _checked(image, reference)
    mse = (image - reference).square().mean()
    return float(20 * torch.log10(reference.max()) - 10 * torch.log10(mse))


def ssim(image: Volume, reference: Volume) -> float:
    """Structural similarity, the mean over slices; 1 is perfect.

    The data range is the maximum of the reference volume.
    """
    image, reference = _checked(image, reference)
    peak = reference.max().expand(len(reference))
    return float(structural_similarity(image, reference, peak).mean())


def structural_similarity(
    image: Float[Tensor, "*b y x"], reference: Float[Tensor, "*b y x"], peak: Float[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    r"""Mean structural similarity of each image, differentiable.

    .. math:: S = \frac{(2\mu_x\mu_r + C_1)(2\sigma_{xr} + C_2)}
                       {(\mu_x^2+\mu_r^2+C_1)(\sigma_x^2+\sigma_r^2+C_2)},
              \quad C_i = (K_i L)^2,\ K = (0.01, 0.03)

    with a uniform 7 x 7 window, sample covariances and only windows that lie inside the image
    (Wang et al., IEEE Trans Image Process 13:600, 2004; skimage's defaults, fastMRI's SSIMLoss).

    Args:
        image: Magnitude images to compare.
        reference: Magnitude images that they should be.
        peak: Data range :math:`L` of each image.

    Raises:
        ShapeError: When the images are smaller than the window.
    """
    y, x = image.shape[-2:]
    if min(y, x) < WINDOW:
        raise ShapeError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, got {y} x {x}")
    a, b = image.reshape(-1, 1, y, x), reference.reshape(-1, 1, y, x)
    mean_a, mean_b, aa, bb, ab = (avg_pool2d(v, WINDOW, 1) for v in (a, b, a * a, b * b, a * b))
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    var_a, var_b = unbiased * (aa - mean_a * mean_a), unbiased * (bb - mean_b * mean_b)
    covariance = unbiased * (ab - mean_a * mean_b)
    c1, c2 = ((k * peak.reshape(-1, 1, 1, 1)) ** 2 for k in (0.01, 0.03))
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return similarity.mean((-3, -2, -1)).reshape(image.shape[:-2])


METRICS: dict[str, Metric] = {"nmse": nmse, "psnr": psnr, "ssim": ssim}


def _checked(image: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    if image.shape != reference.shape:
        raise ShapeError(
            f"the image {tuple(image.shape)} and its reference {tuple(reference.shape)} "
            "must have the same shape (slice, y, x)"
        )
    return image.double(), reference.double()
