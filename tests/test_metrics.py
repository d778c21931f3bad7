import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity as skimage_ssim

from mrirecon import metrics
from mrirecon.errors import ShapeError


@pytest.fixture
def pair():
    rng = np.random.RandomState(0)
    reference = rng.rand(3, 24, 17) * np.array([1.0, 0.2, 3.0])[:, None, None]
    return reference + 0.1 * rng.randn(3, 24, 17), reference


def test_equals_skimage_as_fastmri_calls_it(pair):
    image, reference = pair
    x, r = map(torch.from_numpy, pair)
    peak = reference.max()
    assert metrics.ssim(x, r) == pytest.approx(
        np.mean(
            [skimage_ssim(a, b, data_range=peak) for a, b in zip(reference, image, strict=True)]
        ),
        abs=1e-12,
    )
    assert metrics.psnr(x, r) == pytest.approx(
        peak_signal_noise_ratio(reference, image, data_range=peak), abs=1e-12
    )
    assert metrics.nmse(x, r) == pytest.approx(
        np.linalg.norm(reference - image) ** 2 / np.linalg.norm(reference) ** 2, rel=1e-12
    )


def test_ssim_has_a_gradient_and_one_peak_per_image(pair):
    x, r = (torch.from_numpy(v).float() for v in pair)
    x.requires_grad_()
    peaks = r.amax((-2, -1))
    together = metrics.structural_similarity(x, r, peaks)
    alone = [metrics.structural_similarity(x[i], r[i], peaks[i]) for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone))
    together.mean().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_perfect_images():
    r = torch.rand(2, 9, 9)
    assert metrics.ssim(r, r) == pytest.approx(1) and metrics.nmse(r, r) == 0
    assert metrics.psnr(r, r) == float("inf")


def test_wrong_shapes_are_explained():
    with pytest.raises(ShapeError, match=r"\(2, 9, 9\) and its reference \(2, 9, 8\)"):
        metrics._checked(torch.rand(2, 9, 9), torch.rand(2, 9, 8))  # behind the annotations
    with pytest.raises(ShapeError, match="at least 7 x 7 pixels, got 6 x 9"):
        metrics.ssim(torch.rand(2, 6, 9), torch.rand(2, 6, 9))
