"""Every slice of a collection of scans, transformed."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch.utils.data import Dataset

from mrirecon.data.collate import collate
from mrirecon.data.gaps import has_gaps
from mrirecon.data.neighbors import Neighbors, with_neighbors
from mrirecon.data.peaks import Peaks, volume_peak
from mrirecon.data.series import Window, joint_windows, same_units
from mrirecon.data.transforms import Compose, makes_target, may_lack_target
from mrirecon.epoch import current_epoch
from mrirecon.errors import ConfigError
from mrirecon.half_precision import widened
from mrirecon.reconstructors.base import FrameWindows
from mrirecon.scan import Scan, ScanHeader
from mrirecon.types import Sample, Transform


class SliceDataset(Dataset[Sample]):
    """Slices of ``scans`` in order, read on demand.

    Args:
        scans: Scans in order, for instance :class:`~mrirecon.data.Folder` or simulated scans.
        transform: Transform of every slice, applied every time.
        cache: Keep the slices in memory once they have been read (or simulated), so that later
            epochs only transform them; in each worker process its own. Slices that are drawn anew
            in each epoch are not kept while training. Without it, a method that
            wants to see neighbouring slices has each slice read several times per epoch.
        batch_transform: Transform of whole batches, applied after ``transform`` by the data module
            once they are on the device that trains; None for none. When ``transform`` does nothing,
            slices that are packed in half precision stay so until then.

    Attributes:
        neighbors: Other slices of the scan that come along; what the method declares.
        windows: Frames of a slice that form a batch, for a joint method; else None.
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
        self.scans, self.transform, self.cache = scans, transform, cache
        self.batch_transform = batch_transform
        self.neighbors = Neighbors()
        self.windows: FrameWindows | None = None
        self._kept: dict[int, Sample] = {}
        self._peaks = Peaks()
        self._makes_targets = any(map(makes_target, (transform, batch_transform)))
        self._has_target: dict[int, bool] = {}
        self._ends = list(accumulate(len(scan) for scan in scans))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"slice {index} of {len(self)}")
        scan = bisect_right(self._ends, index)
        first = self._first(scan)
        around = self.neighbors.around(self.scans[scan].header, index - first)
        center, *neighbors = (self._read(scan, number) for number in (index - first, *around))
        return self.transform(with_neighbors(self._told_peak(scan, center), neighbors))

    @torch.no_grad()
    def finish(self, batch: Sample) -> Sample:
        """Apply ``batch_transform`` to a batch of these slices, on whatever device it is.

        The frames of a joint method share their units afterwards.
        """
        if self.batch_transform is not None:
            batch = self.batch_transform(widened(batch))
        return batch if self.windows is None else same_units(batch)

    def _read(self, scan: int, number: int) -> Sample:
        """Read a slice, unless it has been kept: as all are, or as the latest windows."""
        index, one = self._first(scan) + number, self.scans[scan]
        redrawn = one.redrawn and current_epoch() is not None
        sample = None if redrawn else self._kept.pop(index, None)
        if sample is None:
            sample = one.stored(number) if self._left_to_batches else one[number]
        if redrawn:
            return sample
        self._kept[index] = sample  # the latest last
        latest = 2 * self.neighbors.reach + 1 if self.neighbors.reach else 0
        while not self.cache and len(self._kept) > latest:
            del self._kept[next(iter(self._kept))]
        return sample

    def _told_peak(self, scan: int, sample: Sample) -> Sample:
        """Note the volume's maximum where a transform is going to make the reference."""
        if not self._makes_targets or sample.target is not None or sample.peak is not None:
            return sample
        if has_gaps(sample).any():  # no reference can be made of it
            return sample
        one = self.scans[scan]
        if one.redrawn:
            peak = volume_peak(one if len(one) > 1 else [sample])
        else:
            peak = self._peaks.of(scan, one)
        return sample.replace(peak=torch.tensor(peak, dtype=torch.float32))

    @property
    def _left_to_batches(self) -> bool:
        """Whether nothing is computed with slices before they are a batch on its device."""
        nothing = isinstance(self.transform, Compose) and not self.transform.transforms
        return nothing and self.batch_transform is not None

    def _first(self, scan: int) -> int:
        return self._ends[scan - 1] if scan else 0

    def header(self, index: int) -> ScanHeader:
        """Return the header of the scan that slice ``index`` belongs to."""
        return self.scans[bisect_right(self._ends, index)].header

    def windows_of(self, volume: range, batch_size: int) -> list[Window]:
        """Return batches whose kept slices are those of a scan, each once.

        Args:
            volume: One of :meth:`volumes`.
            batch_size: Slices in each; of no effect on the windows of a joint method.
        """
        if self.windows is None:
            starts = range(0, len(volume), batch_size)
            return [Window(tuple(volume[start : start + batch_size])) for start in starts]
        windows = joint_windows(self.header(volume.start), self.windows)
        return [Window(tuple(volume[i] for i in one.planes), one.kept) for one in windows]

    def together(self, index: int) -> tuple[tuple[int, ...], int]:
        """Return the slices that a method gets together with one, and its place among them."""
        volume = next(volume for volume in self.volumes() if index in volume)
        window = next(w for w in self.windows_of(volume, 1) if index in w.results)
        return window.planes, window.planes.index(index)

    def place(self, index: int) -> tuple[str, int]:
        """Return the name of the scan that slice ``index`` belongs to, and its number there."""
        scan = bisect_right(self._ends, index)
        return self.scans[scan].header.name, index - self._first(scan)

    def form(self, index: int) -> tuple[Any, ...]:
        """Return what slices must share to be stacked, as far as their scan's header tells."""
        header = self.header(index)
        sizes = (header.coils, header.grid, header.canvas, header.matrix)
        return (*sizes, header.format, header.whitened)  # these bring a target or know their noise

    @property
    def mixed(self) -> bool:
        """Whether some slices may have a reference and others none."""
        return any(map(may_lack_target, (self.transform, self.batch_transform)))

    def prepared(self, index: int) -> Sample:
        """Return slice ``index`` as a finished batch; takes no random numbers from the run."""
        with torch.random.fork_rng(devices=()):
            return self.finish(collate([self[index]]))

    def has_target(self, index: int) -> bool:
        """Tell whether slice ``index`` has a reference once it is prepared, which is done once."""
        if index not in self._has_target:
            self._has_target[index] = self.prepared(index).target is not None
        return self._has_target[index]

    def first_of_each_format(self) -> list[int]:
        """Return the first slice of the first scan of every file format."""
        scans = enumerate(self.scans)
        found = {scan.header.format: self._first(number) for number, scan in reversed([*scans])}
        return sorted(found.values())

    def volumes(self) -> list[range]:
        """Return the indices of the slices of each scan."""
        return [range(self._first(scan), end) for scan, end in enumerate(self._ends)]

    @property
    def subjects(self) -> set[str]:
        """Pseudonyms of the patients; scans that do not tell are left out."""
        return {scan.header.subject for scan in self.scans if scan.header.subject}
