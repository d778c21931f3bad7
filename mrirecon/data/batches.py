"""Which slices form a batch, in which process, and what seeds what is random about them.

The batches of a run follow from its seed and from the epoch alone, so that a resumed run draws what
the uninterrupted one would have drawn, whatever processes and workers prepare the slices.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset, DistributedSampler

from mrirecon.data.collate import collate
from mrirecon.data.dataset import SliceDataset
from mrirecon.types import Sample


@dataclass(frozen=True)
class Batch:
    """What the samplers of this module yield: an order to prepare a batch.

    Attributes:
        indices: Slices of the data set.
        seed: Of the run.
        epoch: Number of the epoch, from zero; carried here because worker processes outlive epochs.
    """

    indices: tuple[int, ...]
    seed: int = 0
    epoch: int = 0


class Batches(Dataset[Sample]):
    """Prepares batches of ``slices``; what is random depends on seed, epoch, scan and slice only.

    Args:
        slices: The data set.
    """

    def __init__(self, slices: SliceDataset) -> None:
        self.slices = slices

    def __getitem__(self, batch: Batch) -> Sample:
        return collate([self._draw(index, batch) for index in batch.indices])

    def __len__(self) -> int:  # Lightning and DistributedSampler ask for it; slices, not batches
        return len(self.slices)

    def _draw(self, index: int, batch: Batch) -> Sample:
        entropy = (batch.seed, batch.epoch, *self.slices.place(index))
        with seeded(*entropy):
            return self.slices[index].replace(seed=derived_seed(*entropy))


class TrainingBatches(DistributedSampler[Batch]):
    """All slices once per epoch, in an order of its own, dealt out to the processes.

    The last batch may be smaller. Every process gets as many slices, for which a few are used
    twice; gradients could not be averaged otherwise.

    It is a DistributedSampler because Lightning tells these the epoch, and replaces others.

    Args:
        slices: The data set.
        batch_size: Slices per step and process.
        seed: Of the run.
        rank: This process.
        processes: How many there are.
    """

    def __init__(
        self,
        slices: SliceDataset,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        super().__init__(slices, processes, rank, shuffle=True, seed=seed)
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Batch]:
        order = [int(index) for index in super().__iter__()]  # type: ignore[call-overload]
        for start in range(0, len(order), self.batch_size):
            yield Batch(tuple(order[start : start + self.batch_size]), self.seed, self.epoch)

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size)

    def size(self, number: int) -> int:
        """Return how many slices a batch of this process has."""
        return min(self.batch_size, self.num_samples - number * self.batch_size)


class VolumeBatches(DistributedSampler[Batch]):
    """Whole scans in order, each in one process and once; no batch holds slices of two scans.

    So every scan is scored from the same batches however many processes there are, and what is
    random about them is the same in every epoch. Scans go to the process with the fewest slices so
    far, the longest first; some process may get none.

    Args:
        slices: The data set.
        batch_size: Slices per batch.
        rank: This process.
        processes: How many there are.
    """

    def __init__(
        self, slices: SliceDataset, batch_size: int, rank: int = 0, processes: int = 1
    ) -> None:
        super().__init__(slices, processes, rank, shuffle=False)
        loads = [0] * processes
        mine = []
        for volume in sorted(slices.volumes(), key=len, reverse=True):
            process = loads.index(min(loads))
            loads[process] += len(volume)
            if process == rank:
                mine.append(volume)
        self._batches = [
            Batch(tuple(volume[start : start + batch_size]))
            for volume in sorted(mine, key=lambda volume: volume.start)
            for start in range(0, len(volume), batch_size)
        ]

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


@contextmanager
def seeded(*entropy: int | str) -> Iterator[None]:
    """Let torch's generator on the CPU depend on ``entropy`` only, then put it back."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(derived_seed(*entropy))
    try:
        yield
    finally:
        torch.set_rng_state(state)


def derived_seed(*entropy: int | str) -> int:
    """Return a seed that depends on all of ``entropy``, the same on every machine."""
    digest = hashlib.sha256(repr(entropy).encode()).digest()
    return int.from_bytes(digest[:7], "big")
