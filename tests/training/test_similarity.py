import pytest
import torch

from mrirecon.errors import ShapeError
from mrirecon.metrics import structural_similarity
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.multi_scale_ssim import multi_scale_similarity
from tests import scenes
from tests.training.test_objective import Returns


def images(size, noise=0.1):
    g = torch.Generator().manual_seed(0)
    x = torch.rand(2, *size, generator=g)
    return x + noise * torch.rand(x.shape, generator=g), x, x.amax((-2, -1))


def test_one_scale_is_ssim_and_equal_images_are_equal():
    image, reference, peak = images((12, 13))
    expected = structural_similarity(image, reference, peak)
    assert torch.allclose(multi_scale_similarity(image, reference, peak), expected, atol=1e-6)
    for size in ((16, 16), (120, 112)):
        _, reference, peak = images(size)
        assert torch.allclose(
            multi_scale_similarity(reference, reference, peak), torch.ones(2), atol=1e-5
        )


def test_two_scales_by_hand():
    image, reference, peak = images((14, 16))
    half = [torch.nn.functional.avg_pool2d(v[:, None], 2)[:, 0] for v in (image, reference)]
    coarse = structural_similarity(*half, peak)
    # contrast and structure alone: windows whose means agree have luminance one
    fine = []
    for a, b, c in zip(image, reference, (0.03 * peak) ** 2, strict=True):
        a, b = (v.unfold(0, 7, 1).unfold(1, 7, 1).flatten(-2) for v in (a, b))
        a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
        fine.append(((2 * (a * b).sum(-1) / 48 + c) / ((a * a + b * b).sum(-1) / 48 + c)).mean())
    first, second = 0.0448 / (0.0448 + 0.2856), 0.2856 / (0.0448 + 0.2856)
    expected = torch.stack(fine) ** first * coarse**second
    found = multi_scale_similarity(image, reference, peak)
    assert torch.allclose(found, expected, atol=1e-4) and (found < 0.999).all()


def test_opposite_images_give_a_finite_gradient():
    image, reference, peak = images((30, 30))
    image = (-image).requires_grad_()
    multi_scale_similarity(image, reference, peak).sum().backward()
    assert image.grad.isfinite().all()
    with pytest.raises(ShapeError, match="at least 7 x 7"):
        multi_scale_similarity(image[:, :6], reference[:, :6], peak)


def test_terms_of_the_objective_do_not_depend_on_units():
    sample = scenes.batch()
    image = sample.target + 0.1 * torch.rand_like(sample.target)
    louder = sample.replace(target=5 * sample.target, peak=5 * sample.peak)
    for weights in ({"multi_scale": 1}, {"kspace": 1}):
        objective = Supervised(ssim=0, **weights)
        loss = objective(Returns(image), sample).item()
        assert objective(Returns(5 * image), louder).item() == pytest.approx(loss, rel=1e-4)
        assert loss > 0.005
        assert objective(Returns(sample.target), sample).item() == pytest.approx(0, abs=1e-5)
    spectrum = torch.fft.fft2(image - sample.target).abs().sum((-2, -1))
    relative = (spectrum / torch.fft.fft2(sample.target).abs().sum((-2, -1))).mean().item()
    assert Supervised(0, kspace=1)(Returns(image), sample).item() == pytest.approx(relative, 1e-4)
