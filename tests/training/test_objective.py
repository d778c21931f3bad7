import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.objective import Supervised
from tests import scenes
from tests.golden import formula
from tests.golden.reference import golden


class Returns(Reconstructor):
    """A method that returns what it was given."""

    def __init__(self, image):
        super().__init__()
        self.image = torch.nn.Parameter(image)

    def forward(self, sample):  # noqa: ARG002
        return torch.complex(self.image, torch.zeros_like(self.image))


@pytest.mark.parametrize("i", [0, 1])
def test_ssim_is_fastmris_loss(i):
    x, y, peak = (torch.from_numpy(v[i : i + 1]) for v in formula.images())
    sample = scenes.batch().map(lambda t: t[:1]).replace(target=x, peak=peak, key=(("a", 0),))
    loss = Supervised()(Returns(y), sample)
    assert loss.item() == pytest.approx(golden("ssim_loss")[i], abs=1e-6)


def test_weights_add_up_and_units_do_not_matter():
    sample = scenes.batch()
    image = sample.target + 0.1 * torch.rand_like(sample.target)
    losses = {
        (s, a): Supervised(ssim=s, l1=a)(Returns(image), sample).item()
        for s, a in ((1, 0), (0, 1), (2, 3))
    }
    assert losses[2, 3] == pytest.approx(2 * losses[1, 0] + 3 * losses[0, 1], rel=1e-5)
    l1 = ((image - sample.target).abs().mean((-2, -1)) / sample.peak).mean().item()
    assert losses[0, 1] == pytest.approx(l1, rel=1e-5)
    louder = sample.replace(target=7 * sample.target, peak=7 * sample.peak)
    for (s, a), loss in losses.items():
        assert Supervised(s, a)(Returns(7 * image), louder).item() == pytest.approx(loss, rel=1e-4)


def test_crops_to_the_target_and_falls_back_to_the_slices_own_peak():
    sample = scenes.batch()
    cropped = sample.replace(target=sample.target[:, 4:36, 2:34], peak=None)
    assert Supervised()(Returns(sample.target), cropped).item() == pytest.approx(0, abs=1e-5)


def test_an_empty_target_gives_a_finite_gradient():
    sample = scenes.batch()
    sample = sample.replace(
        target=torch.zeros_like(sample.target), peak=torch.zeros_like(sample.peak)
    )
    model = Returns(torch.rand_like(sample.target))
    Supervised(1, 1)(model, sample).backward()
    assert model.image.grad.isfinite().all()


def test_mistakes_are_explained():
    with pytest.raises(ValueError, match="one is positive, got 0, 0"):
        Supervised(0, 0)
    sample = scenes.batch()
    with pytest.raises(ConfigError, match="needs a reference image"):
        Supervised()(Returns(sample.target), sample.replace(target=None))


def test_golden_images_are_not_trivial():
    assert 0.05 < np.min(golden("ssim_loss")) < 0.95
