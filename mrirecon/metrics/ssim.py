"""Structural similarity (Wang et al., IEEE Trans Image Process 13:600, 2004)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Bool, Float
from torch import Tensor

from mrirecon.errors import ShapeError
from mrirecon.metrics.base import (
    MetricInfo,
    Peak,
    SliceMetric,
    Slices,
    Volume,
    data_range,
    mean_of_maps,
)
from mrirecon.metrics.windows import gaussian, inside, run_sum, smoothed, weighted

WINDOW = 7  # pixels; the side of SSIM's uniform window
UNBIASED = WINDOW**2 / (WINDOW**2 - 1)
WIDE, SIGMA = 11, 1.5  # pixels; the Gaussian window of Wang et al.
K1, K2 = 0.01, 0.03

Maps = Float[Tensor, "c v u"]
Averaging = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Ssim(SliceMetric):
    """Structural similarity, the mean over slices of their means; 1 is perfect.

    Args:
        window: ``uniform``, 7 x 7 with sample covariances, as skimage by default and fastMRI;
            ``gaussian``, 11 x 11 with a standard deviation of 1.5 and population covariances, as
            Wang et al.; or ``gaussian_3d``, the same across slices, too, as meddlr scores scans.
        peak: Data range: ``reference`` for the maximum of the reference volume, ``both`` for the
            range that both volumes span together.
    """

    window: Literal["uniform", "gaussian", "gaussian_3d"] = "uniform"
    peak: Peak = "reference"
    info: ClassVar[MetricInfo] = MetricInfo("ssim", "SSIM", "", 4, True, "1 is perfect")

    def _slices(
        self,
        image: Slices,
        reference: Slices,
        peak: Float[Tensor, ""],
        where: Float[Tensor, "c y x"] | None,
    ) -> tuple[Float[Tensor, " c"], Bool[Tensor, " c"]]:
        if self.window == "uniform":
            luminance, structure = similarity_maps(image, reference, peak, _box, UNBIASED)
        else:
            deep = self.window == "gaussian_3d"
            average = smoothed_across_slices if deep else smoothed_in_slices
            luminance, structure = similarity_maps(image, reference, peak, average)
        return mean_of_maps(luminance * structure, inside(where, self._smallest()))

    def _peak(self, image: Volume, reference: Volume) -> Float[Tensor, ""]:
        return data_range(image, reference, self.peak)

    def _smallest(self) -> int:
        return WINDOW if self.window == "uniform" else WIDE

    def _reach(self) -> int:
        return WIDE // 2 if self.window == "gaussian_3d" else 0


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
    a, b = image.reshape(-1, y, x), reference.reshape(-1, y, x)
    luminance, structure = similarity_maps(a, b, peak.reshape(-1, 1, 1), _box, UNBIASED)
    return (luminance * structure).mean((-2, -1)).reshape(image.shape[:-2])


def similarity_maps(
    image: Float[Tensor, "b y x"],
    reference: Float[Tensor, "b y x"],
    peak: Float[Tensor, "*p"],
    average: Averaging,
    unbiased: float = 1.0,
) -> tuple[Maps, Maps]:
    """Return the maps of luminance, and of contrast and structure; SSIM is their product.

    Args:
        image: Magnitude images to compare.
        reference: Magnitude images that they should be.
        peak: Data range of the images, or of each of them, ``b 1 1``.
        average: Mean in a window, of all places where it lies inside.
        unbiased: Factor that makes sample covariances of means.
    """
    a, b = image, reference
    mean_a, mean_b, aa, bb, ab = (average(v) for v in (a, b, a * a, b * b, a * b))
    var_a, var_b = unbiased * (aa - mean_a * mean_a), unbiased * (bb - mean_b * mean_b)
    covariance = unbiased * (ab - mean_a * mean_b)
    c1, c2 = ((k * peak) ** 2 for k in (K1, K2))
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (var_a + var_b + c2)


def smoothed_in_slices(images: Tensor) -> Tensor:
    """Average each slice with the Gaussian window of Wang et al."""
    return smoothed(images, gaussian(WIDE, SIGMA))


def smoothed_across_slices(images: Tensor) -> Tensor:
    """Average with the Gaussian window in three dimensions."""
    return weighted(smoothed_in_slices(images), gaussian(WIDE, SIGMA), 0)


def _box(images: Tensor) -> Tensor:
    """Average the uniform window; the sums of 2 and 4 neighbours make that of 7."""
    for dim in (-2, -1):
        two, length = run_sum(images, 2, dim), images.shape[dim] - WINDOW + 1
        four = run_sum(images, 4, dim)
        images = (
            four.narrow(dim, 0, length) + two.narrow(dim, 4, length) + images.narrow(dim, 6, length)
        )
    return images / WINDOW**2
