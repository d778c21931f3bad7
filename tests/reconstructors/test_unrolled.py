"""Unrolled methods: their size, and their output against the equations written out once more."""

import pytest
import torch
from torch.nn import functional as F

from mrirecon.config import build
from mrirecon.networks import NormUnet, PromptUnet, ResidualCnn, Restormer
from mrirecon.networks.conv_gru import ConvGru
from mrirecon.networks.fusion_unet import FusionUnet
from mrirecon.networks.mwcnn import Mwcnn
from mrirecon.operators import data_weights, penalty_share
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.reconstructors.learned.adaptive_cs_net import AdaptiveCsNet
from mrirecon.reconstructors.learned.cascade_net import CascadeNet
from mrirecon.reconstructors.learned.deep_unrolled import DeepUnrolled
from mrirecon.reconstructors.learned.fi_varnet import FiVarNet
from mrirecon.reconstructors.learned.ista_net import IstaNet
from mrirecon.reconstructors.learned.lpd_net import LpdNet
from mrirecon.reconstructors.learned.modl import MoDL
from mrirecon.reconstructors.learned.recurrent_varnet import RecurrentVarNet
from mrirecon.reconstructors.learned.rim import Rim
from mrirecon.reconstructors.learned.vsharp import VSharp
from mrirecon.reconstructors.learned.xpdnet import XpdNet
from mrirecon.reconstructors.parts.data_consistency import GradientStep, ProximalStep
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.reconstructors.parts.kspace_consistency import (
    HardProjection,
    KspaceStep,
    SamplingAwareStep,
    SoftStep,
)
from mrirecon.reconstructors.parts.map_refinement import CorrectedMaps, RefinedMaps
from mrirecon.reconstructors.parts.unrolled import coil_maps
from mrirecon.sensitivity import Espirit, GivenMaps, LearnedMaps
from tests.networks.test_networks import count
from tests.reconstructors import restated
from tests.sensitivity.scene import batch, scene
from tests.test_config import composed

GIVEN = GivenMaps()
METHODS = {
    "modl": lambda: MoDL(GIVEN, ResidualCnn(4, 3), ProximalStep(iterations=20), 2),
    "ista_net": lambda: IstaNet(GIVEN, 2, 4),
    "adaptive_cs_net": lambda: AdaptiveCsNet(GIVEN, (2, 1), 4, final="gradient"),
    "recurrent_varnet": lambda: RecurrentVarNet(GIVEN, 2, 4, 3),
    "lpd_net": lambda: LpdNet(GIVEN, 2, 8, 3, 3),
    "rim": lambda: Rim(GIVEN, 4, 8, 2),
    "vsharp": lambda: VSharp(GIVEN, FusionUnet(3, 4, 2), 2, 2),
    "cascade_net": lambda: CascadeNet(GIVEN, ResidualCnn(4, 3), iterations=2),
    "kiki_net": lambda: CascadeNet(GIVEN, ResidualCnn(4, 3), ResidualCnn(4, 2), iterations=2),
    "fi_varnet": lambda: FiVarNet(GIVEN, None, 2, 4, 2, 3),
    "xpdnet": lambda: XpdNet(GIVEN, Mwcnn(4, 3, (8, 8), 2, 8), 2, 3),
    "promptmr": lambda: DeepUnrolled(
        GIVEN, PromptUnet((4, 6, 8), (2, 3), 3, 8, (1, 1, 1), (1, 1), history=2), iterations=3
    ),
    "sdum": lambda: DeepUnrolled(
        GIVEN,
        Restormer(4, (1, 1), (1, 2), 1, history=1),
        RefinedMaps(CorrectedMaps(FusionUnet(2, 4, 2)), KspaceStep()),
        iterations=2,
    ),
}


def make(name):
    torch.manual_seed(0)
    return METHODS[name]().eval()


@pytest.fixture(params=METHODS)
def name(request):
    return request.param


