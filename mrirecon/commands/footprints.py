"""What is said of memory before anything is computed, and what is refused for lack of it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from mrirecon.data.collate import collate
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.series import series_of_planes
from mrirecon.errors import MriReconError
from mrirecon.footprint.duration import of_images
from mrirecon.footprint.need import Need, size
from mrirecon.footprint.predicted import of_imaging, of_training
from mrirecon.footprint.room import Choice, refuse_more, room
from mrirecon.footprint.small_sample import with_coils
from mrirecon.inference import read_batches, scan_batches
from mrirecon.pipeline import Method
from mrirecon.scan import Scan
from mrirecon.training.callbacks.recompute_activations import RecomputeActivations, recompute
from mrirecon.training.callbacks.weight_average import WeightAverage
from mrirecon.training.module import ReconstructionModule
from mrirecon.types import Sample

VIRTUAL = 8
"""Coils that ``preprocessing=compress`` leaves."""
Found = TypeVar("Found")
UNLIKELY = 1 / 250
"""Part of the free memory that a batch of k-space may take where no method fills it."""
HALF = {"16-mixed": torch.bfloat16, "bf16-mixed": torch.bfloat16}
LOW = "callbacks=low_memory"


def announce_training(module: ReconstructionModule, data: DataModule, trainer: pl.Trainer) -> None:
    """Say what a step takes, and refuse what does not fit.

    Raises:
        ConfigError: With what would fit.
    """
    if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
        return  # what a device holds of sharded weights shows only there
    device = trainer.strategy.root_device
    there = room(device)
    if device.type == "cpu" and there.free is not None:
        there = replace(there, free=there.free // trainer.num_devices)
    need = partial(_step, module, trainer)
    sample = _tried(_largest, data.sets["train"], data.frames)
    if sample is None:
        return
    found = _tried(need, sample, data.batch_size)
    if found is None:
        return
    free = "" if there.free is None else f"; {size(there.free)} are free {there.where}"
    print(f"  a step takes about {found.told()}{free}")
    refuse_more("a step", found, there, _less(need, sample, data, trainer))


def _step(
    module: ReconstructionModule,
    trainer: pl.Trainer,
    sample: Sample,
    batch: int,
    low: bool = False,
) -> Need:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    lists = [one.modules for one in callbacks if isinstance(one, RecomputeActivations)]
    averages = sum(isinstance(one, WeightAverage) for one in callbacks)
    modules = next(iter(lists), None)
    return of_training(
        module.reconstructor,
        module.objective,
        module.optimizer,
        sample,
        batch=batch,
        copies=averages + (trainer.world_size > 1),  # the messages between devices are one, too
        prepare=(lambda model: recompute(model, modules)) if lists or low else None,
        precision=HALF.get(trainer.precision),
        device=trainer.strategy.root_device,
    )


def _less(
    need: Callable[..., Need], sample: Sample, data: DataModule, trainer: pl.Trainer
) -> Iterator[Choice]:
    """Yield settings that take less memory."""
    kept = not any(isinstance(c, RecomputeActivations) for c in trainer.callbacks)  # type: ignore[attr-defined]
    fewer = with_coils(sample, VIRTUAL) if sample.kspace.shape[-3] > VIRTUAL else None
    one = "data.batch_size=1 " if data.batch_size > 1 else ""
    tried: list[tuple[str, Sample, int, bool]] = []
    if one:
        tried.append((one, sample, 1, False))
    if kept:
        tried += [(LOW, sample, data.batch_size, True), (f"{one}{LOW}", sample, 1, True)]
    if fewer is not None:
        words = f"preprocessing=compress {one}{LOW if kept else ''}"
        tried.append((words, fewer, 1, kept))
    for words, other, batch, low in {t[0].strip(): t for t in tried}.values():
        found = _tried(need, other, batch, low)
        if found is not None:
            yield Choice(words.strip(), found)


def needed_by(scan: Scan, method: Method, batch: int = 1) -> Need | None:
    """Return what the images of a scan take; None when it cannot be told.

    Args:
        scan: Scan to reconstruct.
        method: Method that reconstructs it.
        batch: Number of slices computed at once.
    """
    return _tried(_image(scan, method), _first_batch(scan, method), batch)


def seconds_for(scan: Scan, method: Method) -> float | None:
    """Return what all images of a scan take on this CPU, in s; None where something else computes.

    Args:
        scan: Scan to reconstruct.
        method: Method that reconstructs it.
    """
    if method.device.type != "cpu":
        return None
    groups = scan_batches(scan, method.reconstructor)
    canvas = scan.header.canvas
    each = _tried(of_images, method.reconstructor, _first_batch(scan, method), canvas)
    return None if each is None else each * len(groups)


def refuse_unfitting(scan: Scan, method: Method, batch: int) -> None:
    """Say what images of large scans take, and refuse what does not fit.

    Raises:
        ConfigError: With what would fit.
    """
    there, header = room(method.device), scan.header
    h, w = header.grid
    members = len(header.frames) if method.reconstructor.joint else batch
    if there.free is None or 8 * header.coils * h * w * members < UNLIKELY * there.free:
        return
    sample, need = _first_batch(scan, method), _image(scan, method)
    found = _tried(need, sample, batch)
    if found is None:
        return
    print(f"  memory: about {found.told()}; {size(there.free)} are free {there.where}")
    what = "the frames of a slice" if method.reconstructor.joint else "a batch"
    refuse_more(what, found, there, _less_of_images(need, sample, found))


def _less_of_images(need: Callable[..., Need], sample: Sample, found: Need) -> Iterator[Choice]:
    if found.batch > 1:
        yield Choice("batch_size=1", replace(found, batch=1))
    if sample.kspace.shape[-3] > VIRTUAL:
        fewer = _tried(need, with_coils(sample, VIRTUAL), 1)
        if fewer is not None:
            yield Choice("preprocessing=compress", fewer)


def _image(scan: Scan, method: Method) -> Callable[[Sample, int], Need]:
    def need(sample: Sample, batch: int) -> Need:
        canvas, device = scan.header.canvas, method.device
        return of_imaging(method.reconstructor, sample, canvas, batch=batch, device=device)

    return need


def _first_batch(scan: Scan, method: Method) -> Sample:
    group = scan_batches(scan, method.reconstructor)[0]
    return next(read_batches(scan, [group], method.reconstructor, method.prepare))


def _largest(slices: SliceDataset, frames: int | None = None) -> Sample:
    """Return a prepared slice of the scan with the largest k-space, as a batch.

    A joint method gets as many frames as a step takes.
    """

    def count(number: int) -> int:
        header = slices.scans[number].header
        return header.coils * header.grid[0] * header.grid[1]

    volume = slices.volumes()[max(range(len(slices.scans)), key=count)]
    if slices.windows is None:
        return slices.prepared(volume.start)
    planes: tuple[int, ...] = slices.windows_of(volume, 1)[0].planes
    if frames is not None:
        series = next(series_of_planes(slices.header(volume.start), slices.windows))
        planes = tuple(volume[plane] for plane in series[:frames])
    with torch.random.fork_rng(devices=()):
        return slices.finish(collate([slices[plane] for plane in planes]))


def _tried(need: Callable[..., Found], *arguments: Any) -> Found | None:
    """Return what is needed; a method that fails on small problems is left to the large one."""
    try:
        return need(*arguments)
    except (MriReconError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"note: what it takes cannot be told ({reason})", file=sys.stderr)
        return None
