"""Every slice of a collection of scans, transformed."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch.utils.data import Dataset

from mrirecon.errors import ConfigError
from mrirecon.scan import Scan
from mrirecon.types import Sample, Transform


class SliceDataset(Dataset[Sample]):
    """Slices of ``scans`` in order, read on demand.

    Args:
        scans: For instance :class:`~mrirecon.data.folder.Folder` or simulated scans.
        transform: Applied to every slice, every time.
        cache: Keep the slices in memory once they have been read (or simulated), so that later
            epochs only transform them; in each worker process its own.
        batch_transform: Applied after ``transform`` to whole batches, by the data module once they
            are on the device that trains.
    """

    def __init__(
        self,
        scans: Sequence[Scan],
        transform: Transform,
        cache: bool = False,
        batch_transform: Transform | None = None,
    ) -> None:
        if not len(scans):
            raise ConfigError("there is no scan in this data set")
        self.scans, self.transform = scans, transform
        self.batch_transform = batch_transform
        self._cache: dict[int, Sample] | None = {} if cache else None
        self._ends = list(accumulate(len(scan) for scan in scans))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"slice {index} of {len(self)}")
        if self._cache is None:
            return self.transform(self._read(index))
        if index not in self._cache:
            self._cache[index] = self._read(index)
        return self.transform(self._cache[index])

    @torch.no_grad()
    def finish(self, batch: Sample) -> Sample:
        """Apply ``batch_transform`` to a batch of these slices, on whatever device it is."""
        return batch if self.batch_transform is None else self.batch_transform(batch)

    def _read(self, index: int) -> Sample:
        scan = bisect_right(self._ends, index)
        return self.scans[scan][index - self._first(scan)]

    def _first(self, scan: int) -> int:
        return self._ends[scan - 1] if scan else 0

    def place(self, index: int) -> tuple[str, int]:
        """Return the name of the scan that slice ``index`` belongs to, and its number there."""
        scan = bisect_right(self._ends, index)
        return self.scans[scan].header.name, index - self._first(scan)

    def volumes(self) -> list[range]:
        """Return the indices of the slices of each scan."""
        return [range(self._first(scan), end) for scan, end in enumerate(self._ends)]

    @property
    def subjects(self) -> set[str]:
        """Pseudonyms of the patients; scans that do not tell are left out."""
        return {scan.header.subject for scan in self.scans if scan.header.subject}
