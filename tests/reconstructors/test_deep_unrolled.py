"""Windows of slices, maps and weights of each cascade, history and conditioning."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mrirecon.config import build
from mrirecon.errors import ShapeError
from mrirecon.networks import PromptUnet, Restormer
from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.networks.parts.conditioning import Conditioning
from mrirecon.operators import data_weights
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.learned.adaptive_cs_net import AdaptiveCsNet
from mrirecon.reconstructors.learned.deep_unrolled import DeepUnrolled
from mrirecon.reconstructors.learned.modl import MoDL
from mrirecon.reconstructors.parts.adjacent_slices import adjacent_slices
from mrirecon.reconstructors.parts.data_consistency import GradientStep
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.kspace_consistency import KspaceStep, SoftStep
from mrirecon.reconstructors.parts.map_refinement import CorrectedMaps, EstimatedMaps, RefinedMaps
from mrirecon.sensitivity import GivenMaps, LearnedMaps
from mrirecon.training.callbacks.recompute_activations import recompute
from tests.reconstructors.test_unrolled import fft, ifft
from tests.sensitivity.scene import batch, scene
from tests.test_config import composed

SHAPE = (18, 13)


def prompts(history=1, condition=0):
    return PromptUnet((4, 6), (2,), 3, 8, (1, 1), (1,), history=history, condition=condition)


def model(context=1, body=None, **options):
    torch.manual_seed(0)
    body = prompts() if body is None else body
    options = {"iterations": 2, **options}
    return DeepUnrolled(GivenMaps(), body, context=context, **options).eval()


def piece(seed, shape=SHAPE, **more):
    sample, maps, _ = scene(shape, coils=2, lines=5, noise=0.3, seed=seed)
    return sample.replace(maps=maps, **more)


@pytest.fixture
def stack():
    """A slice with its neighbours: five different ones."""
    five = [piece(seed) for seed in range(5)]
    near = batch(five[0], five[1], five[3], five[4])
    return five[2].replace(neighbors=near)


def narrow(sample, context):
    """The same slice with fewer neighbours."""
    kept = slice(2 - context, 2 + context)
    return sample.replace(neighbors=sample.neighbors.map(lambda x: x[kept]))


def different(a, b):
    return torch.linalg.vector_norm(a - b) > 1e-3 * torch.linalg.vector_norm(b)


def test_window_is_in_the_order_of_the_stack(stack):
    slices = adjacent_slices(stack, 2)
    for i in range(5):
        assert torch.equal(slices.kspace[i], piece(i).kspace)
        assert torch.equal(slices.acs[i], stack.acs) and torch.equal(slices.maps[i], stack.maps)
    assert slices.mask.shape == (5, 1, 13)
    two = adjacent_slices(batch_with_neighbors(stack, stack), 2)
    assert torch.equal(two.kspace[1], slices.kspace)
    alone = adjacent_slices(stack, 0)
    assert torch.equal(alone.kspace, stack.kspace[None]) and alone.neighbors is None


def batch_with_neighbors(*samples):
    near = batch(*(sample.neighbors for sample in samples))
    return batch(*samples).replace(neighbors=near)


def test_a_line_mask_and_a_full_mask_may_meet_in_a_window(stack):
    full = stack.replace(mask=stack.mask.expand(*SHAPE))
    assert torch.equal(adjacent_slices(full, 2).mask[2], full.mask)
    assert torch.equal(adjacent_slices(full, 2).mask[0], full.mask)


def test_missing_neighbours_are_named(stack):
    with pytest.raises(ShapeError, match=r"context of 1 needs 2 slices .* found none .*context=0"):
        model()(stack.replace(neighbors=None))
    with pytest.raises(ShapeError, match=r"needs 2 slices .* a batch of \(4,\)"):
        model()(stack)
    without = stack.neighbors.replace(maps=None)
    with pytest.raises(ShapeError, match="the slice has maps, the slices around it have none"):
        model(2)(stack.replace(neighbors=without))
    near = stack.neighbors
    other = near.replace(kspace=near.kspace[:, :1], maps=near.maps[:, :1])
    with pytest.raises(ShapeError, match=r"kspace .* \(2, 18, 13\) and \(1, 18, 13\)"):
        model(2)(stack.replace(neighbors=other))


@pytest.mark.parametrize("adaptive", [True, False])
def test_every_neighbour_has_a_say_in_the_slice(stack, adaptive):
    network = model(2, adaptive=adaptive)
    assert network.context == 2
    image = network(stack)
    assert image.shape == SHAPE
    for i in range(4):
        kspace = stack.neighbors.kspace.clone()
        kspace[i] *= 1.5
        changed = stack.replace(neighbors=stack.neighbors.replace(kspace=kspace))
        assert different(network(changed), image), i


@torch.no_grad()
def test_adaptive_cs_net_corrects_all_slices_of_a_window(stack):
    torch.manual_seed(0)
    sample = narrow(stack, 1)
    network = AdaptiveCsNet(GivenMaps(), (1, 1), 4, priors=("data",), context=1)
    slices, scale = [piece(i) for i in (1, 2, 3)], data_scale(piece(2))

    def gradients(x):
        return [
            (s.maps.conj() * ifft(s.mask * (fft(s.maps * image) - s.kspace / scale))).sum(0)
            for s, image in zip(slices, x, strict=True)
        ]

    def channels(images):
        return torch.cat([torch.stack([x.real, x.imag]) for x in images])[None]

    x = [-e for e in gradients([torch.zeros(SHAPE)] * 3)]
    for block in network.blocks:
        features = F.softshrink(block.analysis[0](channels([*x, *gradients(x)])), 0.01)
        change = block.last(features)[0]
        x = [image + torch.complex(*change[2 * i : 2 * i + 2]) for i, image in enumerate(x)]
    torch.testing.assert_close(network(sample), x[1] * scale, rtol=1e-4, atol=1e-4)
    assert network(batch_with_neighbors(sample, sample)).shape == (2, *SHAPE)
    with pytest.raises(ShapeError, match="context of 1 needs 2 slices"):
        network(sample.replace(neighbors=None))
    with pytest.raises(ValueError, match="context must not be negative"):
        AdaptiveCsNet(GivenMaps(), context=-1)


def test_neighbours_are_seen_with_their_brightness(stack):
    """All slices are divided by one number, so the result follows the scale of them together."""
    sample = narrow(stack, 1)
    brighter = sample.replace(
        kspace=50 * sample.kspace,
        neighbors=sample.neighbors.replace(kspace=50 * sample.neighbors.kspace),
    )
    network = model()
    torch.testing.assert_close(network(brighter), 50 * network(sample), rtol=1e-3, atol=0.05)


def test_members_of_a_batch_keep_their_neighbours(stack):
    one = narrow(stack, 1)
    other = one.replace(neighbors=one.neighbors.replace(kspace=2 * one.neighbors.kspace.flip(0)))
    together = model()(batch_with_neighbors(one, other))
    torch.testing.assert_close(together[0], model()(one), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together[1], model()(other), rtol=1e-3, atol=1e-4)


def test_empty_slices_are_empty_and_harmless(stack):
    sample = narrow(stack, 1)
    near = sample.neighbors
    edge = near.replace(kspace=0 * near.kspace, maps=0 * near.maps)
    nothing = sample.replace(kspace=0 * sample.kspace, maps=0 * sample.maps)
    network = model(
        consistency=RefinedMaps(CorrectedMaps(FusionUnet(2, 2, 2)), KspaceStep())
    ).train()
    for dtype in (torch.float32, torch.bfloat16):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            images = network(
                batch_with_neighbors(
                    sample, sample.replace(neighbors=edge), nothing, nothing.replace(neighbors=edge)
                )
            )
        assert images.isfinite().all() and images[1].abs().max() > 0.1
        assert (images[2:] == 0).all()
        images.abs().sum().backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key


@torch.no_grad()
def test_history_changes_the_image_from_the_second_cascade_on(stack):
    for iterations, matters in ((1, False), (2, True), (3, True)):
        network = model(0, iterations=iterations)
        image = network(stack)
        for name, parameter in network.named_parameters():
            if ".past." in name:
                parameter.zero_()
        assert different(network(stack), image) == matters


class Told(nn.Module):
    """An embedding of the acquisition and the cascade."""

    def forward(self, sample, cascade):
        density = sample.mask.float().mean((-2, -1))
        return torch.stack([density, torch.full_like(density, cascade + 1.0)], -1)


def test_conditioning_reaches_every_cascade(stack):
    network = model(1, prompts(condition=2), conditioning=Told(), iterations=3)
    sample = narrow(stack, 1)
    image = network(sample)
    image.abs().sum().backward()
    for cascade in network.cascades:
        for entry in cascade.network.body.entries:
            assert entry.modulation.linear.weight.grad.abs().max() > 0
    with torch.no_grad():
        network.cascades[2].network.body.entries[0].modulation.linear.weight[:, 1] = 0.3
    assert different(network(sample), image)
    assert network(batch_with_neighbors(sample, sample)).shape == (2, *SHAPE)
    with pytest.raises(ValueError, match=r"there is no conditioning, but .* of 2 numbers"):
        model(1, prompts(condition=2))
    with pytest.raises(ValueError, match=r"there is a conditioning, but .* of 0 numbers"):
        model(1, conditioning=Told())
    for told, reason in ((Conditioning(2, steps=4), "steps must be 3 .* got 4"),
                         (Conditioning(4, steps=3), "features must be 2 .* got 4")):  # fmt: skip
        with pytest.raises(ValueError, match=rf"conditioning\.{reason}"):
            model(1, prompts(condition=2), conditioning=told, iterations=3)
    for steps in (0, 3):
        told = Conditioning(2, steps=steps)
        network = model(1, prompts(condition=2), conditioning=told, iterations=3)
        assert network(sample).isfinite().all()


@pytest.mark.parametrize("tied", [False, True])
def test_cascades_share_weights_only_when_told(tied, stack):
    body = Restormer(4, (1, 1), (1, 2), 1, history=2)
    maps = EstimatedMaps(LearnedMaps(2, 2))
    step = RefinedMaps(maps, KspaceStep())
    network = model(0, body, consistency=step, iterations=3, tied=tied)
    assert len(network.cascades) == (1 if tied else 3)
    if not tied:
        parts = [list(cascade.parameters()) for cascade in network.cascades]
        assert len({id(p) for part in parts for p in part}) == 3 * len(parts[0])
        for a, b in zip(parts[0], parts[1], strict=True):
            assert a.unique().numel() == 1 or not torch.equal(a, b)
    network.train()(stack).abs().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("lists", [None, ["cascades", "encoder", "decoder"]])
@pytest.mark.parametrize("tied", [False, True])
def test_recomputed_activations_give_the_same_gradients(stack, tied, lists):
    def gradients(network):
        network.train()(narrow(stack, 1)).abs().square().sum().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()])

    def make():
        torch.manual_seed(0)
        step = RefinedMaps(CorrectedMaps(FusionUnet(2, 2, 2)), KspaceStep())
        body = prompts(condition=2)
        return model(1, body, consistency=step, conditioning=Told(), iterations=3, tied=tied)

    plain, saving = make(), make()
    recompute(saving, lists)
    torch.testing.assert_close(gradients(saving), gradients(plain), rtol=1e-4, atol=1e-5)


def nmse(image, reference):
    return float((image.abs() - reference).square().sum() / reference.square().sum())


def test_training_with_neighbours_pays(stack):
    sample, network = narrow(stack, 1), model().train()
    full, maps, _ = scene(SHAPE, coils=2, noise=0.0)
    reference = (maps.conj() * ifft(full.kspace)).sum(0).abs()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    before = nmse(network(sample).detach(), reference)
    for _ in range(30):
        optimizer.zero_grad()
        (network(sample).abs() - reference).square().mean().backward()
        optimizer.step()
    assert nmse(network(sample).detach(), reference) < 0.5 * before


def image(seed=3):
    return torch.randn(SHAPE, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_in_kspace_serves_images(weighted):
    sample = piece(0)
    if weighted:
        sample = sample.replace(weights=torch.linspace(0.2, 1, SHAPE[1])[None])
    data, x = DataTerm.of(sample, sample.maps), image()
    plain = GradientStep(0.7)(x, data)
    torch.testing.assert_close(KspaceStep(SoftStep(0.7))(x, data), plain, rtol=1e-4, atol=1e-5)
    torch.manual_seed(0)
    step = KspaceStep()
    nn.init.normal_(step.step.last.weight)
    lengths = step.step.lengths(sample.mask, SHAPE)
    assert lengths.max() - lengths.min() > 0.05
    misfit = fft(sample.maps * x) - sample.kspace / data.scale
    misfit = misfit * lengths * data_weights(sample)
    expected = x - (sample.maps.conj() * ifft(misfit)).sum(0)
    torch.testing.assert_close(step(x, data), expected, rtol=1e-4, atol=1e-5)


def test_maps_are_corrected_by_what_the_image_does_not_explain():
    sample, x = piece(0), image()
    outside = torch.ones(SHAPE)
    outside[:, :3] = 0
    sample = sample.replace(maps=sample.maps * outside)
    data = DataTerm.of(sample, sample.maps)
    update = CorrectedMaps(FusionUnet(2, 2, 2))
    torch.testing.assert_close(update(x, data), sample.maps)
    nn.init.constant_(update.step, 0.4)
    expected = []
    for y, s in zip(sample.kspace / data.scale, sample.maps, strict=True):
        gradient = x.conj() * ifft(sample.mask * (fft(s * x) - y))
        expected.append(s - 0.4 * update.network(torch.stack([s, gradient])))
    expected = torch.stack(expected) * outside
    norm = expected.abs().square().sum(0).sqrt()
    maps = update(x, data)
    torch.testing.assert_close(maps, expected / norm.clamp(min=1e-20))
    assert (maps[:, :, :3] == 0).all()
    step = RefinedMaps(update, GradientStep(0.5))
    torch.testing.assert_close(step(x, data), GradientStep(0.5)(x, data.with_maps(maps)))
    again = DataTerm.of(sample, maps)
    torch.testing.assert_close(data.with_maps(maps).gradient(x), again.gradient(x))


def test_maps_of_each_iteration_serve_other_methods():
    sample = piece(0, (16, 16)).replace(maps=None)
    estimator = LearnedMaps(2, 2)
    step = RefinedMaps(EstimatedMaps(estimator))
    method = MoDL(LearnedMaps(2, 2), prompts_denoiser(), step, iterations=2, tied=False)
    first, second = (part.maps.estimator for part in method.consistency)
    assert first is estimator and not torch.equal(first(sample), second(sample))
    before = method(sample)
    with torch.no_grad():
        second.norm_unet.unet.conv.layers["0"].weight.neg_()
    assert different(method(sample), before)


def prompts_denoiser():
    config = composed(
        "reconstruct",
        "model=modl",
        "regularizer@model.regularizer=prompt_unet",
        "++model.regularizer.body.channels=[4,6,8,8]",
        "++model.regularizer.body.prompt_channels=[2,2,2]",
    )
    return build(config.model.regularizer, nn.Module, "model.regularizer")


def test_networks_are_chosen_in_the_configuration():
    small = ["++model.body.channels=4", "++model.body.blocks=[1,1]", "++model.body.heads=[1,1]"]
    small += ["++model.iterations=2", "++model.context=1", "++model.body.refinement=1"]
    config = composed("reconstruct", "model=promptmr", "body@model.body=restormer", *small)
    network = build(config.model, Reconstructor, "model")
    assert isinstance(network.cascades[1].network.body, Restormer)
    assert network.cascades[1].network.first.in_channels == 2 * 3 * 3
    config = composed(
        "reconstruct", "model=vsharp", "+regularizer@model.regularizer=restormer",
        "++model.regularizer.images=3", "++model.regularizer.outputs=1",
        *(option.replace("model.body", "model.regularizer.body") for option in small[:3]),
        "++model.iterations=2", "model.sensitivity={_target_: mrirecon.sensitivity.GivenMaps}",
    )  # fmt: skip
    images = build(config.model, Reconstructor, "model")(piece(0))
    assert images.shape == SHAPE and images.isfinite().all()


def test_the_shipped_models_are_as_large_as_their_files_say():
    for name, millions in (("promptmr", 82.9), ("sdum", 162)):
        with torch.device("meta"):
            network = build(composed("train", f"model={name}").model, Reconstructor, "model")
        assert network.context == 2
        count = sum(parameter.numel() for parameter in network.parameters())
        assert count == pytest.approx(millions * 1e6, rel=5e-3)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="context must not be negative, got -1"):
        model(-1)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        model(iterations=0)
