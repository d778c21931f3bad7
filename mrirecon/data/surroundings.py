"""What a Sample gets beside its own k-space: the slices around it, and what the header tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float32
from torch import Tensor

from mrirecon.data.collate import collate
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.scan import Frame, ScanHeader, told_noise
from mrirecon.types import PROTOCOL, Sample


@dataclass(frozen=True)
class Surroundings:
    """Which slices a method sees beside the one that it reconstructs.

    Attributes:
        reach: How many on either side; 0 for none.
        along: Adjacent ``"slices"`` of the same frame, or adjacent ``"frames"`` of the same slice:
            the cardiac phases of one repetition, else the repetitions, of one contrast and set.
    """

    reach: int = 0
    along: Literal["slices", "frames"] = "slices"

    def __post_init__(self) -> None:
        if self.reach < 0:
            raise ValueError(f"context must not be negative, got {self.reach}")

    @classmethod
    def of(cls, reconstructor: Reconstructor) -> "Surroundings":
        """Return what a method declares."""
        return cls(reconstructor.context, reconstructor.context_along)

    def around(self, header: ScanHeader, index: int) -> tuple[int, ...]:
        """Return the indices of the ``2 * reach`` neighbours of a slice, in order, without it.

        Beyond the ends of a stack the last slice is repeated (Xin et al., PromptMR, STACOM 2023).
        """
        frame, number = divmod(index, header.slices)
        if self.along == "slices":
            stack = next(part for part in header.parts() if number in part)
            line: Sequence[int] = [frame * header.slices + other for other in stack]
            place = number - stack.start
        else:
            alike = _alike(header.frames, frame)
            line = [other * header.slices + number for other in alike]
            place = alike.index(frame)
        offsets = [*range(-self.reach, 0), *range(1, self.reach + 1)]
        return tuple(line[min(max(place + step, 0), len(line) - 1)] for step in offsets)


def surrounded(sample: Sample, neighbors: Sequence[Sample]) -> Sample:
    """Give a slice its neighbours; a reference of theirs is left out, for nobody compares them."""
    if not neighbors:
        return sample
    return sample.replace(
        neighbors=collate(
            [one.replace(target=None, peak=None, neighbors=None) for one in neighbors]
        )
    )


def told(sample: Sample, header: ScanHeader, index: int) -> Sample:
    """Note in slice ``index``, as a reader hands it out, all that the header tells about it."""
    sample = told_region(told_noise(sample, header), header)
    return told_protocol(sample, header, index)


def told_region(sample: Sample, header: ScanHeader) -> Sample:
    """Note which part of the grid becomes the image; see :func:`mrirecon.inference.to_matrix`."""
    if sample.region is not None:
        return sample
    sizes = zip(header.grid, header.canvas, header.matrix, strict=True)
    region = [min(n, round(n * kept / canvas)) for n, canvas, kept in sizes]
    return sample.replace(region=torch.tensor(region))


def told_protocol(sample: Sample, header: ScanHeader, index: int) -> Sample:
    """Note how the contrast of slice ``index`` was made, as far as the header tells."""
    if sample.protocol is not None:
        return sample
    return sample.replace(protocol=protocol_of(header, index // header.slices))


def protocol_of(header: ScanHeader, frame: int = 0) -> Float32[Tensor, "5"]:
    """Return the numbers of :data:`~mrirecon.types.PROTOCOL` for a frame; NaN where unknown."""
    told = {name: getattr(header.sequence, name) for name in PROTOCOL}
    contrast = header.frames[frame].contrast
    if contrast < len(header.echo_times):
        told["echo_time"] = header.echo_times[contrast]
    return torch.tensor([torch.nan if value is None else value for value in told.values()])


def _alike(frames: Sequence[Frame], frame: int) -> list[int]:
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
