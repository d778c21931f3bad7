import pytest
import torch

from mrirecon.networks import NormUnet, ResidualCnn
from mrirecon.operators import SenseNormal, least_squares
from mrirecon.reconstructors.parts.data_consistency import (
    GradientStep,
    ProximalStep,
    SplittingStep,
    proximal_image,
)
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.kspace_consistency import (
    HardProjection,
    SamplingAwareStep,
    SoftStep,
    sampling_features,
)
from mrirecon.reconstructors.parts.unrolled import for_each_step, restore_scale
from mrirecon.solvers.recomputed import recomputed_cg
from tests.sensitivity.scene import scene

SHAPE = (12, 11)


@pytest.fixture(params=["plain", "weighted"])
def problem(request):
    """Data, their scaled term, and the dense A and y of the same least-squares problem."""
    sample, maps, _ = scene(SHAPE, coils=2, lines=4)
    if request.param == "weighted":
        sample = sample.replace(weights=torch.linspace(0.2, 1, SHAPE[1])[None])
    data = DataTerm.of(sample, maps)
    A, y = least_squares(sample, maps)
    basis = torch.eye(SHAPE[0] * SHAPE[1], dtype=torch.complex64).reshape(-1, *SHAPE)
    dense = torch.stack([A(e).flatten() for e in basis], 1)
    return data, dense, (y / data.scale).flatten()


def image(seed=0, shape=SHAPE):
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def test_gradient_step_descends_the_weighted_misfit(problem):
    data, A, y = problem
    x, layer = image(), GradientStep(0.7)
    expected = x.flatten() - 0.7 * A.mH @ (A @ x.flatten() - y)
    torch.testing.assert_close(layer(x, data).flatten(), expected, rtol=1e-4, atol=1e-5)
    assert data.value(layer(x, data)) < data.value(x)


def test_proximal_step_is_the_minimizer(problem):
    data, A, y = problem
    x, layer = image(), ProximalStep(0.3, iterations=60, tolerance=1e-7)
    weight = 0.3 * float(data.penalty_share)
    system = A.mH @ A + weight * torch.eye(x.numel())
    expected = torch.linalg.solve(system, A.mH @ y + weight * x.flatten())
    torch.testing.assert_close(layer(x, data).flatten(), expected, rtol=1e-4, atol=1e-5)


