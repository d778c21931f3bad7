"""Predictions: a method or a training step is tried on a few small problems of the same kind.

All that a method does with the numbers is really done there, so nothing has to be known of the
method: the libraries' own memory (of convolutions, finufft, LAPACK, NumPy) is not counted.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mrirecon.buffers import in_part
from mrirecon.footprint.accounting import Accounting
from mrirecon.footprint.extrapolation import Peaks, Sizes, extrapolated
from mrirecon.footprint.heap import beside
from mrirecon.footprint.need import Need
from mrirecon.footprint.small_sample import Grid, scaled, shrunk
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.sensitivity.cached import CachedMaps
from mrirecon.training.objectives.base import Objective
from mrirecon.types import Sample

CPU = torch.device("cpu")
Part = TypeVar("Part", bound=nn.Module)
CLASSICAL, LEARNED = Sizes(128, 192, readout=True), Sizes(128, 192, readout=False)
TRAINING = Sizes(64, 96, readout=False)
"""Small grids; ESPIRiT interpolates its maps only on grids that are not too small."""


def of_imaging(
    reconstructor: Reconstructor,
    sample: Sample,
    canvas: Grid,
    *,
    batch: int = 1,
    device: torch.device = CPU,
) -> Need:
    """Return what images of a batch take.

    Args:
        reconstructor: Method; it is copied to the CPU.
        sample: A batch of one slice, or of all frames of it for a joint method.
        canvas: Size to which coil images are interpolated.
        batch: Number of slices computed at once; of no effect on a joint method.
        device: Torch device that will compute.
    """
    model, sample = on_cpu(reconstructor).eval(), sample.to("cpu")
    held = [*model.parameters(), *model.buffers()]
    sizes = LEARNED if model.trainable else CLASSICAL

    trial = _Trial(sample.grid, device)

    def peaks(grid: Grid) -> Peaks:
        small = shrunk(sample, grid)
        size = scaled(canvas, sample.grid, grid)
        with torch.inference_mode(), trial.of(grid, held) as accounting:
            model.on_canvas(small, size)
        return accounting.peaks

    member = max(0, extrapolated(peaks, sample.grid, sizes) - _bytes(held))
    need = Need(_bytes(held), member, 1 if reconstructor.joint else batch)
    return trial.with_heap(need, model.trainable)


def of_training(
    reconstructor: Reconstructor,
    objective: Objective,
    optimizer: Callable[[Iterable[Tensor]], Optimizer],
    sample: Sample,
    *,
    batch: int = 1,
    copies: int = 0,
    prepare: Callable[[nn.Module], object] | None = None,
    precision: torch.dtype | None = None,
    device: torch.device = CPU,
) -> Need:
    """Return what a step of training takes.

    Args:
        reconstructor: Method to train; it is copied.
        objective: Objective to minimise; it is copied.
        optimizer: Function that builds the optimizer from the parameters.
        sample: A batch of one slice.
        batch: Slices of a step.
        copies: Number of copies of the weights that are kept besides.
        prepare: Function that a callback applies to the model before it trains; None for none.
        precision: Precision to which operations are cast automatically; None for none.
        device: Torch device that will compute.
    """
    model, loss_of = on_cpu(reconstructor).train(), on_cpu(objective).train()
    if prepare:
        prepare(model)
    sample = sample.to("cpu")
    parts = (model, loss_of)
    parameters = [p for part in parts for p in part.parameters()]
    trained = [p for p in parameters if p.requires_grad]
    state, update = _optimizer_bytes(optimizer, trained)
    if device.type != "cpu":  # where weights are updated all at once
        update = max(update, _bytes(trained))
    trial = _Trial(sample.grid, device)

    def peaks(grid: Grid) -> Peaks:
        small = shrunk(sample, grid)
        for one in trained:  # those of the step before live until this one has its loss
            one.grad = torch.zeros_like(one)
        gradients = [p.grad for p in trained if p.grad is not None]
        with trial.of(grid, [*parameters, *gradients]) as accounting:
            del gradients
            with torch.autocast("cpu", precision) if precision else nullcontext():
                loss = loss_of(model, small)
            for one in trained:
                one.grad = None
            loss.backward()
        return accounting.peaks

    weights = _bytes([*parameters, *(b for part in parts for b in part.buffers())])
    gradients = _bytes(trained)
    peak = extrapolated(peaks, sample.grid, TRAINING)
    member = max(0, peak - _bytes(parameters) - gradients)
    need = Need(weights, member, batch, gradients + state + copies * gradients, update)
    return trial.with_heap(need, learned=True)


def _optimizer_bytes(
    build: Callable[[Iterable[Tensor]], Optimizer], parameters: Sequence[Tensor]
) -> tuple[int, int]:
    """Return the bytes of an optimizer's state, and what its step takes besides.

    Tensors that are nowhere show it: they have sizes and no numbers.
    """
    nowhere = [nn.Parameter(torch.empty_like(p, device="meta")) for p in parameters]
    for one in nowhere:
        one.grad = torch.empty_like(one)
    held = [*nowhere, *(p.grad for p in nowhere if p.grad is not None)]
    optimizer = build(nowhere)
    with Accounting(held) as accounting:
        before = accounting.live
        optimizer.step()
        del held
    state = accounting.live - before
    return state, max(0, accounting.peak - before - state)


def on_cpu(module: Part) -> Part:
    """Copy a module; what keeps maps on disk only computes them."""
    copied = copy.deepcopy(module).cpu()
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, CachedMaps):
                setattr(parent, name, child.sensitivity)
    return copied


class _Trial:
    """Small problems that stand for a large one."""

    def __init__(self, grid: Grid, device: torch.device) -> None:
        self._pixels, self._native = grid[0] * grid[1], device.type == "cpu"
        self._blocks: list[float] = []

    @contextmanager
    def of(self, grid: Grid, held: Iterable[Tensor]) -> Iterator[Accounting]:
        """Make pieces as much smaller as the problem is; use up no random numbers of the run."""
        part = grid[0] * grid[1] / self._pixels
        with (
            torch.random.fork_rng(devices=()),
            in_part(part),
            Accounting(held, self._native) as accounting,
        ):
            yield accounting
        self._blocks = [size / part for size in accounting.sizes]

    def with_heap(self, need: Need, learned: bool) -> Need:
        used = need.beyond - need.training
        heap = beside(used, self._blocks, learned) if self._native else 0
        return replace(need, heap=heap)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
