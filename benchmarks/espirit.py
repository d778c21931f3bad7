"""ESPIRiT maps against sigpy and BART: python benchmarks/espirit.py [--quick].

Cases ``a8`` (8 coils, 320 x 320) and ``b16`` (16 coils, 640 x 372) of a simulated noisy brain,
24 x 24 calibration samples, kernel 6, one map, crop 0.95, at 1 and 2 threads, a slice and eight at
once; ours and the peers take turns. ``error`` is our rms angle in rad to the eigenvectors of the
exact float64 matrices where their eigenvalue exceeds 0.95; the peers' are printed below the table.
BART runs as its program and is timed as one, less the start-up of an empty call.
"""

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
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


def bart(sample: Sample, threads: int) -> Callable[[], tuple[torch.Tensor, float]] | None:
    """Return a call of BART's ecalib that tells the maps and its seconds."""
    program = shutil.which("bart")
    if program is None:
        return None
    folder = Path(tempfile.mkdtemp())
    kspace = sample.kspace.permute(1, 2, 0)[:, :, None].numpy()
    _write_cfl(folder / "k", kspace)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}

    def seconds(*arguments: str) -> float:
        started = time.perf_counter()
        subprocess.run([program, *arguments], cwd=folder, env=environment, check=True,
                       capture_output=True)  # fmt: skip
        return time.perf_counter() - started

    def run() -> tuple[torch.Tensor, float]:
        options = ["-r", str(WIDTH), "-k", str(KERNEL), "-t", str(THRESHOLD), "-m", "1",
                   "-c", str(CROP)]  # fmt: skip
        taken = seconds("ecalib", *options, "k", "s") - seconds("version")
        maps = np.fromfile(folder / "s.cfl", np.complex64).reshape(kspace.shape, order="F")
        return torch.from_numpy(maps[:, :, 0].copy()).permute(2, 0, 1), taken

    return run


def _write_cfl(path: Path, array: np.ndarray) -> None:
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, array.shape)) + "\n")
    array.ravel(order="F").astype(np.complex64).tofile(path.with_suffix(".cfl"))


def sigpy(sample: Sample) -> Callable[[], tuple[torch.Tensor, float]] | None:
    """Return a call of sigpy's EspiritCalib that tells the maps and its seconds."""
    try:
        import sigpy.mri.app
    except ImportError:
        return None
    kspace = sample.kspace.numpy()

    def run() -> tuple[torch.Tensor, float]:
        started = time.perf_counter()
        maps = sigpy.mri.app.EspiritCalib(
            kspace, calib_width=WIDTH, thresh=THRESHOLD, kernel_width=KERNEL, crop=CROP,
            show_pbar=False,
        ).run()  # fmt: skip
        return torch.from_numpy(np.ascontiguousarray(maps)), time.perf_counter() - started

    return run


def timed(estimator: Espirit, sample: Sample) -> float:
    started = time.perf_counter()
    estimator(sample)
    return time.perf_counter() - started


def main() -> None:
    """Time every case; --quick takes sigpy once and BART three times."""
    quick = "--quick" in sys.argv
    estimator = Espirit(KERNEL, WIDTH, THRESHOLD, CROP)
    rows, remarks = [], []
    for case, (shape, coils) in CASES.items():
        sample = scene(shape, coils)
        eight = sample.map(lambda t: t.expand(8, *t.shape).contiguous())
        truth = exact(sample)
        error = angle(estimator(sample), truth)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            timed(estimator, sample)
            ours, batches = [], []
            peers = {"sigpy": sigpy(sample), "BART": bart(sample, threads)}
            for name, run in peers.items():
                if run is None or (name == "sigpy" and threads > 1):  # sigpy has one thread
                    continue
                taken = []
                for _ in range((1 if quick else 3) if name == "sigpy" else (3 if quick else 7)):
                    maps, seconds = run()
                    taken.append(seconds)
                    ours += [timed(estimator, sample) for _ in range(3)]
                batches += [timed(estimator, eight) / 8 for _ in range(2)]
                peer, mine = 1000 * statistics.median(taken), 1000 * statistics.median(ours)
                batch = 1000 * statistics.median(batches)
                kind = f"{threads} thread{'s' * (threads > 1)}"
                rows.append(Row(f"{case}, {kind}", mine, name, peer, peer / mine, error))
                rows.append(
                    Row(f"{case}, {kind}, 8 at once", batch, name, peer, peer / batch, error)
                )
                remarks.append(f"{case}: {name}'s rms angle is {angle(maps, truth):.1e} rad")
    publish("espirit", rows)
    print("\n".join(dict.fromkeys(remarks)))


if __name__ == "__main__":
    main()