@pytest.fixture(params=["plain", "weighted"])
def sample(request):
    sample, maps, _ = scene((24, 21), coils=3, lines=8)
    sample = sample.replace(maps=maps)
    if request.param == "weighted":
        sample = sample.replace(weights=torch.linspace(0.3, 1, 21)[None])
    return sample


def fft(x):
    return torch.fft.fftshift(
        torch.fft.fft2(torch.fft.ifftshift(x, (-2, -1)), norm="ortho"), (-2, -1)
    )


def ifft(k):
    return torch.fft.fftshift(
        torch.fft.ifft2(torch.fft.ifftshift(k, (-2, -1)), norm="ortho"), (-2, -1)
    )


class Physics:
    """The forward model of one Sample, with plain torch; k-space scaled to the object."""

    def __init__(self, sample):
        self.s = sample.maps
        self.w, self.share = data_weights(sample), penalty_share(sample)
        self.scale = data_scale(sample)
        self.y = sample.kspace / self.scale
        self.adjoint = self.combine(self.w * self.y)

    def expand(self, x):
        return fft(self.s * x)

    def coil_images(self, k):
        return ifft(k)

    def combine(self, k):
        return (self.s.conj() * ifft(k)).sum(0)

    def gram(self, x):
        return self.combine(self.w * self.expand(x))

    def gradient(self, x):
        return self.gram(x) - self.adjoint

    def solve(self, b, weight):
        n = b.numel()
        basis = torch.eye(n, dtype=b.dtype).reshape(n, *b.shape)
        matrix = torch.stack([self.gram(e).flatten() for e in basis], 1) + weight * torch.eye(n)
        return torch.linalg.solve(matrix, b.flatten()).reshape(b.shape)


def channels(*images):
    return torch.cat([torch.stack([x.real, x.imag]) for x in images])[None]


def complex_image(x):
    return torch.complex(x[0, 0], x[0, 1])


def modl(model, p, _):
    x = p.adjoint
    for _ in range(2):
        weight = 0.05 * p.share
        x = p.solve(p.adjoint + weight * model.denoisers[0](x), weight)
    return x


def ista_net(model, p, _):
    x = p.adjoint
    for k in range(2):
        s = model.shrinkage[k]
        r = x - 0.5 * p.gradient(x)
        w1, w2 = s.transform[0].weight, s.transform[2].weight
        v1, v2 = s.inverse[0].weight, s.inverse[2].weight
        f = F.conv2d(channels(r), s.expand.weight, padding=1)
        f = F.conv2d(F.conv2d(f, w1, padding=1).relu(), w2, padding=1)
        f = F.softshrink(f, 0.01)
        f = F.conv2d(F.conv2d(f, v1, padding=1).relu(), v2, padding=1)
        x = r + complex_image(F.conv2d(f, s.reduce.weight, padding=1))
    return x


