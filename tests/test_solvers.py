import pytest
import torch

from mrirecon.solvers import conjugate_gradient, solve_cg
from mrirecon.solvers.base import energy, inner


def _systems(sizes, condition):
    generator = torch.Generator().manual_seed(0)
    matrices = []
    for n, c in zip(sizes, condition, strict=True):
        q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.complex128, generator=generator))
        matrices.append((q * torch.logspace(0, c, n).to(q)) @ q.mH)
    b = torch.randn(len(sizes), sizes[0], 1, dtype=torch.complex128, generator=generator)
    return torch.stack(matrices), b


def test_solves_each_member_to_the_relative_residual():
    G, b = _systems([30, 30], [1, 3])
    x = conjugate_gradient(lambda v: G @ v, b, iterations=500, tolerance=1e-8)
    assert (
        torch.linalg.norm(G @ x - b, dim=(1, 2)) / torch.linalg.norm(b, dim=(1, 2))
    ).max() < 2e-8
    torch.testing.assert_close(x, torch.linalg.solve(G, b), rtol=1e-5, atol=1e-5)


def test_preconditioned_steps_lead_to_the_same_solution_sooner():
    G, b = _systems([30, 30], [1, 4])
    near = torch.linalg.inv(G + 0.1 * torch.eye(30))
    plain, fewer = (
        solve_cg(lambda v: G @ v, b, iterations=500, tolerance=1e-9, precondition=one)
        for one in (None, lambda v: near @ v)
    )
    assert fewer.converged.all() and (2 * fewer.iterations <= plain.iterations).all()
    torch.testing.assert_close(fewer.x, plain.x, rtol=1e-5, atol=1e-5)


def test_members_do_not_influence_one_another():
    G, b = _systems([30, 30], [1, 3])
    # Sums of products instead of a BLAS call, whose rounding depends on the size of the batch.
    together = conjugate_gradient(
        lambda v: (G * v.mT).sum(-1, keepdim=True), b, iterations=500, tolerance=1e-3
    )
    for i in range(2):
        alone = conjugate_gradient(
            lambda v, i=i: (G[i : i + 1] * v.mT).sum(-1, keepdim=True),
            b[i : i + 1],
            iterations=500,
            tolerance=1e-3,
        )
        torch.testing.assert_close(alone[0], together[i], rtol=1e-12, atol=1e-12)


def test_stops_early_and_starts_warm():
    G, b = _systems([30], [2])
    calls = []

    def gram(v):
        calls.append(1)
        return G @ v

    x = conjugate_gradient(gram, b, iterations=500, tolerance=1e-4)
    cold = len(calls)
    assert cold < 60
    calls.clear()
    conjugate_gradient(gram, b, iterations=500, tolerance=1e-4, x0=x)
    assert len(calls) <= 2


def test_zero_right_hand_side_and_gradient():
    G, b = _systems([8], [1])
    assert conjugate_gradient(lambda v: G @ v, 0 * b, iterations=5, tolerance=1e-3).abs().max() == 0
    b = b.requires_grad_()
    conjugate_gradient(lambda v: G @ v, b, iterations=20).abs().sum().backward()
    assert b.grad.isfinite().all() and b.grad.abs().sum() > 0


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_zero_systems_stay_finite_beside_others(tolerance):
    G, b = _systems([8, 8], [1, 1])
    b = b * torch.tensor([1.0, 0.0])[:, None, None]
    x = conjugate_gradient(lambda v: G @ v, b, iterations=30, tolerance=tolerance)
    assert x.isfinite().all() and x[1].abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float32])
@pytest.mark.parametrize("axes", [(-1,), (-2, -1), (-3, -2, -1), (0, 2)])
def test_inner_products_are_those_of_each_member(axes, dtype):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(3, 4, 5, dtype=dtype, generator=generator) for _ in range(2))
    expected = (a.conj() * b).sum(axes, keepdim=True).real
    torch.testing.assert_close(inner(a, b, axes), expected)
    torch.testing.assert_close(energy(a, axes), inner(a, a, axes))
