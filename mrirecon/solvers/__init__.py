"""Iterative solvers: plain functions of callables and tensors, unaware of MRI."""

from mrirecon.solvers.admm import admm
from mrirecon.solvers.base import Solution
from mrirecon.solvers.conjugate_gradient import conjugate_gradient, solve_cg
from mrirecon.solvers.fista import fista
from mrirecon.solvers.power_iteration import power_iteration
from mrirecon.solvers.primal_dual import SplitProblem, primal_dual

__all__ = [
    "Solution",
    "SplitProblem",
    "admm",
    "conjugate_gradient",
    "fista",
    "power_iteration",
    "primal_dual",
    "solve_cg",
]
