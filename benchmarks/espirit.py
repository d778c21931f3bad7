"""ESPIRiT maps against sigpy, BART and bartorch.

``python benchmarks/espirit.py [--quick] [case [threads]]``

Cases ``a8`` (8 coils, 320 x 320) and ``b16`` (16 coils, 640 x 372) of a simulated noisy brain,
24 x 24 calibration samples, kernel 6, one map, crop 0.95, at 1 and 2 threads, a slice and eight at
once; ours and the peers take turns, sigpy, which takes long, after the others. ``error`` is our rms
angle in rad to the eigenvectors of the exact float64 matrices where their eigenvalue exceeds 0.95;
those of the peers are printed above the table. BART runs as its program and is timed as one, less
the start-up of an empty call; bartorch is BART inside of this process. A peer that is not installed
is left out. Set ``OMP_NUM_THREADS`` to the number of threads: the peers' linear algebra minds only
that.
"""

import importlib.util
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from recon_cases import Taken, rows_of, taken, write_cfl
from table import Row, publish

from mrirecon.sensitivity import Espirit
from mrirecon.sensitivity.subspace import calibration_matrix
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.types import Sample

CASES = {"a8": ((320, 320), 8), "b16": ((640, 372), 16)}
KERNEL, WIDTH, THRESHOLD, CROP = 6, 24, 0.02, 0.95


def scene(shape: tuple[int, int], coils: int) -> Sample:
    """Return a fully sampled slice with its centre told."""
    prescription = Prescription(matrix=shape, slices=1)
    scan = SimulatedScan(0, SimulationProtocol(prescription=prescription, coils=coils, snr=30))
    return scan[0].replace(acs=torch.tensor([WIDTH, WIDTH]))


