import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError
from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.modl import MoDL
from mrirecon.reconstructors.learned.rim import Rim
from mrirecon.reconstructors.learned.vsharp import VSharp
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.iterates import OverIterates
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


def test_the_squared_error_is_relative_to_the_peak():
    sample = scenes.batch()
    image = sample.target + 0.1 * torch.rand_like(sample.target)
    mean = (image - sample.target).square().mean((-2, -1)) / sample.peak.square()
    found = Supervised(0, l2=3)(Returns(image), sample).item()
    assert found == pytest.approx(3 * mean.mean().item(), rel=1e-5)


@pytest.mark.parametrize("method", ["rim", "vsharp"])
def test_all_iterates_are_compared_and_later_ones_weigh_more(method):
    torch.manual_seed(0)
    sample = scenes.batch()
    sample = sample.replace(maps=Espirit()(sample))
    model = (
        Rim(GivenMaps(), 3, channels=4)
        if method == "rim"
        else VSharp(GivenMaps(), FusionUnet(3, 4, 1), iterations=3, steps=2)
    )
    images = list(model.iterates(sample))
    assert len(images) == 3 and torch.equal(images[-1], model(sample))
    plain = Supervised(0, 1)
    losses = [plain.compare(image, sample).item() for image in images]
    assert len(set(losses)) == 3
    expected = np.average(losses, weights=[0.1, 10**-0.5, 1])
    assert OverIterates(plain)(model, sample).item() == pytest.approx(expected, rel=1e-5)
    uniform = OverIterates(plain, "uniform")(model, sample).item()
    assert uniform == pytest.approx(np.mean(losses), rel=1e-5)
    with pytest.raises(ConfigError, match="MoDL does not hand out its iterates"):
        OverIterates(plain).check(MoDL(GivenMaps()), sample)


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
