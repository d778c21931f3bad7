"""CG-SENSE to equal error: python benchmarks/cg_sense.py [repeats [case [threads]]].

The error is the relative difference to the converged solution in float64. All methods solve the
same system; each takes about the fewest steps that bring it to ``ACCURACY``. The time of BART's
program is its run time less that of starting it and reading the same files; bartorch is BART inside
of this process. These two are left out where they are not installed.
"""

from collections.abc import Callable

import numpy as np
import torch
from recon_cases import (
    ACCELERATION,
    Bart,
    Bartorch,
    Case,
    arguments,
    case,
    error,
    rows_of,
    taken,
)
from table import Row, publish

from mrirecon.operators import least_squares
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sampling import PoissonDisc, scan_rng
from mrirecon.sensitivity import GivenMaps
from mrirecon.solvers import conjugate_gradient

WEIGHT, ACCURACY, MOST = 3e-3, 2e-3, 64


def exact(problem: Case) -> np.ndarray:
    """Return the converged solution in float64."""
    sample = problem.sample
    maps, kspace = sample.maps.to(torch.complex128), sample.kspace.to(torch.complex128)
    A, _ = least_squares(sample, maps)
    return conjugate_gradient(
        lambda x: A.gram(x) + WEIGHT * x, A.H(kspace), iterations=300, tolerance=1e-6
    )[0].numpy()


def ours(problem: Case, iterations: int) -> np.ndarray:
    model = CgSense(GivenMaps(), WEIGHT, iterations=iterations, tolerance=0.0)
    return model(problem.sample)[0].numpy()


def sigpys(problem: Case, iterations: int) -> np.ndarray:
    from sigpy.mri.app import SenseRecon

    h, w = problem.sample.kspace.shape[-2:]
    weights = problem.sample.mask[0].expand(h, w).numpy().astype(np.float32)
    kspace, maps = problem.sample.kspace[0].numpy(), problem.sample.maps[0].numpy()
    return SenseRecon(
        kspace, maps, lamda=WEIGHT, weights=weights, max_iter=iterations, show_pbar=False
    ).run()


def steps(
    run: Callable[[int], np.ndarray], reference: np.ndarray, accuracy: float, most: int
) -> int:
    """About the fewest steps that reach the accuracy, up to ``most``: by doubling and bisection."""
    low, high = 0, 4
    while high < most and error(run(high), reference) > accuracy:
        low, high = high, min(2 * high, most)
    while high - low > max(1, high // 32):
        middle = (low + high) // 2
        if error(run(middle), reference) <= accuracy:
            high = middle
        else:
            low = middle
    return high


def main() -> None:
    repeats, names, thread_counts = arguments()
    rows = []
    for threads in thread_counts:
        torch.set_num_threads(threads)
        for name in [*names, *(f"{n} grid" for n in names if n == "a8")]:
            mask = None
            if name.endswith("grid"):
                pattern = PoissonDisc(float(ACCELERATION))
                mask = pattern((320, 320), scan_rng(name)).mask
            problem = case(name.split()[0], mask)
            label = f"{name} {threads} thread{'s' * (threads > 1)}"
            rows += compare(label, problem, threads, repeats)
    publish("cg_sense", rows)


def compare(label: str, problem: Case, threads: int, repeats: int) -> list[Row]:
    with torch.inference_mode():
        reference = exact(problem)
        runs: dict[str, Callable[[int], np.ndarray]] = {
            "ours": lambda n: ours(problem, n),
            "sigpy": lambda n: sigpys(problem, n),
        }
        bart = Bart(problem.sample, threads) if Bart.available() else None
        if bart is not None:
            runs["bart"] = lambda n: bart.pics("-l2", "-r", f"{WEIGHT}", "-i", f"{n}")
        if Bartorch.available():
            inside = Bartorch(problem.sample, threads)
            runs["bartorch"] = lambda n: inside.pics(l2=WEIGHT, maxiter=n)
        counts = {peer: steps(run, reference, ACCURACY, MOST) for peer, run in runs.items()}
        errors = {peer: error(run(counts[peer]), reference) for peer, run in runs.items()}
        timed = {peer: (lambda run=run, n=counts[peer]: run(n)) for peer, run in runs.items()}
        if bart is not None:
            timed["overhead"] = bart.overhead
        times = taken(timed, repeats)
    print(label, counts, {k: f"{v:.1e}" for k, v in errors.items()}, flush=True)
    return rows_of(label, times, errors["ours"])


if __name__ == "__main__":
    main()
