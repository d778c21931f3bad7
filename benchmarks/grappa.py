"""GRAPPA beside pygrappa: python benchmarks/grappa.py [repeats [case [threads]]].

Every fourth line with ``ACS`` central ones, 5 samples of 2 or of 4 lines predict a sample; pygrappa
(``mdgrappa``) tells windows, of 5 x 5 and 5 x 13 places. The errors are those of the root-sum-of-
squares to the true image. It does not choose its number of threads: set ``OMP_NUM_THREADS``. BART
has no GRAPPA. Needs ``pip install pygrappa``.
"""

import numpy as np
import torch
from pygrappa import mdgrappa
from recon_cases import ACS, Case, arguments, case, error, rows_of, taken
from table import Row, publish

from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares
from mrirecon.reconstructors.classical.grappa import Grappa

WINDOWS = {2: 5, 4: 13}
REGULARIZATION = 0.01


def ours(problem: Case, lines: int) -> np.ndarray:
    return Grappa((5, lines), REGULARIZATION)(problem.sample)[0].abs().numpy()


def pygrappas(problem: Case, lines: int) -> np.ndarray:
    kspace = problem.sample.kspace[0].permute(1, 2, 0).contiguous().numpy()
    first = (kspace.shape[1] - ACS + 1) // 2
    calibration = np.ascontiguousarray(kspace[:, first : first + ACS])
    filled = mdgrappa(kspace, calibration, (5, WINDOWS[lines]), lamda=REGULARIZATION)
    coils = torch.from_numpy(np.ascontiguousarray(filled)).permute(2, 0, 1)
    return root_sum_of_squares(ifft(coils.to(torch.complex64))).numpy()


def compare(label: str, problem: Case, lines: int, repeats: int) -> list[Row]:
    truth = problem.truth.abs().numpy()
    runs = {
        "ours": lambda: ours(problem, lines),
        "pygrappa": lambda: pygrappas(problem, lines),
    }
    with torch.inference_mode():
        errors = {name: error(run(), truth) for name, run in runs.items()}
        times = taken(runs, repeats)
    print(label, {name: f"{value:.4f}" for name, value in errors.items()}, flush=True)
    return rows_of(label, times, errors["ours"])


def main() -> None:
    repeats, names, thread_counts = arguments()
    rows = []
    for threads in thread_counts:
        torch.set_num_threads(threads)
        for name in names:
            for lines in WINDOWS:
                label = f"{name} {lines} lines {threads} thread{'s' * (threads > 1)}"
                rows += compare(label, case(name), lines, repeats)
    publish("grappa", rows)


if __name__ == "__main__":
    main()