def adaptive_cs_net(model, p, sample):
    h, w = p.adjoint.shape
    ah, aw = sample.acs.tolist()
    center = torch.zeros(h, w)
    center[(h - ah + 1) // 2 :, (w - aw + 1) // 2 :][:ah, :aw] = 1
    coils = ifft(sample.kspace * center)
    low = (p.s.conj() * coils).sum(0)
    phase = low.conj() / torch.maximum(low.abs(), low.abs().max() * 1e-3)
    m = coils.abs().square().sum(0).sqrt()
    ordered = m.flatten().sort().values
    empty = (1 - m / (0.05 * ordered[round(0.999 * (h * w - 1))])).clamp(min=0)
    x = p.adjoint
    for block, scales in zip(model.blocks, (2, 1), strict=True):
        z = block.analysis[0](channels(x, p.gradient(x), x * phase, x * empty))
        kept = F.softshrink(z, 0.01)
        if scales == 2:
            deep = block.analysis[1](F.max_pool2d(z, 2, ceil_mode=True))
            deep = F.interpolate(F.softshrink(deep, 0.01), (h, w), mode="bilinear")
            kept = block.synthesis[0](torch.cat([kept, deep], 1))
        x = x + complex_image(block.last(kept))
    return x - p.gradient(x)


def replicated(layer, a):
    size, dilation = layer.kernel_size[0], layer.dilation[0]
    a = F.pad(a, [dilation * (size // 2)] * 4, mode="replicate")
    return F.conv2d(a, layer.weight, layer.bias, dilation=dilation)


def gru(unit, a, state):
    """Update the state in place and return the image."""
    for i, cell in enumerate(unit.cells):
        v = replicated(unit.convolutions[i], a).relu()
        gates = cell.gates(torch.cat([v, state[i]], 1)).sigmoid()
        z, r = gates.chunk(2, 1)
        new = cell.candidate(torch.cat([v, r * state[i]], 1)).tanh()
        state[i] = (1 - z) * state[i] + z * new
        a = state[i].relu()
    return complex_image(replicated(unit.convolutions[-1], a))


def recurrent_varnet(model, p, _):
    x = channels(fft(p.combine(p.y)))
    for layer in model.initializer.convolutions[::2]:
        x = replicated(layer, x).relu()
    state = [output(x).relu() for output in model.initializer.outputs]
    k = p.y
    for unit in model.units:
        w = gru(unit, channels(p.combine(k)), state)
        k = k - p.w * (k - p.y) + p.expand(w)
    return ifft(k).abs().square().sum(0).sqrt()


def rim(model, p, _):
    x = p.adjoint
    state = [torch.zeros(1, 8, *x.shape)] * 2
    for _ in range(4):
        x = x + gru(model.units[0], channels(x, p.gradient(x)), state)
    return x


def lpd_net(model, p, _):
    def network(net, images):
        x = torch.cat([channels(image) for image in images], 1)
        for layer in (0, 1, 2):
            x = F.conv2d(x, net.layers[2 * layer].weight, net.layers[2 * layer].bias, padding=1)
            x = F.prelu(x, net.layers[2 * layer + 1].weight) if layer < 2 else x
        return [torch.complex(*x[0, 2 * i : 2 * i + 2]) for i in range(3)]

    root = p.w**0.5
    y = root * p.y
    f = [p.combine(root * y)] * 3
    h = [[torch.zeros_like(coil)] * 3 for coil in y]
    for dual, primal in zip(model.dual_networks, model.primal_networks, strict=True):
        predicted = root * p.expand(f[1])
        changes = [network(dual, [*h[c], predicted[c], y[c]]) for c in range(len(y))]
        h = [[a + b for a, b in zip(h[c], changes[c], strict=True)] for c in range(len(y))]
        back = p.combine(root * torch.stack([coil[0] for coil in h]))
        f = [a + b for a, b in zip(f, network(primal, [*f, back]), strict=True)]
    return f[0]


def vsharp(model, p, _):
    x = z = p.adjoint
    u = model.initializer(x)
    penalty = 0.1 * p.share
    for denoiser in model.denoisers:
        z = complex_image(denoiser.unet(channels(z, x, u / penalty)))
        for _ in range(2):
            x = x - (p.gradient(x) + penalty * (x - z) + u)
        u = u + penalty * (x - z)
    return x


def cascade_net(model, p, _):
    k = p.y
    for image_net, kspace_net in zip(model.denoisers, model.kspace_networks, strict=True):
        k = p.expand(image_net(p.combine(kspace_net(k))))
        k = k + p.w * (p.y - k)
    return p.combine(k)


def deep_unrolled(model, p, _):
    """Maps are not corrected before training, and all samples of k-space weigh the same."""
    x, history = p.adjoint, ()
    for cascade in model.cascades:
        network, d = cascade.network, x - p.gradient(x)
        h, w = (-size % network.body.multiple for size in x.shape)
        padding = [w // 2, w - w // 2, h // 2, h - h // 2]
        seen = F.pad(channels(x, d, p.adjoint), padding)
        features = F.conv2d(seen, network.first.weight, padding=1)
        features, history = network.body(features, history)
        change = F.conv2d(features, network.last.weight, padding=1)
        x = d + complex_image(F.pad(change, [-n for n in padding]))
    return x


EQUATIONS = {
    "modl": modl,
    "ista_net": ista_net,
    "adaptive_cs_net": adaptive_cs_net,
    "recurrent_varnet": recurrent_varnet,
    "lpd_net": lpd_net,
    "rim": rim,
    "vsharp": vsharp,
    "cascade_net": cascade_net,
    "kiki_net": cascade_net,
    "fi_varnet": restated.fi_varnet,
    "xpdnet": restated.xpdnet,
    "promptmr": deep_unrolled,
    "sdum": deep_unrolled,
}


@torch.no_grad()
def test_forward_is_what_the_equations_say(name, sample):
    model, physics = make(name), Physics(sample)
    expected = EQUATIONS[name](model, physics, sample) * physics.scale
    image = model(sample)
    assert torch.linalg.vector_norm(image - expected) < 1e-4 * torch.linalg.vector_norm(expected)


def convolution(inputs, outputs, size=3, bias=1):
    return outputs * (inputs * size**2 + bias)


RESIDUAL = convolution(2, 64) + 3 * convolution(64, 64) + convolution(64, 2)
GRU = convolution(2, 64, 5) + 3 * convolution(64, 64) + convolution(64, 2)
GRU += 4 * 3 * convolution(128, 64, 1)
DILATED = convolution(2, 32) + convolution(32, 32) + convolution(32, 64) + convolution(64, 64)


def unet(inputs, outputs, c, pools):
    """Count the convolutions of fastMRI's U-Net, none of which but the last has a bias."""
    widths = [c * 2**level for level in range(pools + 1)]
    total = sum(convolution(a, b, bias=0) for a, b in zip([inputs, *widths], widths, strict=False))
    total += sum(convolution(w, w, bias=0) for w in widths)
    for w in widths[:-1]:
        total += 2 * w * w * 4 + convolution(2 * w, w, bias=0) + convolution(w, w, bias=0)
    return total + convolution(c, outputs, 1)


ATTENTION = 4 * convolution(32, 32, 1) + convolution(32, 32)
FEATURES = unet(32, 32, 32, 4) - 32 + ATTENTION + 1  # the last convolution has no bias
PUBLISHED_MWCNN = 6_217_930


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (
            lambda: FiVarNet(GIVEN),
            convolution(2, 32, 5)
            + convolution(32, 2, 5)
            + 12 * FEATURES
            + 4 * 2 * convolution(32, 32, 5, bias=0)
            + 12 * (unet(2, 2, 32, 4) + 1),
        ),
        (lambda: XpdNet(GIVEN), 25 * PUBLISHED_MWCNN),  # the public weights are files of 624 MB
        (lambda: XpdNet(GIVEN, tied=True), PUBLISHED_MWCNN),
        (lambda: MoDL(GIVEN), RESIDUAL + 1),
        (lambda: MoDL(GIVEN, tied=False), 10 * (RESIDUAL + 1)),
        (lambda: IstaNet(GIVEN), 9 * 38_018),
        (lambda: RecurrentVarNet(GIVEN), 3_296_045),  # as DIRECT 2.2 with its default sizes
        (lambda: Rim(GIVEN, channels=16), 7_394),  # as DIRECT 2.2 with its default sizes
        (
            lambda: LpdNet(GIVEN),
            10 * (convolution(14, 32) + convolution(12, 32))
            + 20 * (convolution(32, 32) + convolution(32, 10) + 2),
        ),
        (lambda: RecurrentVarNet(GIVEN), 15 * (GRU + 1) + DILATED + 4 * convolution(64, 64, 1)),
        (
            lambda: VSharp(GIVEN),
            10 * unet(6, 2, 32, 4) + 10 + 8 + DILATED + convolution(64, 2, 1) + 1,
        ),
        (lambda: CascadeNet(GIVEN), 5 * RESIDUAL),
        (lambda: CascadeNet(GIVEN, None, ResidualCnn(64), iterations=2), 2 * (RESIDUAL + RESIDUAL)),
    ],
)
def test_number_of_parameters(make, parameters):
    with torch.device("meta"):
        assert count(make()) == parameters


@pytest.mark.parametrize(
    ("scales", "parameters"),
    [(1, 4_082), (2, 27_250), (3, 119_666), (4, 488_818), (5, 1_964_402)],
)
def test_adaptive_cs_net_grows_with_scales_and_priors(scales, parameters):
    # the numbers are those of a block with ten input channels; one prior fewer has two fewer
    three = count(AdaptiveCsNet(GIVEN, (scales,)))
    assert three == parameters - 2 * 16 * 9
    two = count(AdaptiveCsNet(GIVEN, (scales,), priors=("data", "phase")))
    assert three - two == 2 * 16 * 9


def test_the_mixed_schedule_is_as_large_as_published():
    with torch.device("meta"):
        assert count(AdaptiveCsNet(GIVEN, [5] * 14 + [4] * 11)) == pytest.approx(33e6, rel=0.01)


def test_gradients_are_finite_beside_an_empty_slice(name, sample):
    model = make(name).train()
    nothing = sample.replace(kspace=0 * sample.kspace, maps=0 * sample.maps)
    images = model(batch(sample, nothing))
    assert (images[1] == 0).all()
    images.abs().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key


@torch.no_grad()
def test_result_follows_the_scale_of_the_data(name, sample):
    model = make(name)
    image = model(sample)
    louder = model(sample.replace(kspace=1e-5 * sample.kspace))
    torch.testing.assert_close(1e5 * louder, image, rtol=1e-3, atol=1e-4 * float(image.abs().max()))


def test_autocast_keeps_the_physics_in_complex64(name, sample):
    model = make(name).train()
    with torch.autocast("cpu", torch.bfloat16):
        image = model(sample)
    assert image.dtype == torch.complex64 and image.isfinite().all()
    image.abs().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        error = torch.linalg.vector_norm(image - model(sample))
    assert error < 0.05 * torch.linalg.vector_norm(image)


def test_parts_are_chosen_in_the_configuration():
    config = composed(
        "reconstruct",
        "model=modl",
        "regularizer@model.regularizer=norm_unet",
        "++model.consistency={_target_: mrirecon.reconstructors.GradientStep}",
        "++model.iterations=2",
    )
    model = build(config.model, Reconstructor, "model")
    assert isinstance(model.denoisers[0], NormUnet)
    assert isinstance(model.consistency[0], GradientStep)


@pytest.mark.parametrize("part", [SoftStep, SamplingAwareStep])
@pytest.mark.parametrize("method", [CascadeNet, RecurrentVarNet, FiVarNet])
def test_any_consistency_of_kspace_serves(method, part, sample):
    def with_part(consistency):
        torch.manual_seed(0)
        if method is FiVarNet:
            return FiVarNet(GIVEN, None, 1, 4, 2, 3, consistency=consistency)
        if method is CascadeNet:
            return CascadeNet(GIVEN, ResidualCnn(4, 2), consistency=consistency, iterations=2)
        return RecurrentVarNet(GIVEN, 2, 4, 2, consistency)

    model = with_part(part())
    image = model(sample)
    # all of them start with a length of one
    torch.testing.assert_close(image, with_part(HardProjection())(sample))
    image.abs().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def nmse(image, reference):
    return float((image.abs() - reference).square().sum() / reference.square().sum())


def test_a_few_steps_of_training_pay(name):
    full, maps, _ = scene((24, 24), coils=3, noise=0.0)
    reference = ZeroFilled()(full).abs()
    sample, _, _ = scene((24, 24), coils=3, noise=0.02, lines=4, every=3)
    sample = sample.replace(maps=maps)
    model = make(name).train()
    before = nmse(model(sample).detach(), reference)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    # two methods see the data only as an input and have to learn even how to descend
    for _ in range({"rim": 120, "lpd_net": 120, "fi_varnet": 20}.get(name, 40)):
        optimizer.zero_grad()
        (model(sample).abs() - reference).square().mean().backward()
        optimizer.step()
    after = nmse(model(sample).detach(), reference)
    assert after < 0.7 * before  # MoDL starts close to the SENSE solution
    assert after < 0.5 * nmse(ZeroFilled()(sample), reference)


def test_autocast_does_not_reach_the_estimation_of_maps():
    sample, _, _ = scene((24, 24), coils=3, lines=12)
    with torch.autocast("cpu", torch.bfloat16):
        maps = coil_maps(Espirit(kernel=5), sample)
        assert coil_maps(LearnedMaps(2, 2), sample).isfinite().all()
    assert torch.equal(maps, Espirit(kernel=5)(sample))


def test_modl_ends_with_consistent_data():
    sample, maps, _ = scene((24, 21), coils=3, lines=8)
    sample = sample.replace(maps=maps)
    p = Physics(sample)
    x = MoDL(GIVEN, ResidualCnn(4, 2), ProximalStep(1e-3, 60), 1)(sample) / p.scale
    assert torch.linalg.vector_norm(p.gradient(x)) < 0.01 * torch.linalg.vector_norm(p.adjoint)


def test_asymmetry_of_inverse_transforms_is_zero():
    model = IstaNet(GIVEN, 1, 4)
    shrinkage = model.shrinkage[0]
    with torch.no_grad():
        for pair in (shrinkage.transform, shrinkage.inverse):
            for layer in (pair[0], pair[2]):
                torch.nn.init.dirac_(layer.weight)
        shrinkage.expand.weight.abs_()
        pixels = torch.complex(torch.rand(5, 6), torch.rand(5, 6))
        assert shrinkage.penalty(-pixels) > 0.1  # ReLUs remove the negative parts
        assert shrinkage.penalty(pixels) < 1e-10


def test_a_huge_threshold_leaves_only_the_biases():
    block = AdaptiveCsNet(GIVEN, (2,), 4, threshold=1e6).blocks[0]
    images = torch.randn(2, 4, 12, 10, dtype=torch.complex64)
    torch.testing.assert_close(block(images), block(0 * images))
    torch.nn.init.zeros_(block.last.bias)
    for synthesis in block.synthesis:
        for layer in (synthesis[0][0], synthesis[0][2]):
            torch.nn.init.zeros_(layer.bias)
    assert (block(images) == 0).all()


def test_conv_gru_remembers():
    unit = ConvGru(4, 2)
    image = torch.randn(1, 1, 8, 9, dtype=torch.complex64)
    first, state = unit(image)
    again, _ = unit(image, state)
    assert not torch.allclose(first, again)
    fresh, _ = unit(image, tuple(torch.zeros_like(s) for s in state))
    torch.testing.assert_close(fresh, first)
    assert [tuple(s.shape) for s in state] == [(1, 4, 8, 9)] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MoDL(GIVEN, iterations=0), "iterations must be at least 1, got 0"),
        (lambda: IstaNet(GIVEN, channels=0), "channels must be at least 1, got 0"),
        (lambda: IstaNet(GIVEN, threshold=0.0), "threshold must be positive, got 0.0"),
        (lambda: AdaptiveCsNet(GIVEN, ()), "scales must name at least one block"),
        (lambda: AdaptiveCsNet(GIVEN, (0,)), "scales must be at least 1, got 0"),
        (lambda: LpdNet(GIVEN, memory=1), "memory must be at least 2, got 1"),
        (lambda: LpdNet(GIVEN, layers=1), "layers must be at least 2, got 1"),
        (lambda: LpdNet(GIVEN, channels=0), "channels must be at least 1, got 0"),
        (lambda: ConvGru(4, 0), "layers must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
