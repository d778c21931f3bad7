"""The network over frames and pixels, and the unrolled method that hands it all frames."""

import pytest
import torch

from mrirecon.networks import DilatedCnn, ResidualCnn, SpaceTimeUnet
from mrirecon.networks.parts.channels import stacked_channels
from mrirecon.reconstructors.learned.cascade_net import CascadeNet
from mrirecon.reconstructors.learned.modl import MoDL
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.reconstructors.parts.data_consistency import ProximalStep
from mrirecon.sensitivity import Espirit, GivenMaps
from mrirecon.training.objectives.measured_kspace import reconstruct_with_maps
from mrirecon.training.objectives.ssdu import Ssdu
from tests.reconstructors.test_series_methods import error, moving_disc


def network(**options):
    torch.manual_seed(0)
    return SpaceTimeUnet(4, **options)


def frames(count=5, h=13, w=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, h, w, dtype=torch.complex64, generator=generator)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("pools", [0, 2])
def test_any_number_of_frames_of_any_size_in_any_units(count, pools):
    D, x = network(pools=pools), frames(count)
    y = D(x)
    assert y.shape == x.shape and y.dtype == torch.complex64 and not torch.allclose(y, x)
    torch.testing.assert_close(D(50 * x), 50 * y, rtol=1e-3, atol=1e-3)
    assert D(torch.zeros_like(x)).eq(0).all()
    D(torch.zeros_like(x)).abs().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in D.parameters())


def test_a_frame_is_seen_by_those_around_it_and_a_cycle_has_no_ends():
    x = frames(14)
    changed = x.clone()
    changed[0] = 0.5 * changed[0]
    for cyclic in (False, True):
        D = network(pools=0, cyclic=cyclic)
        y, z = (D._network(stacked_channels(torch.stack([one, one], 1))) for one in (x, changed))
        moved = [bool(v) for v in (y - z).abs().amax((1, 2, 3)) > 1e-6]
        # one block: two convolutions of three frames
        assert moved == [True] * 3 + [False] * 9 + [cyclic] * 2
    D = network(cyclic=True)
    torch.testing.assert_close(D(x.roll(5, 0)), D(x).roll(5, 0), rtol=1e-4, atol=1e-4)
    still = network()(x[:1].expand(6, -1, -1))
    torch.testing.assert_close(still, still[:1].expand(6, -1, -1))


def modl(**options):
    torch.manual_seed(0)
    options = {"iterations": 2, "start": "average", **options}
    return MoDL(
        options.pop("sensitivity", GivenMaps()), network(), ProximalStep(0.05, 6), **options
    )


def test_frames_are_reconstructed_together_from_their_average():
    sample, truth = moving_disc(8, 20, acceleration=4)
    method = modl(window=8, overlap=2)
    assert method.joint and method.windows.in_time and method.windows.size == 8
    image = method(sample)
    assert image.shape == truth.shape
    with torch.no_grad():
        for parameter in method.denoisers[0].last.parameters():
            parameter.zero_()  # the denoiser does nothing: what is left is data consistency
    average = error(method(sample), truth)
    assert average < 0.5 * error(modl(start="adjoint")(sample), truth)
    assert average < 0.3
    found, maps = reconstruct_with_maps(modl(sensitivity=Espirit()), sample.replace(maps=None))
    assert maps.shape == sample.kspace.shape and found.shape == truth.shape
    loss = Ssdu(center=(0, 0))(modl(), sample)
    assert loss.isfinite()


def test_a_few_steps_of_training_help():
    sample, truth = moving_disc(6, 20, acceleration=4)
    method = modl()
    optimizer = torch.optim.Adam(method.parameters(), 5e-3)
    scale = truth.abs().max()
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (method(sample) / scale - truth / scale).abs().square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_networks_for_frames_and_methods_for_slices_do_not_meet():
    for make in (
        lambda: CascadeNet(GivenMaps(), network()),
        lambda: VarNet(sensitivity=GivenMaps(), regularizer=network()),
        lambda: CascadeNet(GivenMaps(), DilatedCnn(joint=True)),
    ):
        with pytest.raises(ValueError, match="sees all frames of a slice together, and this"):
            make()
    for options in ({"start": "average"}, {"window": 8}, {"overlap": 1}):
        with pytest.raises(ValueError, match="ResidualCnn sees one image; choose space_time_unet"):
            MoDL(GivenMaps(), ResidualCnn(4, 3), **options)
    assert not MoDL(GivenMaps(), ResidualCnn(4, 3)).joint