def exact(sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Return eigenvectors and eigenvalues in float64, straight from the definition."""
    coils, h, w = sample.kspace.shape
    y, x = (h - WIDTH + 1) // 2, (w - WIDTH + 1) // 2
    A = calibration_matrix(sample.kspace[None, :, y : y + WIDTH, x : x + WIDTH], KERNEL)[0]
    _, values, basis = torch.linalg.svd(A, full_matrices=False)
    kernels = basis[values > THRESHOLD * values[0]].reshape(-1, coils, KERNEL, KERNEL)
    u = torch.arange(KERNEL, dtype=torch.float64)
    waves = [
        torch.exp(2j * math.pi * ((torch.arange(n, dtype=torch.float64) - n // 2) / n)[:, None] * u)
        for n in (h, w)
    ]
    half = torch.einsum("rcuv,xv->xcur", kernels, waves[1]).contiguous()
    vectors, eigenvalues = [], []
    for row in waves[0]:
        images = torch.einsum("xcur,u->xcr", half, row) / KERNEL
        value, vector = torch.linalg.eigh(images @ images.mH)
        vectors.append(vector[..., -1])
        eigenvalues.append(value[..., -1])
    return torch.stack(vectors).permute(2, 0, 1), torch.stack(eigenvalues)


def angle(maps: torch.Tensor, truth: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Return the rms angle where the exact eigenvalue exceeds the crop and maps are not zero."""
    vectors, values = truth
    norm = torch.linalg.vector_norm(maps.to(vectors.dtype), dim=0)
    overlap = (maps.to(vectors.dtype).conj() * vectors).sum(0).abs() / norm.clamp_min(1e-12)
    inside = (values > CROP) & (norm > 0)
    return float(torch.acos(overlap.clamp(max=1))[inside].square().mean().sqrt())


Estimate = Callable[[], torch.Tensor]


class BartProgram:
    """The ``ecalib`` of the BART on the PATH."""

    def __init__(self, sample: Sample, threads: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.shape = sample.kspace.shape
        self.environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        write_cfl(Path(self.folder.name) / "k", sample.kspace.numpy())

    def ecalib(self) -> torch.Tensor:
        """Return the maps."""
        options = ["-r", str(WIDTH), "-k", str(KERNEL), "-t", str(THRESHOLD), "-m", "1",
                   "-c", str(CROP)]  # fmt: skip
        subprocess.run(["bart", "ecalib", *options, "k", "s"], cwd=self.folder.name,
                       env=self.environment, check=True, capture_output=True)  # fmt: skip
        coils, h, w = self.shape
        maps = np.fromfile(Path(self.folder.name) / "s.cfl", np.complex64).reshape(coils, w, h)
        return torch.from_numpy(maps).mT


def peers(sample: Sample, threads: int) -> dict[str, Estimate]:
    """Return the peers that are installed, but for sigpy."""
    found: dict[str, Estimate] = {}
    if shutil.which("bart"):
        found["bart"] = BartProgram(sample, threads).ecalib
    if importlib.util.find_spec("bartorch"):
        import bartorch
        from bartorch.tools import ecalib

        bartorch.set_num_threads(threads)
        found["bartorch"] = lambda: ecalib(
            sample.kspace, maps=1, calib_size=WIDTH, threshold=THRESHOLD, crop=CROP,
            kernel_size=KERNEL,
        ).reshape(sample.kspace.shape)  # fmt: skip
    return found


def sigpy(sample: Sample) -> dict[str, Estimate]:
    """Return sigpy's EspiritCalib, or nothing where it is not installed."""
    if not importlib.util.find_spec("sigpy"):
        return {}
    import sigpy.mri.app

    kspace = sample.kspace.numpy()

    def run() -> torch.Tensor:
        maps = sigpy.mri.app.EspiritCalib(
            kspace, calib_width=WIDTH, thresh=THRESHOLD, kernel_width=KERNEL, crop=CROP,
            show_pbar=False,
        ).run()  # fmt: skip
        return torch.from_numpy(np.ascontiguousarray(maps))

    return {"sigpy": run}


def compared(
    label: str, sample: Sample, truth: tuple[torch.Tensor, torch.Tensor], threads: int, quick: bool
) -> tuple[list[Row], dict[str, float]]:
    """Time ours and the peers; tell the error of each, too."""
    estimator = Espirit(KERNEL, WIDTH, THRESHOLD, CROP)
    eight = sample.map(lambda t: t.expand(8, *t.shape).contiguous())
    kept = {"ours": estimator(sample)}

    def keeping(runs: dict[str, Estimate]) -> dict[str, Callable[[], object]]:
        return {name: lambda n=name, run=run: kept.update({n: run()}) for name, run in runs.items()}

    runs = keeping({"ours": lambda: estimator(sample)} | peers(sample, threads))
    runs["eight"] = lambda: estimator(eight)
    if "bart" in runs:
        runs["overhead"] = lambda: subprocess.run(["bart", "version"], capture_output=True)
    times = taken(runs, 3 if quick else 7)
    if threads == 1:  # sigpy uses no more
        times |= taken(keeping(sigpy(sample)), 1 if quick else 3)
    errors = {name: angle(maps, truth) for name, maps in kept.items()}
    batch = times.pop("eight")
    each = {"ours": Taken(batch.wall_ms / 8, batch.cpu_ms / 8)}
    rows = rows_of(label, times, errors["ours"])
    rows += rows_of(f"{label}, 8 at once", times | each, errors["ours"])
    return rows, errors


def main() -> None:
    """Time every case; --quick takes sigpy once and the others three times."""
    chosen = [word for word in sys.argv[1:] if word != "--quick"]
    rows = []
    for case in chosen[:1] or CASES:
        sample = scene(*CASES[case])
        truth = exact(sample)
        for threads in [int(word) for word in chosen[1:2]] or (1, 2):
            torch.set_num_threads(threads)
            label = f"{case}, {threads} thread{'s' * (threads > 1)}"
            found, errors = compared(label, sample, truth, threads, "--quick" in sys.argv)
            rows += found
            print(label, {name: f"{value:.1e} rad" for name, value in errors.items()}, flush=True)
    publish("espirit", rows)


if __name__ == "__main__":
    main()
