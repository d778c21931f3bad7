"""L1-wavelet to equal error: python benchmarks/l1_wavelet.py [repeats [case [threads]]].

The error is the NRMSE to the truth. The peers are sigpy, BART's program and bartorch, BART inside
of this process; the last two are left out where they are not installed. They take the 100 steps at
which they have about settled; ours takes the fewest (of 20, 25, 30, …) after which its image is no
further from the truth than the best of theirs. The time of BART's program is its run time less that
of starting it and reading the same files.
"""

from collections.abc import Callable

import numpy as np
import torch
from recon_cases import Bart, Bartorch, Case, arguments, case, error, rows_of, taken
from table import Row, publish

from mrirecon.reconstructors.classical.l1_wavelet import L1Wavelet
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.sensitivity import GivenMaps

WEIGHT, STEPS = 2e-3, 100


def ours(problem: Case, iterations: int) -> np.ndarray:
    model = L1Wavelet(GivenMaps(), WEIGHT, iterations=iterations, tolerance=0.0)
    return model(problem.sample)[0].numpy()


def sigpys(problem: Case) -> np.ndarray:
    from sigpy.mri.app import L1WaveletRecon

    h, w = problem.sample.kspace.shape[-2:]
    weights = problem.sample.mask[0].expand(h, w).numpy().astype(np.float32)
    kspace = (problem.sample.kspace / data_scale(problem.sample).unsqueeze(-3))[0].numpy()
    return L1WaveletRecon(
        kspace, problem.sample.maps[0].numpy(), lamda=WEIGHT, weights=weights, max_iter=STEPS,
        alpha=1.0, show_pbar=False,
    ).run()  # fmt: skip


def main() -> None:
    repeats, names, thread_counts = arguments()
    rows = []
    for threads in thread_counts:
        torch.set_num_threads(threads)
        for name in names:
            problem = case(name)
            label = f"{name} {threads} thread{'s' * (threads > 1)}"
            rows += compare(label, problem, threads, repeats)
    publish("l1_wavelet", rows)


def compare(label: str, problem: Case, threads: int, repeats: int) -> list[Row]:
    truth = problem.truth.numpy()
    peers: dict[str, Callable[[], np.ndarray]] = {"sigpy": lambda: sigpys(problem)}
    bart = Bart(problem.sample, threads) if Bart.available() else None
    if bart is not None:
        peers["bart"] = lambda: bart.pics("-l1", "-r", f"{WEIGHT}", "-i", f"{STEPS}")
    if Bartorch.available():
        from bartorch.priors import Wavelet

        inside = Bartorch(problem.sample, threads)
        terms = Wavelet((-2, -1), WEIGHT)
        peers["bartorch"] = lambda: inside.pics(regularizers=terms, maxiter=STEPS)
    with torch.inference_mode():
        errors = {peer: error(run(), truth) for peer, run in peers.items()}
        count, reached = 15, np.inf
        while reached > min(errors.values()) and count < STEPS:
            count += 5
            reached = error(ours(problem, count), truth)
        timed: dict[str, Callable[[], object]] = {"ours": lambda: ours(problem, count), **peers}
        if bart is not None:
            timed["overhead"] = bart.overhead
        times = taken(timed, repeats)
    shown = {peer: f"{value:.4f}" for peer, value in errors.items()}
    print(label, f"ours {count} steps, NRMSE {reached:.4f};", shown, flush=True)
    return rows_of(label, times, reached)


if __name__ == "__main__":
    main()
