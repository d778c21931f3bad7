"""Total variation to equal error: python benchmarks/total_variation.py [repeats [case [threads]]].

The error is the relative difference to the minimum of the same objective, by ``CONVERGED`` of our
steps: least squares, and the isotropic norm of the differences, of k-space divided by the same
scale. Each takes about the fewest steps that bring it to ``ACCURACY``; where one does not arrive in
``MOST``, which the printed errors tell, it takes these, and the ratio is the least it can be. So it
is with sigpy, which would take several minutes.
bartorch, BART inside of this process, uses ADMM with the best of a few penalty parameters for the
case ``small``; its differences go around the borders of the image, which are empty here. BART 0.8
has another minimum. The differences of sigpy count one by one: its rows compare with our method of
that kind. bartorch is left out where it is not installed. Set ``OMP_NUM_THREADS`` to the number of
threads.
"""

from collections.abc import Callable

import numpy as np
import torch
from cg_sense import steps
from recon_cases import Bartorch, Case, arguments, case, error, rows_of, taken
from table import Row, publish

from mrirecon.reconstructors.classical.total_variation import TotalVariation
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.sensitivity import GivenMaps

WEIGHT, ACCURACY, CONVERGED = 2e-3, 1e-2, 150
MOST = {"ours": 150, "bartorch": 800, "sigpy": 60}
PENALTY = 0.01

Run = Callable[[int], np.ndarray]


def ours(problem: Case, iterations: int, isotropic: bool = True) -> np.ndarray:
    model = TotalVariation(
        GivenMaps(), WEIGHT, iterations=iterations, tolerance=0.0, isotropic=isotropic
    )
    return model(problem.sample)[0].numpy()


def sigpys(problem: Case, iterations: int) -> np.ndarray:
    from sigpy.mri.app import TotalVariationRecon

    h, w = problem.sample.kspace.shape[-2:]
    weights = problem.sample.mask[0].expand(h, w).numpy().astype(np.float32)
    kspace = (problem.sample.kspace / data_scale(problem.sample).unsqueeze(-3))[0].numpy()
    assert problem.sample.maps is not None
    return TotalVariationRecon(
        kspace, problem.sample.maps[0].numpy(), WEIGHT, weights=weights, max_iter=iterations,
        show_pbar=False,
    ).run()  # fmt: skip


def bartorchs(problem: Case, threads: int) -> Run:
    from bartorch.priors import TotalVariation as Term

    inside, term = Bartorch(problem.sample, threads), Term((-2, -1), WEIGHT)
    scale = float(data_scale(problem.sample))
    return lambda n: inside.pics(regularizers=term, admm_rho=PENALTY, maxiter=n, scaling=scale)


def compare(label: str, isotropic: bool, runs: dict[str, Run], repeats: int) -> list[Row]:
    """Compare ours with the others to equal error."""
    with torch.inference_mode():
        reference = runs["ours"](CONVERGED)
        counts = {peer: steps(run, reference, ACCURACY, MOST[peer]) for peer, run in runs.items()}
        errors = {peer: error(run(counts[peer]), reference) for peer, run in runs.items()}
        times = taken(
            {peer: (lambda run=run, n=counts[peer]: run(n)) for peer, run in runs.items()}, repeats
        )
    kind = "isotropic" if isotropic else "one by one"
    print(label, kind, counts, {k: f"{v:.1e}" for k, v in errors.items()}, flush=True)
    return rows_of(f"{label} {kind}", times, errors["ours"])


def main() -> None:
    repeats, names, thread_counts = arguments()
    rows = []
    for threads in thread_counts:
        torch.set_num_threads(threads)
        for name in names:
            label = f"{name} {threads} thread{'s' * (threads > 1)}"
            problem = case(name)
            single: dict[str, Run] = {
                "ours": lambda n, p=problem: ours(p, n, isotropic=False),
                "sigpy": lambda n, p=problem: sigpys(p, n),
            }
            rows += compare(label, False, single, repeats)
            if Bartorch.available():
                joint: dict[str, Run] = {
                    "ours": lambda n, p=problem: ours(p, n), "bartorch": bartorchs(problem, threads)
                }  # fmt: skip
                rows += compare(label, True, joint, repeats)
    publish("total_variation", rows)


if __name__ == "__main__":
    main()
