"""What is said of the memory of training before it begins, and what is refused for lack of it.

What reconstruction needs stands apart, in ``footprints.py``, so that it does not import Lightning.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from mrirecon.commands.footprints import VIRTUAL, tried
from mrirecon.data.collate import collate
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.series import series_of_planes
from mrirecon.footprint.need import Need, size
from mrirecon.footprint.predicted import of_training
from mrirecon.footprint.room import Choice, refuse_more, room
from mrirecon.footprint.small_sample import with_coils
from mrirecon.training.callbacks.recompute_activations import RecomputeActivations, recompute
from mrirecon.training.callbacks.weight_average import WeightAverage
from mrirecon.training.module import ReconstructionModule
from mrirecon.types import Sample

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
    sample = tried(_largest, data.sets["train"], data.frames)
    if sample is None:
        return
    found = tried(need, sample, data.batch_size)
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
    options: list[tuple[str, Sample, int, bool]] = []
    if one:
        options.append((one, sample, 1, False))
    if kept:
        options += [(LOW, sample, data.batch_size, True), (f"{one}{LOW}", sample, 1, True)]
    if fewer is not None:
        words = f"preprocessing=compress {one}{LOW if kept else ''}"
        options.append((words, fewer, 1, kept))
    for words, other, batch, low in {t[0].strip(): t for t in options}.values():
        found = tried(need, other, batch, low)
        if found is not None:
            yield Choice(words.strip(), found)


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
