"""FISTA, the primal-dual iteration, ADMM and the power iteration against closed forms."""

import pytest
import torch

from mrirecon.operators import FiniteDifference
from mrirecon.solvers import SplitProblem, admm, fista, power_iteration, primal_dual, solve_cg


def complex_randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


def soft(x, threshold):
    return x * ((x.abs() - threshold).clamp_min(0) / x.abs().clamp_min(1e-30))


def lasso(iterations, tolerance=0.0, batch=2):
    """Diagonal problems 1/2 |d x - y|^2 + 0.3 |x|_1, whose members differ in condition."""
    d = torch.stack([torch.linspace(1, low, 64).double() for low in (0.9, 0.03)])[:batch, None]
    y = complex_randn(2, 1, 64)[:batch]
    exact = soft(y / d, 0.3 / d.square())
    solution = fista(
        lambda x: d * (d * x - y),
        lambda v, step: soft(v, 0.3 * step),
        torch.zeros_like(y),
        iterations=iterations,
        tolerance=tolerance,
        objective=lambda x: (0.5 * (d * x - y).abs().square() + 0.3 * x.abs()).sum((-2, -1)),
    )
    return solution, exact


def test_fista_reaches_the_closed_form_and_says_so():
    solution, exact = lasso(5000, 1e-9)
    torch.testing.assert_close(solution.x, exact, rtol=1e-5, atol=1e-5)
    assert solution.converged.all()
    assert solution.iterations[0] < solution.iterations[1] < 5000
    assert solution.objective.shape == (solution.iterations.max() + 1, 2)
    assert solution.objective[-1].le(solution.objective[0]).all()


def test_fista_without_enough_steps_has_not_converged():
    solution, _ = lasso(3, 1e-9)
    assert not solution.converged.any() and solution.iterations.tolist() == [3, 3]
    assert not lasso(3)[0].converged.any()


def test_fista_members_do_not_influence_one_another():
    together, alone = lasso(500, 1e-6)[0], lasso(500, 1e-6, batch=1)[0]
    assert together.iterations[0] == alone.iterations[0] < together.iterations[1]
    torch.testing.assert_close(together.x[0], alone.x[0], rtol=1e-12, atol=1e-12)


def test_restart_keeps_fista_from_oscillating():
    """Momentum on a strongly convex problem overshoots; restarts converge linearly."""
    d = torch.linspace(1, 0.1, 64).double()[None, None]
    y = complex_randn(1, 1, 64)
    x = fista(lambda x: d * (d * x - y), lambda v, _: v, 0 * y, iterations=300).x
    plain, z, t = 0 * y, 0 * y, 1.0
    for _ in range(300):
        new = z - d * (d * z - y)
        following = (1 + (1 + 4 * t * t) ** 0.5) / 2
        plain, z, t = new, new + (t - 1) / following * (new - plain), following
    error, without = ((v - y / d).norm() for v in (x, plain))
    assert error < 1e-2 * without


def primal_dual_steps(problem, x0, iterations=2000, **options):
    return primal_dual(problem, x0, iterations=iterations, **options)


def admm_steps(problem, x0, iterations=200, **options):
    return admm(
        problem, x0, gram=lambda x: x, precondition=lambda x: x / 2, penalty=0.7,
        iterations=iterations, **options,
    )  # fmt: skip


@pytest.mark.parametrize("solve", [primal_dual_steps, admm_steps])
def test_split_problems_reach_the_closed_form_of_two_pixels(solve):
    """Total variation moves two pixels towards each other by the weight, or makes them equal."""
    D = FiniteDifference()
    y = torch.tensor([[[1.0, 3.0]], [[1.0, 1.2]]], dtype=torch.complex128)

    def project(p, _):
        return p / torch.linalg.vector_norm(p, dim=-3, keepdim=True).div(0.5).clamp_min(1)

    def objective(x):
        return (0.5 * (x - y).abs().square() + 0.5 * D(x).norm(dim=-3)).sum((-2, -1))

    problem = SplitProblem(lambda x: x - y, D, D.adjoint, project, norm=8**0.5, objective=objective)
    solution = solve(problem, 0 * y, tolerance=1e-10, trace=True)
    expected = torch.tensor([[[1.5, 2.5]], [[1.1, 1.1]]], dtype=torch.complex128)
    torch.testing.assert_close(solution.x, expected, rtol=1e-6, atol=1e-6)
    assert solution.converged.all()
    torch.testing.assert_close(solution.objective[-1], objective(expected))
    assert len(solution.objective) == solution.iterations.max() + 1
    assert solve(problem, 0 * y, iterations=1).objective is None


def test_admm_leaves_a_member_that_has_converged_as_it_is():
    D, y = FiniteDifference(), complex_randn(2, 6, 5)
    y[0] = 1  # constant: the first step finds it

    def solve(y, tolerance):
        problem = SplitProblem(lambda x: x - y, D, D.adjoint, lambda p, _: 0.1 * p.sgn(), 8**0.5)
        return admm_steps(problem, 0 * y, 30, tolerance=tolerance)

    both, alone = solve(y, 1e-9), solve(y[:1], 1e-9)
    assert both.iterations[0] == alone.iterations[0] < both.iterations[1]
    torch.testing.assert_close(both.x[:1], alone.x)


def test_primal_dual_without_a_smooth_part_is_chambolle_pock():
    """min |x - y|_1 with K = 2: p is clipped to the unit disc and shifted by the data."""
    y = complex_randn(1, 1, 8)
    problem = SplitProblem(
        torch.zeros_like,
        lambda x: 2 * x,
        lambda p: 2 * p,
        lambda p, sigma: (lambda q: q / q.abs().clamp_min(1))(p - sigma * 2 * y),
        norm=2.0,
        lipschitz=0.0,
    )
    solution = primal_dual(problem, 0 * y, iterations=2000)
    torch.testing.assert_close(solution.x, y, rtol=1e-6, atol=1e-6)


def test_power_iteration_finds_the_largest_eigenvalue_of_each_member():
    d = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0)).double()
    largest = power_iteration(lambda x: d * x, d + 0j, iterations=2000)
    torch.testing.assert_close(largest, d.amax((-2, -1)), rtol=1e-3, atol=0)
    assert power_iteration(lambda x: 0 * x, d + 0j).eq(0).all()
    again = power_iteration(lambda x: d * x, d + 0j, iterations=2000)
    assert largest.equal(again)


def test_cg_tells_steps_and_convergence_and_its_objective_decreases():
    d = torch.stack([torch.linspace(1, low, 40).double() for low in (0.5, 1e-3)])[:, None]
    b = complex_randn(2, 1, 40)
    solution = solve_cg(lambda x: d * x, b, iterations=60, tolerance=1e-6, trace=True)
    assert solution.converged[0] and solution.iterations[0] < solution.iterations[1]
    assert (solution.objective.diff(dim=0) <= 1e-9).all()
    minimum = -0.5 * (b.abs().square() / d).sum((-2, -1))
    torch.testing.assert_close(solution.objective[-1, 0], minimum[0], rtol=1e-6, atol=1e-6)
    short = solve_cg(lambda x: d * x, b, iterations=2, tolerance=1e-6)
    assert not short.converged.any()
