"""The slices around a slice, for methods that want to see them."""

from collections.abc import Sequence
from dataclasses import dataclass

from mrirecon.data.collate import collate
from mrirecon.data.series import alike
from mrirecon.reconstructors.base import Along, Reconstructor
from mrirecon.scan import ScanHeader
from mrirecon.types import Sample


@dataclass(frozen=True)
class Neighbors:
    """Which slices a method sees beside the one that it reconstructs.

    Attributes:
        reach: Number of neighbours on either side; 0 for none.
        along: Adjacent ``"slices"`` of the same frame, or adjacent ``"frames"`` of the same slice:
            the cardiac phases of one repetition, else the repetitions, of one contrast and set;
            ``"cycle"`` for frames of which the first follows the last, ``"half_cycle"`` for those
            that reach to the other side of the cycle and no farther.
    """

    reach: int = 0
    along: Along = "slices"

    def __post_init__(self) -> None:
        if self.reach < 0:
            raise ValueError(f"context must not be negative, got {self.reach}")

    @classmethod
    def of(cls, reconstructor: Reconstructor) -> "Neighbors":
        """Return what a method declares."""
        return cls(reconstructor.context, reconstructor.context_along)

    def around(self, header: ScanHeader, index: int) -> tuple[int, ...]:
        """Return the indices of the ``2 * reach`` neighbours of a slice, in order, without it.

        Beyond the ends of a stack the last slice is repeated (Xin et al., PromptMR, STACOM 2023).
        In half a cycle the frame at its other side is: of three frames a reach of two sees both
        others twice.
        """
        frame, number = divmod(index, header.slices)
        if self.along == "slices":
            stack = next(part for part in header.parts() if number in part)
            line: Sequence[int] = [frame * header.slices + other for other in stack]
            place = number - stack.start
        else:
            series = alike(header.frames, frame)
            line = [other * header.slices + number for other in series]
            place = series.index(frame)
        offsets = [*range(-self.reach, 0), *range(1, self.reach + 1)]
        if self.along in ("cycle", "half_cycle"):
            half = len(line) // 2 if self.along == "half_cycle" else self.reach
            turns = (min(max(step, -half), half) for step in offsets)
            return tuple(line[(place + step) % len(line)] for step in turns)
        return tuple(line[min(max(place + step, 0), len(line) - 1)] for step in offsets)


def with_neighbors(sample: Sample, neighbors: Sequence[Sample]) -> Sample:
    """Give a slice its neighbours; a reference of theirs is left out, for nobody compares them."""
    if not neighbors:
        return sample
    return sample.replace(
        neighbors=collate(
            [one.replace(target=None, peak=None, neighbors=None) for one in neighbors]
        )
    )