def test_splitting_step_converges_to_the_minimizer_and_moves_the_multiplier(problem):
    data, A, y = problem
    x, z, u = image(0), image(1), image(2)
    layer = SplittingStep(2, steps=200, penalty=0.5)
    new, multiplier = layer(x, z, u, data, 1)
    weight = 0.5 * float(data.penalty_share)
    system = A.mH @ A + weight * torch.eye(x.numel())
    expected = torch.linalg.solve(system, A.mH @ y + weight * z.flatten() - u.flatten())
    torch.testing.assert_close(new.flatten(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(multiplier, u + weight * (new - z))
    assert layer.penalties.shape == (2,)


def test_hard_projection_restores_what_was_measured():
    sample, _, _ = scene(SHAPE, coils=2, lines=4)
    predicted, layer = image(shape=(2, *SHAPE)), HardProjection()
    result = layer(predicted, sample)
    mask = sample.mask.expand(2, *SHAPE)
    torch.testing.assert_close(result[mask], sample.kspace[mask])
    assert torch.equal(result[~mask], predicted[~mask])
    torch.testing.assert_close(layer(result, sample), result)
    once = torch.zeros_like(sample.mask)
    once[..., SHAPE[1] // 2] = True  # measured half as often as the other lines
    half = layer(predicted, sample.replace(weights=torch.where(once, 0.5, 1.0)))
    seldom = mask & once
    torch.testing.assert_close(half[seldom], ((predicted + sample.kspace) / 2)[seldom])
    torch.testing.assert_close(half[mask & ~once], sample.kspace[mask & ~once])
    assert torch.equal(half[~mask], predicted[~mask])


def test_soft_step_takes_its_length():
    sample, _, _ = scene(SHAPE, coils=2, lines=4)
    predicted = image(shape=(2, *SHAPE))
    expected = predicted - 0.3 * sample.mask * (predicted - sample.kspace)
    torch.testing.assert_close(SoftStep(0.3)(predicted, sample), expected)


def test_sampling_aware_step_knows_position_and_density_at_any_size():
    layer = SamplingAwareStep(8)
    torch.nn.init.normal_(layer.last.weight)
    dense, sparse = (torch.arange(20)[None] % r == 0 for r in (2, 5))
    for shape in ((16, 20), (7, 20)):
        one, other = (layer.lengths(mask, shape) for mask in (dense, sparse))
        assert one.shape == shape and one.min() > 0 and one.max() < 2
        assert not torch.allclose(one, other)
    features = sampling_features(dense, (16, 20))
    assert (features[8, 10, :2] == 0).all() and features.max() == 1 and features.min() == 0
    torch.testing.assert_close(features[..., 3], torch.full((16, 20), 0.5))
    torch.testing.assert_close(features[8, 10, 2], dense[0, 6:15].float().mean())


def double(shape=(3, 4), coils=2):
    """A tiny system in float64: right-hand side, image, maps, weights and lambda."""
    generator = torch.Generator().manual_seed(0)
    b, x = (torch.randn(shape, dtype=torch.complex128, generator=generator) for _ in range(2))
    maps = torch.randn((coils, *shape), dtype=torch.complex128, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    weights = (torch.rand((1, shape[1]), dtype=torch.float64, generator=generator) > 0.4).double()
    lam = torch.tensor(0.4, dtype=torch.float64)
    return [t.requires_grad_() for t in (b, x, maps, lam)], weights


@pytest.mark.parametrize("iterations", [1, 3, 24])
@pytest.mark.parametrize("lam", [0.4, 0.05, 0.001])
def test_proximal_gradients_are_exact(iterations, lam):
    inputs, weights = double()
    inputs[-1] = torch.tensor(lam, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda b, x, maps, lam: proximal_image(
            SenseNormal.of(maps, weights), b, x, lam, iterations
        ),
        inputs,
        atol=1e-4,
        fast_mode=True,
    )


@pytest.mark.parametrize("iterations", [5, 10, 100])  # after 100 only rounding would be left
@pytest.mark.parametrize("lam", [0.05, 0.001])
def test_proximal_gradients_in_single_precision_are_those_in_double(lam, iterations):
    sample, given, _ = scene((32, 30), coils=4, lines=8)
    data, found = DataTerm.of(sample, given), []
    for real, complex_ in ((torch.float32, torch.complex64), (torch.float64, torch.complex128)):
        inputs = given, data.adjoint, image(shape=(32, 30))
        maps, b, x = [t.to(complex_, copy=True).requires_grad_() for t in inputs]
        weight = torch.tensor(lam, dtype=real, requires_grad=True)
        normal = SenseNormal(maps, data.normal.spectrum.to(real))
        result = proximal_image(normal, b, x, weight, iterations)
        found.append(torch.autograd.grad(result.abs().pow(3).sum(), (maps, b, x, weight)))
    for single, precise in zip(*found, strict=True):
        error = torch.linalg.vector_norm(single - precise) / torch.linalg.vector_norm(precise)
        assert error < 2e-3


def saved_bytes(iterations):
    inputs, weights = double((8, 8))
    b, x, maps, lam = inputs
    total = 0

    def pack(tensor):
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        image = proximal_image(SenseNormal.of(maps, weights), b, x, lam, iterations)
    return total, image


def test_what_is_kept_does_not_grow_with_the_iterations():
    assert saved_bytes(2)[0] == saved_bytes(20)[0] > 0


def test_solution_of_zero_is_zero_with_finite_gradients():
    b = torch.zeros(3, 4, dtype=torch.complex64, requires_grad=True)
    weight = torch.tensor(2.0, requires_grad=True)
    x = recomputed_cg(lambda x: weight * x, b, iterations=3, x0=b)
    x.abs().sum().backward()
    assert (x == 0).all() and torch.equal(b.grad, torch.zeros_like(b)) and weight.grad == 0


def test_members_of_a_batch_are_solved_by_themselves():
    (b, x, maps, lam), weights = double()
    two = [torch.stack([t, 100 * t]) for t in (b, x)]
    together = proximal_image(
        SenseNormal.of(torch.stack([maps, maps]), torch.stack([weights, weights])),
        *two,
        lam,
        30,
        1e-9,
    )
    alone = proximal_image(SenseNormal.of(maps, weights), b, x, lam, 30, 1e-9)
    torch.testing.assert_close(together, torch.stack([alone, 100 * alone]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("network", [ResidualCnn(4, 3), NormUnet(2, 1)])
def test_steps_neither_share_weights_nor_start_alike(network):
    copies = for_each_step(network, 3)
    assert len({id(p) for p in copies.parameters()}) == 3 * len(list(network.parameters()))
    first, second, third = ([p for p in c.parameters() if p.ndim > 1] for c in copies)
    for a, b, c in zip(first, second, third, strict=True):
        assert not torch.equal(a, b) and not torch.equal(b, c)
    assert len(for_each_step(network, 3, tied=True)) == 1


def test_an_empty_member_is_zero_after_scaling():
    sample, maps, _ = scene(SHAPE, coils=2, lines=4)
    data = DataTerm.of(sample.replace(kspace=0 * sample.kspace), maps)
    assert (restore_scale(image(), data) == 0).all()
    data = DataTerm.of(sample, maps)
    torch.testing.assert_close(restore_scale(image(), data), image() * data.scale)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProximalStep(0.0), "weight must be positive, got 0.0"),
        (lambda: ProximalStep(iterations=0), "iterations must be at least 1, got 0"),
        (lambda: ProximalStep(tolerance=-1.0), "tolerance must not be negative"),
        (lambda: SamplingAwareStep(0), "channels must be at least 1, got 0"),
        (lambda: SplittingStep(0), "iterations must be at least 1, got 0"),
        (lambda: SplittingStep(1, penalty=0.0), "penalty must be positive"),
        (lambda: for_each_step(ResidualCnn(2, 2), 0), "iterations must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
