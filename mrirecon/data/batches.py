"""Batches: which slices form one, in which process, and the seeds of what is random in them.

The batches of a run follow from its seed and from the epoch alone, so that a resumed run draws what
the uninterrupted one would have drawn, whatever processes and workers prepare the slices.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import torch
from torch.utils.data import Dataset, DistributedSampler

from mrirecon.data.collate import collate
from mrirecon.data.dataset import SliceDataset
from mrirecon.epoch import training_epoch
from mrirecon.types import Sample


@dataclass(frozen=True)
class Batch:
    """What the samplers of this module yield: an order to prepare a batch.

    Attributes:
        indices: Numbers of the slices in the data set.
        seed: Seed of the run.
        epoch: Number of the epoch, from zero; carried here because worker processes outlive epochs.
            None outside of training.
    """

    indices: tuple[int, ...]
    seed: int = 0
    epoch: int | None = None


class Batches(Dataset[Sample]):
    """Prepares batches of ``slices``; what is random depends on seed, epoch, scan and slice only.

    It is the same in all frames of a slice that a joint method sees together.

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
        name, number = self.slices.place(index)
        if self.slices.windows is not None:  # the frames of a slice move alike
            number %= self.slices.header(index).slices
        entropy = (batch.seed, batch.epoch or 0, name, number)
        with seeded(*entropy), training_epoch(batch.epoch):
            return self.slices[index].replace(seed=derived_seed(*entropy))


class TrainingBatches(DistributedSampler[Batch]):
    """All slices once per epoch, in an order of its own, dealt out to the processes.

    A batch holds slices of one :meth:`~SliceDataset.form`, so data sets may mix matrices and
    numbers of coils. Where scans with a reference and without may meet, these form batches of their
    own, too; which is which is seen in the first slice of each. Slices are shuffled within their
    form, batches over all forms. The last batch of a form may be smaller. In every step the batches
    of all processes have the same form and size, so that no process waits and every slice of the
    step counts alike; for that, the first few slices of a form are used twice when its number is no
    multiple of that of the processes.

    It is a DistributedSampler because Lightning tells these the epoch, and replaces others.

    Args:
        slices: The data set.
        batch_size: Slices per step and process.
        seed: Seed of the run.
        rank: Number of this process, from 0.
        processes: Number of processes that train.

    Attributes:
        start: An epoch, and how many of its batches a resumed run has had already.
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
        self.start = (0, 0)
        self._groups = list(self._forms(slices).values())
        self._each = [-(-len(group) // processes) for group in self._groups]
        self.num_samples = sum(self._each)
        self._sizes: tuple[int, list[int]] = (-1, [])

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        batches: list[tuple[int, ...]] = []
        for group, each in zip(self._groups, self._each, strict=True):
            order = [group[i] for i in torch.randperm(len(group), generator=generator).tolist()]
            mine = list(
                islice(cycle(order), self.rank, each * self.num_replicas, self.num_replicas)
            )
            batches += (tuple(mine[i : i + self.batch_size]) for i in self._starts(each))
        epoch, had = self.start
        for number in self._shuffled(len(batches))[had if epoch == self.epoch else 0 :]:
            yield Batch(self._planes(batches[number]), self.seed, self.epoch)

    def __len__(self) -> int:
        return sum(len(self._starts(each)) for each in self._each)

    def size(self, number: int) -> int:
        """Return how many slices a batch has in this epoch, the same in every process."""
        if self._sizes[0] != self.epoch:
            sizes = [
                min(self.batch_size, n - i) * self._frames(group[0])
                for group, n in zip(self._groups, self._each, strict=True)
                for i in self._starts(n)
            ]
            self._sizes = self.epoch, [sizes[i] for i in self._shuffled(len(sizes))]
        return self._sizes[1][number]

    def _forms(self, slices: SliceDataset) -> dict[tuple[Any, ...], list[int]]:
        """Return what may meet in a batch: here, slices of one form."""
        forms: dict[tuple[Any, ...], list[int]] = {}
        for volume in slices.volumes():
            form = slices.form(volume.start)
            if slices.mixed and self.batch_size > 1:
                form += (slices.has_target(volume.start),)
            forms.setdefault(form, []).extend(volume)
        return forms

    def _planes(self, members: tuple[int, ...]) -> tuple[int, ...]:
        """Return the slices of a batch of such members: here, themselves."""
        return members

    def _frames(self, member: int) -> int:  # noqa: ARG002 - for those that differ
        """Return how many slices a member stands for."""
        return 1

    def _starts(self, count: int) -> range:
        return range(0, count, self.batch_size)

    def _shuffled(self, count: int) -> list[int]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch, "batches"))
        return torch.randperm(count, generator=generator).tolist()


class VolumeBatches(DistributedSampler[Batch]):
    """Whole scans in order, each in one process and once; no batch holds slices of two scans.

    A joint method gets the windows of frames that it gets in
    :func:`~mrirecon.inference.scan_batches`.

    So every scan is scored from the same batches however many processes there are, and what is
    random about them is the same in every epoch. Scans go to the process with the fewest slices so
    far, the longest first. A process with fewer batches than another goes on with spare ones, which
    nobody scores: all must step together where weights are sharded, and none may stay away.

    Args:
        slices: The data set.
        batch_size: Slices per batch.
        rank: Number of this process, from 0.
        processes: Number of processes that validate.

    Attributes:
        scored: Number of the first batches that count.
    """

    def __init__(
        self, slices: SliceDataset, batch_size: int, rank: int = 0, processes: int = 1
    ) -> None:
        super().__init__(slices, processes, rank, shuffle=False)
        volumes: list[list[range]] = [[] for _ in range(processes)]
        for volume in sorted(slices.volumes(), key=len, reverse=True):
            min(volumes, key=lambda own: sum(map(len, own))).append(volume)
        parts = [
            [
                window
                for volume in sorted(own, key=lambda volume: volume.start)
                for window in slices.windows_of(volume, batch_size)
            ]
            for own in volumes
        ]
        self._windows = parts[rank]
        self.scored = len(self._windows)
        spare = (self._windows or parts[0])[:1]
        self._windows = self._windows + spare * (max(map(len, parts)) - self.scored)

    def __iter__(self) -> Iterator[Batch]:
        return (Batch(window.planes) for window in self._windows)

    def __len__(self) -> int:
        return len(self._windows)

    def kept(self, number: int) -> slice:
        """Return the places in a batch that count; other batches have better images of the rest."""
        return self._windows[number].kept


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
