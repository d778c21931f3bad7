"""What the benchmarks of CG-SENSE and L1-wavelet share: cases, peers, and how they are timed."""

import importlib.util
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table import Row

from mrirecon.fourier import fft
from mrirecon.types import Sample

CASES = {"a8": (8, 320, 320), "b16": (16, 640, 372), "small": (4, 64, 64)}
USUAL = ("a8", "b16")
ACCELERATION, ACS = 4, 24
NOISE = 0.01


@dataclass(frozen=True)
class Case:
    """Data of one slice; ``sample.maps`` are the true sensitivities."""

    name: str
    sample: Sample
    truth: torch.Tensor


def case(name: str, mask: torch.Tensor | None = None) -> Case:
    """An analytic phantom with texture, smooth phase and coils around it; white noise."""
    coils, h, w = CASES[name]
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    generator = torch.Generator().manual_seed(0)
    image = ((x / 0.75) ** 2 + (y / 0.9) ** 2 < 1).float() * 0.4
    for _ in range(60):
        cx, cy = (torch.rand(2, generator=generator) - 0.5) * torch.tensor([1.0, 1.3])
        rx, ry = 0.02 + 0.25 * torch.rand(2, generator=generator) ** 2
        inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
        image = image + inside * (torch.rand((), generator=generator) - 0.4) * (image > 0)
    image = torch.polar(image.clamp(0, 1.5), 0.6 * x - 0.4 * y * x)
    angle = 2 * torch.pi * torch.arange(coils) / coils
    far = (x - 1.2 * angle.cos()[:, None, None]) ** 2 + (y - 1.2 * angle.sin()[:, None, None]) ** 2
    phase = angle[:, None, None] + 0.8 * x * angle.sin()[:, None, None]
    maps = torch.polar(torch.exp(-far / 1.0), phase)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    kspace = fft(maps * image)
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
    if mask is None:
        mask = (torch.arange(w) % ACCELERATION == w // 2 % ACCELERATION)[None]
        mask[:, (w - ACS + 1) // 2 :][:, :ACS] = True
    sample = Sample(
        kspace=((kspace + NOISE * noise) * mask)[None].contiguous(), mask=mask[None],
        maps=maps[None], key=((name, 0),),
    )  # fmt: skip
    return Case(name, sample, image)


@dataclass(frozen=True)
class Taken:
    """What a call took: by the clock, and of the processors by all threads and programs."""

    wall_ms: float
    cpu_ms: float

    def __sub__(self, other: "Taken") -> "Taken":
        return Taken(self.wall_ms - other.wall_ms, self.cpu_ms - other.cpu_ms)


def interleaved(
    functions: dict[str, Callable[[], object]], repeats: int, device: str = "cpu"
) -> dict[str, float]:
    """Return the median time in ms of each; see :func:`taken`."""
    return {name: t.wall_ms for name, t in taken(functions, repeats, device).items()}


def taken(
    functions: dict[str, Callable[[], object]], repeats: int, device: str = "cpu"
) -> dict[str, Taken]:
    """Return the median times of each, taking turns so that load hits all alike.

    On a GPU each runs once before, to choose its algorithms, and is waited for.
    """
    times: dict[str, list[Taken]] = {name: [] for name in functions}
    for function in functions.values() if device != "cpu" else ():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            finished(device)
            started = _clocks()
            function()
            finished(device)
            times[name].append(_clocks() - started)
    return {
        name: Taken(
            statistics.median(one.wall_ms for one in found),
            statistics.median(one.cpu_ms for one in found),
        )
        for name, found in times.items()
    }


def _clocks() -> Taken:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Taken(1000 * time.perf_counter(), 1000 * sum(u.ru_utime + u.ru_stime for u in used))


def rows_of(label: str, times: dict[str, Taken], error: float) -> list[Row]:
    """Compare ``ours`` with each of the others.

    Args:
        label: Name of the case in the table.
        times: What each took; ``overhead`` is that of the BART program.
        error: Error of our own result.
    """
    ours = times["ours"]
    rows = []
    for peer, time_of in times.items():
        if peer in ("ours", "overhead"):
            continue
        net = time_of - times["overhead"] if peer == "bart" else time_of
        rows.append(
            Row(label, ours.wall_ms, peer, net.wall_ms, net.wall_ms / ours.wall_ms, error,
                net.cpu_ms / ours.cpu_ms)
        )  # fmt: skip
    return rows


def finished(device: str) -> None:
    """Wait for what a GPU was told to do."""
    if device != "cpu":
        torch.cuda.synchronize(device)


class Bart:
    """The ``pics`` of the BART on the PATH; its start-up and file access are measured apart."""

    def __init__(self, sample: Sample, threads: int) -> None:
        self.start(threads)
        write_cfl(self.path / "kspace", sample.kspace[0].numpy())
        assert sample.maps is not None
        write_cfl(self.path / "maps", sample.maps[0].numpy())

    def start(self, threads: int) -> None:
        """Make a folder for its files.

        Args:
            threads: Number of threads that it may use.
        """
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.environment = {
            "OMP_NUM_THREADS": str(threads), "PATH": "/usr/bin:/bin:/usr/local/bin",
        }  # fmt: skip

    @staticmethod
    def available() -> bool:
        """Whether there is a BART."""
        return shutil.which("bart") is not None

    def pics(self, *options: str) -> np.ndarray:
        """Run it and return the image."""
        subprocess.run(
            ["bart", "pics", *options, "kspace", "maps", "out"],
            cwd=self.path, env=self.environment, check=True, capture_output=True,
        )  # fmt: skip
        return read_cfl(self.path / "out")

    def overhead(self) -> None:
        """Start it, and read and write as much: to be subtracted from the time of ``pics``."""
        for name in ("kspace", "maps"):
            subprocess.run(
                ["bart", "copy", name, "copy"],
                cwd=self.path, env=self.environment, check=True, capture_output=True,
            )  # fmt: skip


class Bartorch:
    """The ``pics`` of BART inside of this process, by the package bartorch."""

    def __init__(self, sample: Sample, threads: int) -> None:
        import bartorch
        from bartorch.apps import pics

        bartorch.set_num_threads(threads)
        assert sample.maps is not None
        self.sample, self.solve = sample, pics

    @staticmethod
    def available() -> bool:
        """Whether it is installed."""
        return importlib.util.find_spec("bartorch") is not None

    def pics(self, **options: Any) -> np.ndarray:
        """Run it and return the image; its axes are ours, with one slice before ``h``."""
        assert self.sample.maps is not None
        kspace, maps = self.sample.kspace[0].unsqueeze(1), self.sample.maps[0].unsqueeze(1)
        image = self.solve(kspace, maps, **options)
        return image.reshape(kspace.shape[-2:]).numpy()


def write_cfl(path: Path, coils: np.ndarray) -> None:
    """Write ``(coil, h, w)`` as BART's dimensions ``(h, w, 1, coil)``."""
    c, h, w = coils.shape
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{h} {w} 1 {c}\n")
    coils.transpose(0, 2, 1).astype(np.complex64).tofile(path.with_suffix(".cfl"))


def read_cfl(path: Path) -> np.ndarray:
    """Read an image ``(h, w)``."""
    dims = [int(v) for v in path.with_suffix(".hdr").read_text().splitlines()[1].split()]
    return np.fromfile(path.with_suffix(".cfl"), np.complex64).reshape(dims[1], dims[0]).T


def error(image: np.ndarray, reference: np.ndarray) -> float:
    """Relative difference after alignment of scale and phase."""
    image = image * (np.vdot(image, reference) / np.vdot(image, image))
    return float(np.linalg.norm(image - reference) / np.linalg.norm(reference))


def arguments() -> tuple[int, list[str], list[int]]:
    """Repeats, cases and numbers of threads from the arguments ``[repeats [case [threads]]]``."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    cases = [sys.argv[2]] if len(sys.argv) > 2 else list(USUAL)
    threads = [int(sys.argv[3])] if len(sys.argv) > 3 else [1, 2]
    return repeats, cases, threads
