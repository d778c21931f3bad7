"""Loaders for the stages of a training run."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from mrirecon.arguments import check_at_least, check_not_negative
from mrirecon.data.batches import Batches, TrainingBatches, VolumeBatches
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.identity import Signatures
from mrirecon.data.neighbors import Neighbors
from mrirecon.data.series_batches import SeriesBatches
from mrirecon.epoch import training_epoch
from mrirecon.errors import ConfigError
from mrirecon.interruption import left_to_the_parent
from mrirecon.pseudonyms import patients
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.threads import workers_beside
from mrirecon.types import Sample


class DataModule(pl.LightningDataModule):
    """Wraps data sets into loaders that yield batched Samples.

    Args:
        train: Slices to train on.
        val: Slices to choose the best checkpoint by.
        test: Slices that nothing was chosen by, or None.
        batch_size: Slices per step and device; scans of other sizes form batches of their own.
        workers: Processes that prepare slices; 0 prepares them in the training process. There are
            no more than the processors that this process may use leave beside it, but one.
        seed: Seed of the order and of the masks; None takes that of torch, which
            ``mrirecon train seed=...`` sets. A resumed run keeps the seed that it began with.
        frames: Frames of a slice in a training batch of a method that takes several together; None
            takes as many as the method reconstructs at once.

    Raises:
        ConfigError: When two sets share a patient, or a scan whose patient nobody tells.
    """

    def __init__(
        self,
        train: SliceDataset,
        val: SliceDataset,
        test: SliceDataset | None = None,
        batch_size: int = 1,
        workers: int = 0,
        seed: int | None = None,
        frames: int | None = None,
    ) -> None:
        super().__init__()
        check_at_least(1, batch_size=batch_size, frames=1 if frames is None else frames)
        check_not_negative(workers=workers)
        self.sets = {"train": train, "val": val} | ({"test": test} if test else {})
        signatures = Signatures()
        for (a, first), (b, second) in combinations(self.sets.items(), 2):
            if shared := patients(first.subjects).keys() & patients(second.subjects).keys():
                names = patients(first.subjects | second.subjects)
                shown = ", ".join(sorted(names[one] for one in shared)[:5])
                raise ConfigError(
                    f"data.{a} and data.{b} share the subjects {shown}"
                    f"{' ...' if len(shared) > 5 else ''}: scores on known patients are too good; "
                    "split by patient (files that tell none are named after their folder)"
                )
            if equal := signatures.shared(first.scans, second.scans):
                shown = ", ".join(x if x == y else f"{x} is {y}" for x, y in equal[:5])
                raise ConfigError(
                    f"data.{a} and data.{b} hold the same scans: {shown}"
                    f"{' ...' if len(equal) > 5 else ''}: scores on known scans are too good; give "
                    "each set scans of its own (mrirecon split splits by patient)"
                )
        self.batch_size, self.workers, self.frames = batch_size, workers, frames
        self.seed = torch.initial_seed() % 2**31 if seed is None else seed
        self._start = (0, 0)
        self._batches: TrainingBatches | None = None

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning passes it
        """Provide what the method declares that it wants to see."""
        method = getattr(self.trainer and self.trainer.lightning_module, "reconstructor", None)
        if isinstance(method, Reconstructor):
            self.provide(method)

    def provide(self, method: Reconstructor) -> None:
        """Let every slice bring the neighbours, every batch the frames that a method declares.

        Raises:
            ConfigError: When several series would form a batch.
        """
        if method.joint and self.batch_size > 1:
            raise ConfigError(
                f"data.batch_size={self.batch_size}: {type(method).__name__} takes the frames of "
                "one slice as a batch, how many is told by data.frames; set data.batch_size=1, and "
                "trainer.accumulate_grad_batches for updates by several series"
            )
        if self.frames is not None and not method.joint:
            raise ConfigError(
                f"data.frames={self.frames}: {type(method).__name__} reconstructs each frame by "
                "itself; leave data.frames out, or choose a method for series of frames"
            )
        for slices in self.sets.values():
            slices.neighbors = Neighbors.of(method)
            slices.windows = method.windows if method.joint else None

    def train_dataloader(self) -> DataLoader[Sample]:
        slices = self.sets["train"]
        batches = self._training_batches(*self._process())
        batches.start, self._batches = self._start, batches
        return self._loader(slices, batches)

    def val_dataloader(self) -> DataLoader[Sample]:
        return self._volume_loader("val")

    def test_dataloader(self) -> DataLoader[Sample]:
        return self._volume_loader("test")

    def transfer_batch_to_device(
        self,
        batch: Sample,
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002 - Lightning passes it
    ) -> Sample:
        """Move a batch; the host does not wait for a GPU, as its loaders pin what they yield."""
        return batch.to(device, non_blocking=device.type == "cuda")

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:  # noqa: ARG002
        """Apply the ``batch_transform`` of the data set that the batch is from."""
        stage = "val"
        if self.trainer is not None and (self.trainer.training or self.trainer.testing):
            stage = "train" if self.trainer.training else "test"
        epoch = self.trainer.current_epoch if self.trainer and stage == "train" else None
        with training_epoch(epoch):
            return self.sets[stage].finish(batch)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to draw what this one would have drawn."""
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the seed of the interrupted run."""
        self.seed = state_dict["seed"]
        if self._batches is not None:
            self._batches.seed = self.seed

    def batches(self, processes: int) -> int:
        """Return how many batches of the training set each of so many processes has per epoch."""
        return len(self._training_batches(0, processes))

    def start_after(self, epoch: int, batches: int) -> None:
        """Leave out the batches that a resumed run has had in the epoch that it goes on with."""
        self._start = (epoch, batches)
        if self._batches is not None:  # strategies that shard weights make the loader first
            self._batches.start = self._start

    def _training_batches(self, rank: int, processes: int) -> TrainingBatches:
        slices = self.sets["train"]
        if slices.windows is not None:
            return SeriesBatches(slices, self.frames, self.seed, rank, processes)
        return TrainingBatches(slices, self.batch_size, self.seed, rank, processes)

    def _volume_loader(self, stage: str) -> DataLoader[Sample]:
        slices = self.sets[stage]
        return self._loader(slices, VolumeBatches(slices, self.batch_size, *self._process()))

    def _process(self) -> tuple[int, int]:
        """Return the number of this process and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _to_a_gpu(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"

    def usable_workers(self, processes: int = 1) -> int:
        """Return how many processes prepare slices: those asked for, if there are processors.

        Args:
            processes: Number of processes that train on this machine.
        """
        return workers_beside(self.workers, processes)

    def _loader(
        self, slices: SliceDataset, batches: TrainingBatches | VolumeBatches
    ) -> DataLoader[Sample]:
        devices = self.trainer.num_devices if self.trainer else 1
        return _Loader(
            Batches(slices),
            sampler=batches,
            batch_size=None,  # the sampler yields whole batches
            num_workers=(workers := self.usable_workers(devices)),
            persistent_workers=workers > 0,
            pin_memory=self._to_a_gpu(),
            worker_init_fn=left_to_the_parent,
            generator=torch.Generator(),  # what workers are seeded with; uses up no common numbers
        )


class _Loader(DataLoader[Sample]):
    """Starts to prepare batches when the first is asked for.

    Lightning asks a loader for its iterator before it tells the epoch of a resumed run; workers
    would prepare the batches of epoch zero.
    """

    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Tell Lightning that a resumed run goes on within an epoch; the run knows where."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load, see :meth:`DataModule.start_after`."""
