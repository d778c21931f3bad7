"""Multi-scale structural similarity as a loss."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mrirecon.errors import ShapeError
from mrirecon.metrics import WINDOW

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def multi_scale_similarity(
    image: Float[Tensor, "*b y x"], reference: Float[Tensor, "*b y x"], peak: Float[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    r"""Return the multi-scale structural similarity of each image, differentiable.

    .. math:: l_n^{\gamma_n} \prod_{j=1}^{n} (cs_j)^{\gamma_j}

    with luminance :math:`l` at the coarsest scale and contrast-structure :math:`cs` at each, the
    image halved in between (Wang et al., Asilomar 2003). The window is that of
    :func:`mrirecon.metrics.structural_similarity`. Images too small for five scales use fewer,
    whose exponents are divided by their sum; a negative :math:`cs` counts as zero.

    Args:
        image: Magnitude images to compare.
        reference: Magnitude images that they should be.
        peak: Data range of each image.

    Raises:
        ShapeError: When the images are smaller than the window.
    """
    y, x = image.shape[-2:]
    if min(y, x) < WINDOW:
        raise ShapeError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, got {y} x {x}")
    scales = next(n for n in range(5, 0, -1) if min(y, x) >= WINDOW * 2 ** (n - 1))
    exponents = [value / sum(EXPONENTS[:scales]) for value in EXPONENTS[:scales]]
    a, b = image.reshape(-1, 1, y, x), reference.reshape(-1, 1, y, x)
    c1, c2 = ((k * peak.reshape(-1, 1, 1, 1)) ** 2 for k in (0.01, 0.03))
    result = torch.ones_like(peak.reshape(-1))
    for scale, exponent in enumerate(exponents, start=1):
        luminance, structure = _terms(a, b, c1, c2)
        # the power of zero has no finite gradient
        factor = structure if scale < scales else luminance * structure
        result = result * factor.mean((-3, -2, -1)).clamp_min(1e-6) ** exponent
        a, b = avg_pool2d(a, 2), avg_pool2d(b, 2)
    return result.reshape(image.shape[:-2])


def _terms(a: Tensor, b: Tensor, c1: Tensor, c2: Tensor) -> tuple[Tensor, Tensor]:
    mean_a, mean_b, aa, bb, ab = (avg_pool2d(v, WINDOW, 1) for v in (a, b, a * a, b * b, a * b))
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    variances = unbiased * (aa - mean_a * mean_a + bb - mean_b * mean_b)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * unbiased * (ab - mean_a * mean_b) + c2) / (variances + c2)
