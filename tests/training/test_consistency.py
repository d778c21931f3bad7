"""Consistency with perturbed scans, semi-supervised training, and penalties of networks."""

import math

import pytest
import torch

from mrirecon.data.transforms import Compose, RssTarget, Undersample
from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.operators import sense
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.ista_net import IstaNet
from mrirecon.sampling.calibration import center_slice
from mrirecon.sensitivity import GivenMaps
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.consistency_training import Consistency
from mrirecon.training.objectives.penalty import WithPenalty
from mrirecon.training.objectives.perturbations import (
    FlipAndShift,
    MoreNoise,
    Perturbation,
    RigidMotion,
    mirrored,
    shifted,
)
from mrirecon.training.objectives.ssdu import Ssdu
from tests import scenes
from tests.training import runs


class ZeroFilledSense(Reconstructor):
    """Linear and equivariant; its parameter scales the image."""

    def __init__(self, power=1.0):
        super().__init__()
        self.scale, self.power = torch.nn.Parameter(torch.tensor(1.0)), power

    def forward(self, sample):
        image = sense(sample.maps, sample.mask).H(sample.kspace)
        return self.scale * image * (1 + image.abs()) ** (self.power - 1)


@pytest.fixture(scope="module")
def sample():
    return scenes.batch()


@pytest.mark.parametrize("matrix", [(40, 36), (33, 31), (40, 31)])
def test_mirroring_and_shifting_are_exact(matrix):
    sample = scenes.batch(scenes.scan(matrix=matrix, slices=1, with_maps=True))
    method = ZeroFilledSense()
    image = method(sample)
    for axis, n in zip((-2, -1), matrix, strict=True):
        turned = method(mirrored(sample, axis))
        index = (2 * (n // 2) - torch.arange(n)) % n
        torch.testing.assert_close(turned, image.index_select(axis, index))
        assert mirrored(mirrored(sample, axis), axis).mask.equal(sample.mask)
        after = mirrored(sample, axis)
        h, w = (center_slice(m, int(c)) for m, c in zip(matrix, after.acs[0], strict=True))
        assert after.mask.expand(1, *matrix)[0, h, w].all() and after.acs[0, 1] >= 11
    moved = method(shifted(sample, 3, -5))
    torch.testing.assert_close(moved, image.roll((3, -5), (-2, -1)), atol=1e-4, rtol=1e-4)
    assert shifted(sample, 3, -5).target is None


def test_everything_that_belongs_to_a_sample_is_mirrored_with_it(sample):
    many = sample.replace(
        calibration=torch.randn(2, 4, 20, 15, dtype=torch.complex64),
        weights=torch.rand(2, 1, 36),
        neighbors=sample.map(lambda t: t.unsqueeze(1)),
    )
    for after in (mirrored(many, -1), shifted(many, 2, 0)):
        torch.testing.assert_close(after.neighbors.kspace[:, 0], after.kspace)
        torch.testing.assert_close(after.neighbors.maps[:, 0], after.maps)
    assert mirrored(many, -1).weights[..., 1:].equal(many.weights[..., 1:].flip(-1))
    assert mirrored(many, -2).weights.equal(many.weights)
    assert mirrored(many, -1).calibration.equal(many.calibration.flip(-1))  # of odd width
    # a grid of its own over the same field of view: two pixels of 40 are one of 20
    moved = ifft(shifted(many, 2, 0).calibration)
    torch.testing.assert_close(moved, ifft(many.calibration).roll(1, -2), atol=1e-4, rtol=1e-4)


def test_an_equivariant_method_is_consistent_and_another_is_not(sample):
    torch.manual_seed(0)
    objective = Consistency(Ssdu(), [FlipAndShift(0.2)])
    assert objective.inconsistency(ZeroFilledSense(), sample).item() < 1e-4
    assert objective.inconsistency(ZeroFilledSense(2.0), sample).item() < 1e-4

    class Fixed(ZeroFilledSense):
        def forward(self, sample):
            return super().forward(sample) * torch.linspace(0, 1, sample.kspace.shape[-1])

    assert objective.inconsistency(Fixed(), sample).item() > 0.05


def test_noise_is_added_in_units_of_the_scans_own(sample):
    torch.manual_seed(0)
    image = torch.ones(2, 40, 36, dtype=torch.complex64)
    noise = torch.tensor([0.1, 3.0])
    after, same = MoreNoise(2.0, 2.0)(sample.replace(noise=noise), image)
    assert same is image
    added = after.kspace - sample.kspace
    for i in range(2):
        measured = added[i][:, sample.mask[i].expand(40, 36)]
        assert torch.view_as_real(measured).std().item() == pytest.approx(
            2 * noise[i].item(), rel=0.03
        )
        assert not added[i][:, ~sample.mask[i].expand(40, 36)].any()
    torch.testing.assert_close(after.noise, noise * 5**0.5)


def test_the_consistency_of_a_linear_method_is_the_noise_it_passes_on(sample):
    """An independent restatement: the image of the noise alone, relative to the image."""
    sample = sample.replace(noise=torch.tensor([0.1, 0.2]))
    objective = Consistency(Ssdu(), [MoreNoise(1.0, 1.0)])
    torch.manual_seed(3)
    found = objective.inconsistency(ZeroFilledSense(), sample)
    torch.manual_seed(3)
    added = MoreNoise(1.0, 1.0)(sample, sample.kspace[:, 0])[0].kspace - sample.kspace
    A = sense(sample.maps, sample.mask)
    ratio = A.H(added).abs().sum((-2, -1)) / A.H(sample.kspace).abs().sum((-2, -1))
    assert found.item() == pytest.approx(ratio.mean().item(), rel=1e-4)


def test_motion_moves_every_other_measured_line():
    torch.manual_seed(0)
    sample = scenes.batch()
    after, image = RigidMotion(2.0)(sample, sample.kspace[:, 0])
    assert image.equal(sample.kspace[:, 0])
    ratio = (after.kspace / sample.kspace)[:, 0]
    for i in range(2):
        lines = sample.mask[i, 0].nonzero()[:, 0]
        center = int((lines == 18).nonzero())
        still, moved = lines[center % 2 :: 2], lines[1 - center % 2 :: 2]
        torch.testing.assert_close(after.kspace[i][..., still], sample.kspace[i][..., still])
        phase = ratio[i][:, moved].angle()
        # the second shot is one image, displaced: its phase is linear in both directions
        step = torch.exp(1j * (phase[1:] - phase[:-1]))
        torch.testing.assert_close(step, step[:1, :1].expand_as(step), atol=1e-3, rtol=0)
        assert step[0, 0].angle().abs() * 40 / (2 * math.pi) <= 2.001
        assert step[0, 0].angle().abs() > 1e-3


def test_without_a_reference_only_the_consistency_is_left(sample):
    model = runs.varnet()
    objective = Consistency(Supervised(), [MoreNoise()], weight=0.5)
    sample = sample.replace(noise=torch.full((2,), 0.1))

    def loss(of, sample):
        torch.manual_seed(1)
        return of(model, sample)

    alone = loss(objective, sample.replace(target=None))
    both = loss(objective, sample)
    torch.manual_seed(1)
    consistency = objective.inconsistency(model, sample)
    torch.testing.assert_close(alone, 0.5 * consistency)
    torch.testing.assert_close(both, loss(Supervised(), sample) + 0.5 * consistency)
    assert not objective.needs_target and Supervised().needs_target


def test_no_gradient_passes_through_what_is_expected_but_all_weights_get_one(sample):
    model = runs.varnet()
    objective = Consistency(Supervised(), [MoreNoise()])
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(model, sample.replace(target=None))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    class Brighter(Perturbation):
        def __call__(self, sample, image):
            return sample, 2 * image

    scaled = ZeroFilledSense()  # |s x - 2 x| / |2 x| has the slope -1/2; without detaching, none
    Consistency(Ssdu(), [Brighter()]).inconsistency(scaled, sample).backward()
    assert scaled.scale.grad.item() == pytest.approx(-0.5, rel=1e-4)


def test_empty_slices_stay_finite(sample):
    model = runs.varnet()
    objective = Consistency(Ssdu(), [FlipAndShift(), RigidMotion(), MoreNoise()])
    objective(model, scenes.empty(sample)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_undersampled_scans_join_without_a_reference():
    full = scenes.scan()[0]
    transform = Compose([RssTarget(required=False), Undersample(scenes.PATTERN, again=False)])
    labelled = transform(full)
    assert labelled.target is not None and not labelled.mask.all()
    measured = labelled.replace(target=None)
    again = transform(measured)
    assert again.target is None and again.mask.equal(measured.mask)
    with pytest.raises(ConfigError, match="cannot serve as its own reference"):
        RssTarget()(measured)
    assert Undersample(scenes.PATTERN).again


def test_the_penalty_is_the_asymmetry_of_all_phases(sample):
    torch.manual_seed(0)
    model, objective = IstaNet(GivenMaps(), 3, 4), Supervised(0, 1)
    inputs = []
    hooks = [m.register_forward_hook(lambda _, x, __: inputs.append(x[0])) for m in model.shrinkage]
    model(sample)
    for hook in hooks:
        hook.remove()
    total = 0.0
    for block, x in zip(model.shrinkage, inputs, strict=True):
        pixels = torch.stack([x.real, x.imag], 1)
        features = block.expand(pixels)
        total += ((block.inverse(block.transform(features)) - features) ** 2).mean()
    found = WithPenalty(objective, 0.3)(model, sample)
    torch.testing.assert_close(found, objective(model, sample) + 0.3 * total)
    found.backward()
    assert not any(m._forward_hooks for m in model.modules())
    with pytest.raises(ConfigError, match="no network in VarNet has a penalty"):
        WithPenalty(objective)(runs.varnet(), sample)
    assert WithPenalty(objective).needs_target and not WithPenalty(Ssdu()).needs_target


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Consistency(Ssdu(), []), "at least one, got none"),
        (lambda: Consistency(Ssdu(), [MoreNoise()], 0.0), "weight must be positive"),
        (lambda: MoreNoise(2.0, 1.0), "expected 0 <= low <= high"),
        (lambda: RigidMotion(shots=1), "shots at least 2"),
        (lambda: FlipAndShift(0.6), "shift must lie between 0 and 0.5"),
        (lambda: WithPenalty(Ssdu(), 0.0), "weight must be positive"),
    ],
)
def test_wrong_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()
