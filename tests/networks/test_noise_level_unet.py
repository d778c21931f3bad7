"""The denoiser that is told the level of the noise."""

import pytest
import torch

from mrirecon.networks import NoiseLevelUnet


def network(**changes) -> NoiseLevelUnet:
    torch.manual_seed(0)
    found = NoiseLevelUnet(**{"channels": (8, 12, 16), "blocks": 1, **changes})
    with torch.no_grad():  # as after training: nothing is small any more
        for parameter in found.parameters():
            parameter.mul_(2)
    return found


@pytest.mark.parametrize("size", [(32, 24), (33, 21)])
def test_the_unit_of_the_image_does_not_matter(size):
    x = torch.randn(2, 1, *size, dtype=torch.complex64)
    level = torch.tensor([0.1, 0.7])
    one = network()(x, level)
    other = network()(x * 1e3, level * 1e3)
    assert one.shape == (2, *size)
    assert (other / 1e3 - one).abs().max() < 1e-5 * one.abs().max()
    assert (one - x[:, 0]).abs().max() > 0.01


def test_no_component_changes_by_more_than_the_bound():
    x = torch.randn(1, 1, 16, 16, dtype=torch.complex64)
    net = network(bound=2.0)
    with torch.no_grad():
        net.last.weight.mul_(1e4)
    for level in (0.0, 1e-4, 1.0):
        change = torch.view_as_real(net(x, torch.tensor([level])) - x[:, 0]).abs().max()
        assert change <= 2 * level * (1 + 1e-3) + 1e-6
        assert change > level or level == 0


def test_members_are_denoised_each_by_its_own_level():
    x = torch.randn(2, 1, 16, 16, dtype=torch.complex64)
    together = network()(x, torch.tensor([0.1, 1.0]))
    alone = network()(x[1:], torch.tensor([1.0]))
    assert (together[1:] - alone).abs().max() < 1e-5


def test_before_training_other_images_are_ignored_but_learn():
    x = torch.randn(1, 2, 16, 16, dtype=torch.complex64)
    net = network(images=2)
    level = torch.ones(1)
    changed = torch.stack([x[:, 0], x[:, 1] * 5], 1)
    assert torch.equal(net(x, level), net(changed, level))
    net(x, level).abs().square().sum().backward()
    area = net.shuffle**2
    assert net.first.weight.grad[:, 2 * area : 4 * area].abs().max() > 0


def test_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="bound must be positive"):
        NoiseLevelUnet(bound=0)
    with pytest.raises(ValueError, match="images"):
        NoiseLevelUnet(images=0)
