"""The planes that a joint method reconstructs together: frames of a slice, window by window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mrirecon.reconstructors.base import FrameWindows
from mrirecon.scan import Frame, ScanHeader
from mrirecon.types import Sample


@dataclass(frozen=True)
class Window:
    """Planes of a scan that form a batch.

    Attributes:
        planes: Numbers of the planes, in order.
        kept: Places in the batch whose images count; another window has better ones of the rest.
    """

    planes: tuple[int, ...]
    kept: slice = field(default_factory=lambda: slice(None))

    @property
    def results(self) -> tuple[int, ...]:
        """The planes whose images count."""
        return self.planes[self.kept]


def alike(frames: Sequence[Frame], frame: int) -> list[int]:
    """Return the frames of one series through which time runs, ``frame`` among them."""
    this = frames[frame]
    series = [
        number
        for number, one in enumerate(frames)
        if (one.contrast, one.set) == (this.contrast, this.set)
    ]
    if len({frames[number].phase for number in series}) == 1:
        return series
    return [number for number in series if frames[number].repetition == this.repetition]


def series_of_planes(header: ScanHeader, windows: FrameWindows) -> Iterator[tuple[int, ...]]:
    """Yield the planes of each slice that may come together, in the order of their frames.

    Args:
        header: Header of the scan.
        windows: What the method wants.
    """
    together: list[list[int]] = [list(range(len(header.frames)))]
    if windows.in_time:
        groups = (tuple(alike(header.frames, frame)) for frame in together[0])
        together = [list(group) for group in dict.fromkeys(groups)]
    for number in range(header.slices):
        for frames in together:
            yield tuple(frame * header.slices + number for frame in frames)


def joint_windows(header: ScanHeader, windows: FrameWindows) -> list[Window]:
    """Return windows whose kept planes are those of the whole scan, each once."""
    found = []
    for planes in series_of_planes(header, windows):
        for frames, kept in windows.of(len(planes)):
            place = slice(kept.start - frames.start, kept.stop - frames.start)
            found.append(Window(planes[frames.start : frames.stop], place))
    return found


def same_units(batch: Sample) -> Sample:
    """Give the frames of a batch, each normalised by itself, the units of the brightest one."""
    if batch.scale is None:
        return batch
    common = batch.scale.amax().expand_as(batch.scale)
    return batch.divided(common / batch.scale).replace(scale=common)  # equal to the last bit
