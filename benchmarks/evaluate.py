"""Time of scoring against fastMRI's evaluate.py, and that both find the same.

    pip install fastmri
    python benchmarks/evaluate.py --volumes 20 --slices 16 --size 320

Both read the same made volumes from files, one after the other, in one process and on one core; the
time is that of the processor. mrirecon also looks for other units, orientations and orders of
slices, as ``mrirecon evaluate`` does; ``scores only`` leaves that out.
"""

import argparse
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import h5py
import numpy as np
import torch

from mrirecon.evaluation import Protocol
from mrirecon.evaluation.scores.protocol import score
from mrirecon.evaluation.scores.scoring import Case, Rules, score_cases
from mrirecon.evaluation.scores.volumes import read_volume

SQUARE = Protocol("fastmri", region="square")


def make(folder: Path, options: Namespace) -> list[Case]:
    """Write smooth objects, and the same with noise."""
    rng, cases = np.random.default_rng(0), []
    y, x = np.meshgrid(*(np.linspace(-1, 1, options.size),) * 2, indexing="ij")
    for number in range(options.volumes):
        bright = rng.uniform(0.2, 1, (options.slices, 1, 1))
        wave = 1 + 0.3 * np.sin(rng.uniform(5, 30) * y + rng.uniform(5, 30) * x)
        reference = bright * np.exp(-3 * (y**2 + x**2)) * wave
        image = np.abs(reference + 0.02 * rng.standard_normal(reference.shape))
        name, paths = f"file{number}.h5", []
        for kind, key, values in (
            ("target", "reconstruction_rss", reference),
            ("ours", "reconstruction", image),
        ):
            path = folder / kind / name
            path.parent.mkdir(exist_ok=True)
            with h5py.File(path, "w") as file:
                file[key] = values.astype(np.float32)
            paths.append(path)
        cases.append(Case(path.stem, paths[0], {"ours": paths[1]}))
    return cases


def ours(cases: list[Case]) -> dict[str, float]:
    """Return the means that ``mrirecon evaluate`` finds."""
    scores = [outcome.scores[0] for outcome in score_cases(cases, Rules(SQUARE), 1)]
    return {name: float(np.mean([s.values[name] for s in scores])) for name in scores[0].values}


def scores_only(cases: list[Case]) -> None:
    """Read and score, without looking for faults."""
    for case in cases:
        pair = (read_volume(path).values for path in (case.images["ours"], case.reference))
        score("ours", case.name, *pair, SQUARE)


def theirs(folder: Path) -> dict[str, float]:
    """Return the means that fastMRI's program finds."""
    from fastmri.evaluate import METRIC_FUNCS, evaluate

    options = Namespace(
        target_path=folder / "target", predictions_path=folder / "ours", challenge="multicoil",
        acquisition=None, acceleration=None,
    )  # fmt: skip
    means = evaluate(options, "reconstruction_rss").means()
    return {name.lower(): float(np.squeeze(means[name])) for name in METRIC_FUNCS if name != "MSE"}


def main() -> None:
    """Print the seconds of each, and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=20)
    parser.add_argument("--slices", type=int, default=16)
    parser.add_argument("--size", type=int, default=320)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = make(folder, options)
        ours(cases[:1])  # imports and first calls
        found, seconds = {}, {}
        for program, work in (
            ("mrirecon evaluate", lambda: ours(cases)),
            ("mrirecon, scores only", lambda: scores_only(cases)),
            ("fastmri.evaluate", lambda: theirs(folder)),
        ):
            started = time.process_time()
            try:
                found[program] = work()
            except ImportError as error:
                print(f"{program}: left out, {error}")
                continue
            seconds[program] = time.process_time() - started
            print(f"{program:<24}{seconds[program]:8.2f} s of CPU")
    if "fastmri.evaluate" in found:
        mine, other = found["mrirecon evaluate"], found["fastmri.evaluate"]
        apart = {name: abs(mine[name] - other[name]) for name in mine}
        print("difference:", ", ".join(f"{name} {value:.1e}" for name, value in apart.items()))
        assert max(apart.values()) < 1e-6, "the scores are not those of fastmri.evaluate"


if __name__ == "__main__":
    main()
