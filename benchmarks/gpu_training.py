"""What training gets of a device: the last part of ``gpu.py``.

``data`` counts slices per second from packed files until they lie on the device, masked and
normalized: with no worker processes or as many as the machine allows, and with masks left to the
device (``data=folder_on_device``). ``fit`` counts steps per second of ``mrirecon train``'s own loop
for VarNet, one slice each, data included: without workers nothing is prepared ahead. ``step`` is
one bare step (forward, L1 loss, backward, Adam) on a slice that is there already, launched kernel
by kernel or replayed as a CUDA graph, which only a GPU has. ``float32`` forbids the convolutions
TF32, which PyTorch gives them on a GPU; ``compiled`` is callbacks=compiled. ``first`` is the time
until the first step was done, compilation included.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
import varnet
from gpu_parity import exactly

from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.folder import Folder
from mrirecon.data.packing import pack
from mrirecon.data.transforms import Compose, Normalize, RssTarget, Undersample
from mrirecon.reconstructors.learned.varnet import VarNet
from mrirecon.sampling import EquispacedFractionLines
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol
from mrirecon.training.callbacks.compile_networks import CompileNetworks
from mrirecon.training.checkpoint import Recipe
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from mrirecon.types import Sample

WORKERS = 8
GIB = 2**30
AS_READ: Compose = Compose([])
PREPARED = Compose(
    [RssTarget(), Undersample(EquispacedFractionLines(4, 0.08), "random"), Normalize()]
)
ITEMS = (
    "step", "step graph", "data", "data workers", "data workers on device", "fit", "fit workers",
    "fit workers bf16", "fit workers float32", "fit workers compiled",
    "fit workers bf16 compiled",
)  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """How often per second, after how long for the first time, with how much memory at most.

    ``peak_gb`` is what PyTorch had allocated on a GPU at most; None elsewhere.
    """

    case: str
    per_s: float
    first_s: float
    peak_gb: float | None = None

    @property
    def failure(self) -> str:
        """Why this is no result."""
        return "" if math.isfinite(self.per_s) and self.per_s > 0 else f"{self.per_s} per second"

    def line(self) -> str:
        """One row of the table."""
        memory = f"{self.peak_gb:>11.2f} GB" if self.peak_gb is not None else ""
        return f"{self.case:<28}{self.per_s:>12.4g} /s{self.first_s:>12.2f} s{memory}"


HEAD = f"{'':<28}{'rate':>15}{'first':>14}{'memory':>14}"


def rows(item: str, device: str, case: str, repeats: int) -> list[Rate]:
    """Measure one of :data:`ITEMS`; a CUDA graph has no row where there is no GPU."""
    kind, *words = item.split()
    if kind == "step":
        if "graph" in words and device == "cpu":
            return []
        return [of_step(item, device, case, repeats, "graph" in words)]
    coils, h, w = varnet.CASES[case]
    protocol = SimulationProtocol(
        prescription=Prescription(matrix=(h, w), slices=2 * repeats), coils=coils
    )
    with tempfile.TemporaryDirectory() as folder:
        data = packed(
            Path(folder), protocol, WORKERS if "workers" in words else 0, "device" in words
        )
        measure = of_data if kind == "data" else of_fit
        return [measure(item, data, device, words)]


def packed(folder: Path, protocol: SimulationProtocol, workers: int, on_device: bool) -> DataModule:
    """Write packed scans, and return the loaders of their slices."""
    sets = []
    for subject in range(2):
        scan = SimulatedScan(subject, protocol)
        (folder / str(subject)).mkdir()
        pack(scan, folder / str(subject) / scan.header.name)
        first, then = (AS_READ, PREPARED) if on_device else (PREPARED, None)
        sets.append(SliceDataset(Folder(folder / str(subject)), first, batch_transform=then))
    return DataModule(*sets, workers=workers, seed=0)


def of_data(item: str, data: DataModule, device: str, words: list[str]) -> Rate:  # noqa: ARG001
    """Count slices until they are on the device, in the second epoch; in the first it warms up."""
    place = torch.device(device)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        strategy=SimpleNamespace(root_device=place), num_devices=1, global_rank=0, world_size=1,
        training=True, testing=False, current_epoch=0,
    )  # fmt: skip
    loader = data.train_dataloader()

    def epoch() -> tuple[float, float]:
        started, first, count = time.perf_counter(), 0.0, 0
        for batch in loader:
            count += len(moved(data, batch, place).key)
            first = first or time.perf_counter() - started
        wait(place)
        return first, count / (time.perf_counter() - started)

    with peak(place) as memory:
        first, _ = epoch()
        _, rate = epoch()
    return Rate(item, rate, first, memory())


def moved(data: DataModule, batch: Sample, place: torch.device) -> Sample:
    there = data.transfer_batch_to_device(batch, place, 0)
    return data.on_after_batch_transfer(there, 0)


class _Clock(pl.Callback):
    """Notes when the first step of the run and of the second epoch, and all steps, were done."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.done: list[float] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002 - Lightning passes them
        batch: Sample,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        if batch_idx == 0 or trainer.is_last_batch:
            wait(pl_module.device)  # nowhere else, so that the host may run ahead
            self.done.append(time.perf_counter())


def of_fit(item: str, data: DataModule, device: str, words: list[str]) -> Rate:
    """Count steps of the second epoch of a training run."""
    torch.manual_seed(0)
    empty = Recipe({}, {})
    module = ReconstructionModule(VarNet(), Supervised(), torch.optim.Adam, empty)
    clock, place = _Clock(), torch.device(device)
    callbacks: list[pl.Callback] = [clock]
    if "compiled" in words:
        callbacks.append(CompileNetworks(backend="inductor" if place.type == "cuda" else "eager"))
    trainer = pl.Trainer(
        accelerator="gpu" if place.type == "cuda" else "cpu", devices=1, max_epochs=2,
        precision="bf16-mixed" if "bf16" in words else "32-true", callbacks=callbacks,
        limit_val_batches=0, num_sanity_val_steps=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    plain = exactly(device) if "float32" in words and device != "cpu" else nullcontext()
    with plain, peak(place) as memory:
        clock.begun = time.perf_counter()
        trainer.fit(module, data)
    first, *_, start, end = clock.done
    return Rate(item, (len(data.sets["train"]) - 1) / (end - start), first - clock.begun, memory())


def of_step(item: str, device: str, case: str, repeats: int, graph: bool) -> Rate:
    """Count bare steps, launched or replayed."""
    place, network = torch.device(device), varnet.Ours(case, "", device)
    network.model.train()
    optimizer = torch.optim.Adam(network.model.parameters(), capturable=graph)

    def step() -> None:
        optimizer.zero_grad()
        image = network()
        torch.nn.functional.l1_loss(image, torch.zeros_like(image)).backward()
        optimizer.step()

    with peak(place) as memory:
        started = time.perf_counter()
        run = captured(step) if graph else step
        run()
        wait(place)
        first = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(repeats):
            run()
        wait(place)
        rate = repeats / (time.perf_counter() - started)
    return Rate(item, rate, first, memory())


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """Capture a step as a CUDA graph, after some on another stream have allocated what it needs."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay  # type: ignore[no-any-return]


@contextmanager
def peak(place: torch.device) -> Iterator[Callable[[], float | None]]:
    """Yield what tells the largest memory of a GPU since then, in GB."""
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
        yield lambda: torch.cuda.max_memory_allocated(place) / GIB
    else:
        yield lambda: None


def wait(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize(place)
