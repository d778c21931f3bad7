"""Coverage: how much of the k-space of a whole scan was sampled, plane by plane."""

from dataclasses import dataclass, field

from mrirecon.sampling.sampled_plane import SampledPlane

SAME = 5e-3
"""Accelerations that differ by less are told as one."""
LISTED = 8
"""At most so many planes are named."""


@dataclass
class Coverage:
    """Counts sampled positions; planes without any signal count as empty, not as sampled.

    Of non-Cartesian planes it counts what :func:`~mrirecon.sampling.trajectory_shape.coverage_of`
    does: spokes, or cells of the Cartesian grid.

    Attributes:
        kept: Number of sampled positions of each plane that is not empty.
        positions: Number of all positions of k-space, ``h * w``, of each of these planes.
        empty: Numbers of the empty planes, from 0.
    """

    kept: list[float] = field(default_factory=list)
    positions: list[float] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)

    def add(self, plane: SampledPlane) -> None:
        """Count a plane of a scan."""
        if plane.signal:
            whole, kept = plane.coverage()
            self.kept.append(kept)
            self.positions.append(whole)
        else:
            counted = len(self.kept) + len(self.empty)
            self.empty.append(counted if plane.number is None else plane.number)

    @property
    def acceleration(self) -> float:
        """All positions of planes that are not empty by the sampled ones; infinite without any."""
        return sum(self.positions) / sum(self.kept) if self.kept else float("inf")

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest acceleration of a plane."""
        values = [n / kept for n, kept in zip(self.positions, self.kept, strict=True)]
        return (min(values), max(values)) if values else (float("inf"), float("inf"))

    def text(self) -> str:
        """Give the acceleration, and its range where planes differ."""
        if not self.kept:
            return "nothing was measured in any plane"
        low, high = self.range
        between = "" if high - low < SAME else f" ({low:.2f} to {high:.2f} from plane to plane)"
        return f"R = {self.acceleration:.2f}{between}{self._empty()}"

    def note(self) -> str:
        """Say where planes differ, in a sentence; empty when all are alike."""
        low, high = self.range
        if not self.kept or (high - low < SAME and not self.empty):
            return ""
        return f"Not all planes are sampled alike: {self.text()}."

    def _empty(self) -> str:
        if not self.empty:
            return ""
        names = ", ".join(str(number + 1) for number in sorted(self.empty)[:LISTED])
        more = ", …" if len(self.empty) > LISTED else ""
        total = len(self.kept) + len(self.empty)
        return f"; {len(self.empty)} of {total} planes are empty ({names}{more})"
