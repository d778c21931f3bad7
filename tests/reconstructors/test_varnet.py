"""The equations of the variational network, written out on the k-space of all coils."""

import pytest
import torch

from mrirecon.fourier import fft, ifft
from mrirecon.networks import ResidualCnn
from mrirecon.operators import data_weights
from mrirecon.reconstructors.learned.fi_varnet import FiVarNet
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.reconstructors.parts.kspace_consistency import SamplingAwareStep, SoftStep
from mrirecon.sensitivity import GivenMaps
from mrirecon.types import Sample
from tests.networks.test_networks import count


def masks(kind, w):
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(2, 1, w, generator=generator) < 0.5
    if kind == "grid":
        mask = torch.rand(2, 12, w, generator=generator) < 0.5
    mask[..., w // 2 - 1 : w // 2 + 2] = True
    weights = torch.rand(mask.shape, generator=generator) * mask if kind == "weighted" else None
    return mask, weights


@pytest.mark.parametrize("combination", ["rss", "sense"])
@pytest.mark.parametrize("kind", ["lines", "grid", "weighted"])
def test_states_without_kspace_are_the_published_steps(kind, combination):
    """Maps need not be normalized; W is the mask, with what the weights make of it."""
    torch.manual_seed(0)
    h, w = 12, 13
    mask, weights = masks(kind, w)
    maps = torch.randn(2, 3, h, w, dtype=torch.complex64) / 2
    y = torch.randn(2, 3, h, w, dtype=torch.complex64) * mask[:, None]
    sample = Sample(y, mask, weights=weights, maps=maps)
    model = VarNet(4, channels=2, pools=2, sensitivity=GivenMaps(), combination=combination)
    for number, cascade in enumerate(model.cascades):
        torch.nn.init.constant_(cascade.dc_weight, 0.3 + 0.4 * number)

    S = maps.clone().requires_grad_()
    W = data_weights(sample)[:, None]
    k = y
    for cascade in model.cascades:
        image = (S.conj() * ifft(k)).sum(1)
        correction = cascade.model(image)
        k = k - cascade.dc_weight * W * (k - y) - fft(S * correction[:, None])
    expected = (S.conj() * ifft(k)).sum(1)
    if combination == "rss":
        expected = torch.linalg.vector_norm(ifft(k), dim=1) + 0j

    ours = maps.clone().requires_grad_()
    result = model(sample.replace(maps=ours))
    wanted = [p for p in model.parameters() if p.requires_grad]
    check_same(result, [ours, *wanted], expected, [S, *wanted])


def check_same(result, ours, expected, theirs):
    torch.testing.assert_close(result, expected, rtol=2e-5, atol=2e-5)
    cotangent = torch.randn_like(result)
    gradients = [
        torch.autograd.grad(output, leaves, cotangent)
        for output, leaves in ((result, ours), (expected, theirs))
    ]
    for found, reference in zip(*gradients, strict=True):
        scale = reference.abs().max().item()
        torch.testing.assert_close(found, reference, rtol=1e-3, atol=1e-4 * max(scale, 1e-3))


def images_alone(steps, combination="rss"):
    """FI-VarNet whose steps on feature maps return the maps' first coil."""
    model = FiVarNet(
        GivenMaps(), ResidualCnn(2, 2), steps, 2, 1, 2, combination=combination
    )  # fmt: skip
    model._in_features = lambda _, sample, *__: sample.maps[:, 0]
    for number, step in enumerate(model.consistency):
        torch.nn.init.constant_(step.step, 0.3 + 0.4 * number)
    return model


@pytest.mark.parametrize("combination", ["rss", "sense"])
@pytest.mark.parametrize("kind", ["lines", "grid", "weighted"])
def test_steps_that_begin_at_an_image_are_the_published_ones(kind, combination):
    """The second half of FI-VarNet, whose first k-space does not agree with the data."""
    torch.manual_seed(0)
    h, w = 12, 13
    mask, weights = masks(kind, w)
    maps = torch.randn(2, 3, h, w, dtype=torch.complex64) / 2
    y = torch.randn(2, 3, h, w, dtype=torch.complex64) * mask[:, None]
    model = images_alone(4, combination)

    S = maps.clone().requires_grad_()
    W = data_weights(Sample(y, mask, weights=weights))[:, None]
    k = fft(S * S[:, :1])
    for denoiser, consistency in zip(model.denoisers, model.consistency, strict=True):
        correction = denoiser((S.conj() * ifft(k)).sum(1))
        k = k - consistency.step * W * (k - y) - fft(S * correction[:, None])
    expected = (S.conj() * ifft(k)).sum(1)
    if combination == "rss":
        expected = torch.linalg.vector_norm(ifft(k), dim=1) + 0j

    ours = maps.clone().requires_grad_()
    result = model(Sample(y, mask, weights=weights, maps=ours))
    wanted = [*model.denoisers.parameters(), *model.consistency.parameters()]
    check_same(result, [ours, *wanted], expected, [S, *wanted])
    assert "consistency.0.step" in model.state_dict()  # as in the checkpoints


def test_a_step_keeps_images_for_its_gradient_and_no_coil_images():
    coils, h, w = 16, 12, 13
    mask, _ = masks("lines", w)
    maps = torch.randn(2, coils, h, w, dtype=torch.complex64)

    def kept(steps):
        sizes = {}

        def note(tensor):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            graph = images_alone(steps)(Sample(maps, mask, maps=maps.clone().requires_grad_()))
        return sum(sizes.values()), graph

    more = (kept(5)[0] - kept(3)[0]) / 2
    assert more < coils * maps[:, 0].nbytes  # two of them, if k-space were carried


@pytest.mark.parametrize("combination", ["rss", "sense"])
@pytest.mark.parametrize("kind", ["lines", "grid", "weighted"])
def test_another_consistency_takes_the_place_of_the_step(kind, combination):
    torch.manual_seed(0)
    h, w = 12, 13
    mask, weights = masks(kind, w)
    maps = torch.randn(2, 3, h, w, dtype=torch.complex64) / 2
    y = torch.randn(2, 3, h, w, dtype=torch.complex64) * mask[:, None]
    sample = Sample(y, mask, weights=weights, maps=maps)
    options = {"channels": 2, "pools": 2, "sensitivity": GivenMaps(), "combination": combination}
    usual = VarNet(3, **options)
    chosen = VarNet(3, **options, consistency=SoftStep(0.6))
    for cascade, other in zip(usual.cascades, chosen.cascades, strict=True):
        torch.nn.init.constant_(cascade.dc_weight, 0.6)
        other.model.load_state_dict(cascade.model.state_dict())
    torch.testing.assert_close(chosen(sample), usual(sample), rtol=2e-5, atol=2e-5)
    aware = VarNet(3, **options, consistency=SamplingAwareStep(4))
    assert len({id(cascade.consistency) for cascade in aware.cascades}) == 3
    aware(sample).abs().sum().backward()
    lasts = [cascade.consistency.last.weight.grad.abs().max() for cascade in aware.cascades]
    assert lasts[1] > 0 and lasts[2] > 0  # the first step starts at the data
    assert all(p.grad.isfinite().all() for p in aware.parameters())


def test_the_network_is_a_choice_and_steps_may_share_it():
    model = VarNet(3, sensitivity=GivenMaps(), regularizer=ResidualCnn(4, 3))
    assert all(isinstance(step.model, ResidualCnn) for step in model.cascades)
    first, second, _ = (step.model.state_dict() for step in model.cascades)
    assert not any(torch.equal(first[key], second[key]) for key in first if "weight" in key)
    tied = VarNet(3, sensitivity=GivenMaps(), regularizer=ResidualCnn(4, 3), tied=True)
    assert 3 * count(tied) == count(model)


def test_shared_steps_are_taken_as_often_as_separate_ones():
    torch.manual_seed(0)
    mask, _ = masks("lines", 13)
    maps = torch.randn(2, 3, 12, 13, dtype=torch.complex64) / 2
    y = torch.randn(2, 3, 12, 13, dtype=torch.complex64) * mask[:, None]
    tied = VarNet(3, 2, 2, GivenMaps(), combination="sense", tied=True)
    separate = VarNet(3, 2, 2, GivenMaps(), combination="sense")
    for cascade in separate.cascades:
        cascade.load_state_dict(tied.cascades[0].state_dict())
    sample = Sample(y, mask, maps=maps)
    torch.testing.assert_close(tied(sample), separate(sample))
