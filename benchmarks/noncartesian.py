"""Transforms and CG-SENSE along trajectories.

``python benchmarks/noncartesian.py [repeats [case [threads]]]``

Cases are spokes and spiral arms on the grids of ``recon_cases``. The transforms are timed with
plans made before, for all coils at once, beside torchkbnufft, sigpy and bartorch. CG-SENSE is timed
from samples and maps to the image, with all that has to be set up for a new trajectory. Each method
has the weight of its penalty, out of a few, whose image comes closest to the truth, and takes the
fewest steps that bring it within ``NEAR`` of the best error of the worst of them. BART's time is
its run time less that of starting it and reading the same files. A peer that is not installed is
left out.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from recon_cases import Bart, arguments, case, interleaved, write_cfl
from table import Row, publish

from mrirecon.operators import NonUniformFourier, coil_samples
from mrirecon.operators.areas import forget as forget_areas
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.sampling.trajectories import even_angles, radial, spiral
from mrirecon.sensitivity import GivenMaps
from mrirecon.types import Sample

WEIGHTS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
MOST, NEAR = 100, 1.02
NOISE = 0.01


@dataclass(frozen=True)
class Case:
    """Samples of one slice along a trajectory, with noise; the maps are the true ones."""

    name: str
    sample: Sample
    truth: torch.Tensor
    operator: NonUniformFourier

    @property
    def images(self) -> torch.Tensor:
        """Images of the coils, without noise."""
        assert self.sample.maps is not None
        return self.sample.maps * self.truth

    @property
    def places(self) -> torch.Tensor:
        """Places in cycles per field of view, readout after readout."""
        assert self.sample.trajectory is not None
        return self.sample.trajectory.transpose(0, 1).reshape(-1, 2)

    @property
    def values(self) -> torch.Tensor:
        """The samples of each coil in that order."""
        return self.sample.kspace.transpose(-1, -2).flatten(-2)


def made(name: str) -> Case:
    """Make a case, such as ``a8 spokes``: a fourth of the readouts that k-space needs."""
    size, kind = name.split()
    problem = case(size)
    sample = problem.sample
    h, w = sample.kspace.shape[-2:]
    widest = max(h, w)
    if kind == "spokes":
        trajectory = radial(even_angles(round(math.pi / 2 * widest / 4)), 2 * widest, widest)
    else:
        arms = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
        trajectory = spiral(arms, 8 * widest, widest, 64)
    places = trajectory.transpose(0, 1) * torch.tensor([h / widest, w / widest])
    assert sample.maps is not None
    empty = Sample(
        torch.zeros(len(sample.maps[0]), *places.shape[:2], dtype=torch.complex64),
        torch.ones(1, places.shape[1], dtype=torch.bool),
        trajectory=places.contiguous(), image_grid=(h, w), maps=sample.maps[0],
    )  # fmt: skip
    kspace = coil_samples(empty, sample.maps[0] * problem.truth)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)
    ready = empty.replace(kspace=kspace + NOISE * noise)
    found = Case(name, ready, problem.truth, NonUniformFourier(torch.zeros(1, 2), (1, 1)))
    return replace(found, operator=NonUniformFourier(found.places, (h, w)))


def transforms(problem: Case, threads: int) -> dict[str, tuple[Callable[[], object], ...]]:
    """Return the forward and the adjoint transform of all coils, by who computes them."""
    images, values, places = problem.images, problem.values, problem.places
    F = problem.operator
    h, w = F.shape
    found: dict[str, tuple[Callable[[], object], ...]] = {
        "ours": (lambda: F(images), lambda: F.adjoint(values))
    }
    if importlib.util.find_spec("torchkbnufft"):
        import torchkbnufft

        radians = (places * (2 * math.pi / torch.tensor([h, w]))).T.contiguous()
        forward = torchkbnufft.KbNufft((h, w))
        adjoint = torchkbnufft.KbNufftAdjoint((h, w))
        found["torchkbnufft"] = (
            lambda: forward(images[None], radians, norm="ortho")[0],
            lambda: adjoint(values[None], radians, norm="ortho")[0],
        )
    if importlib.util.find_spec("sigpy"):
        import sigpy

        arrays = images.numpy(), values.numpy(), places.numpy()
        found["sigpy"] = (
            lambda: sigpy.nufft(arrays[0], arrays[2]),
            lambda: sigpy.nufft_adjoint(arrays[1], arrays[2], oshape=images.shape),
        )
    if importlib.util.find_spec("bartorch"):
        import bartorch

        bartorch.set_num_threads(threads)
        traj = barts_places(problem)
        found["bartorch"] = (
            lambda: bartorch.nufft(images[:, None], traj),
            lambda: bartorch.nufft_adjoint(values[:, None, :, None], traj, (1, h, w)),
        )
    return found


def barts_places(problem: Case) -> torch.Tensor:
    """Return the places as BART orders them: along ``w``, along ``h``, and none."""
    places = problem.places
    return torch.stack([places[:, 1], places[:, 0], torch.zeros(len(places))], -1)[None]


class TrajectoryBart(Bart):
    """The ``pics`` of the BART on the PATH, along a trajectory."""

    def __init__(self, problem: Case, threads: int) -> None:
        assert problem.sample.maps is not None
        self.start(threads)
        write_cfl(self.path / "maps", problem.sample.maps.numpy())
        for name, values, dims in (
            ("kspace", problem.values, f"1 {problem.values.shape[1]} 1 {len(problem.values)}"),
            ("traj", barts_places(problem)[..., [1, 0, 2]], f"3 {len(problem.places)} 1"),
        ):
            (self.path / f"{name}.hdr").write_text(f"# Dimensions\n{dims}\n")
            values.numpy().astype(np.complex64).tofile(self.path / f"{name}.cfl")

    def solved(self, weight: float, steps: int) -> np.ndarray:
        """Run it and return the image."""
        return self.pics("-l2", "-r", f"{weight}", "-i", f"{steps}", "-t", "traj")


def solvers(problem: Case, threads: int) -> dict[str, Callable[[float, int], np.ndarray]]:
    """Return the methods as functions of the weight of the penalty and the number of steps."""

    def ours(weight: float, steps: int) -> np.ndarray:
        forget_areas()
        model = CgSense(GivenMaps(), weight, iterations=steps, tolerance=0.0)
        return model(problem.sample).numpy()

    found: dict[str, Callable[[float, int], np.ndarray]] = {"ours": ours}
    if importlib.util.find_spec("bartorch"):
        import bartorch
        from bartorch.apps import pics

        bartorch.set_num_threads(threads)
        traj = barts_places(problem)
        values = problem.values[:, None]
        assert problem.sample.maps is not None
        maps = problem.sample.maps[:, None]

        def theirs(weight: float, steps: int) -> np.ndarray:
            image = pics(values, maps, l2=weight, maxiter=steps, traj=traj)
            return np.asarray(image).reshape(problem.operator.shape)

        found["bartorch"] = theirs
    return found


def error(image: np.ndarray, truth: np.ndarray) -> float:
    """Relative difference after the best scale."""
    image = image * (np.vdot(image, truth) / max(np.vdot(image, image).real, 1e-30))
    return float(np.linalg.norm(image - truth) / np.linalg.norm(truth))


def fewest(run: Callable[[int], np.ndarray], truth: np.ndarray, enough: float) -> int:
    """Return the fewest steps that bring the error down to ``enough``."""
    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        if error(run(middle), truth) <= enough:
            high = middle
        else:
            low = middle
    return high


def compared(label: str, problem: Case, threads: int, repeats: int) -> list[Row]:
    """Time the transforms, then CG-SENSE at equal error."""
    rows = []
    named = transforms(problem, threads)
    exact = NonUniformFourier(problem.places.double(), problem.operator.shape)
    truths = (exact(problem.images.to(torch.complex128)),
              exact.adjoint(problem.values.to(torch.complex128)))  # fmt: skip
    for number, what in enumerate(("forward", "adjoint")):
        runs = {name: both[number] for name, both in named.items()}
        truth = truths[number].numpy().ravel()
        errors = {name: error(np.asarray(run()).ravel(), truth) for name, run in runs.items()}
        times = interleaved(runs, repeats)
        rows += [
            Row(f"{label} {what}", times["ours"], peer, times[peer], times[peer] / times["ours"],
                errors[peer])
            for peer in runs if peer != "ours"
        ]  # fmt: skip
        print(label, what, {k: f"{v:.1e}" for k, v in errors.items()}, flush=True)
    truth = problem.truth.numpy()
    methods = solvers(problem, threads)
    bart = TrajectoryBart(problem, threads) if Bart.available() else None
    if bart is not None:
        methods["bart"] = bart.solved
    weights, best = {}, {}
    for name, solve in methods.items():
        found = {weight: error(solve(weight, MOST), truth) for weight in WEIGHTS}
        weights[name] = min(found, key=lambda weight: found[weight])
        best[name] = found[weights[name]]
    enough = NEAR * max(best.values())
    counts = {
        name: fewest(lambda n, s=solve, w=weights[name]: s(w, n), truth, enough)
        for name, solve in methods.items()
    }
    timed = {
        name: (lambda s=solve, w=weights[name], n=counts[name]: s(w, n))
        for name, solve in methods.items()
    }
    if bart is not None:
        timed["overhead"] = bart.overhead
    times = interleaved(timed, repeats)
    if bart is not None:
        times["bart"] -= times.pop("overhead")
    print(label, counts, weights, {k: f"{v:.4f}" for k, v in best.items()}, flush=True)
    return rows + [
        Row(f"{label} cg_sense", times["ours"], peer, times[peer], times[peer] / times["ours"],
            best["ours"])
        for peer in methods if peer != "ours"
    ]  # fmt: skip


def main() -> None:
    repeats, sizes, thread_counts = arguments()
    rows = []
    for threads in thread_counts:
        torch.set_num_threads(threads)
        for size in sizes:
            for kind in ("spokes", "arms"):
                label = f"{size} {kind} {threads} thread{'s' * (threads > 1)}"
                with torch.inference_mode():
                    rows += compared(label, made(f"{size} {kind}"), threads, repeats)
    publish("noncartesian", rows)


if __name__ == "__main__":
    main()
