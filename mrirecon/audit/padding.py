"""Borders of k-space that are zero, or next to nothing, and that no header or mask explains."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from mrirecon.audit.finding import CRIME, Kind, Level, Seen
from mrirecon.audit.planes import SMALLEST, Plane

PADDING = Kind(
    "zero padding",
    "The border of k-space was not measured but filled in, so that a mask takes a larger share of "
    f"the true samples than its acceleration says. {CRIME}",
    "Cut k-space down to what was measured, or get the raw data.",
)
ONE_SIDED = Kind(
    "one side missing",
    "One side of k-space is empty, as partial Fourier leaves it.",
    "Tell what was measured by a mask or a header, so that nobody takes zeros for samples.",
)
CORNERS = Kind(
    "empty corners",
    "Only an ellipse of k-space was measured or kept. Scanners do so along two phase encodings, "
    f"never along the readout; there somebody has filtered or interpolated. {CRIME}",
    "Find out how the data were acquired; train and compare on measured samples only.",
)
NOTHING = 1e-10
"""Energy relative to that beside it below which a border was filled with zeros and then computed
with in single precision, or in half."""
DROP = 0.1
"""Energy of every line of a border, relative to the first ones inside, from which on it is no noise
of the scan: white noise has equal energy in all, and the signal falls by less in so few lines."""
WITNESSES = 4
"""Lines inside whose middle energy stands for the measured ones beside a border."""
NOTED, MATTERS = 1.02, 1.08
"""Factor by which the grid is larger than what was measured, from which on it is told, and from
which on it is a problem; below, hardly any result changes."""
RADIUS, WIDTH = 1.0, 0.1
"""The ellipse that touches the borders, and the width of the ring inside of it."""


@dataclass(frozen=True)
class Border:
    """Lines at both ends of an axis that hold nothing.

    Attributes:
        before: Number of lines at the beginning.
        after: Number of lines at the end.
        size: Number of all lines.
        depth: Energy of the border relative to that of the lines inside, the larger of both.
    """

    before: int
    after: int
    size: int
    depth: float

    @property
    def factor(self) -> float:
        """How much larger the grid is than what lies evenly around the centre."""
        both = 2 * min(self.before, self.after) + (abs(self.before - self.after) == 1)
        return self.size / max(self.size - both, 1)

    @property
    def inside(self) -> slice:
        """The lines that hold something."""
        return slice(self.before, self.size - self.after)


def border(plane: Plane) -> Border:
    """Find the border of the first axis of k-space."""
    energy, known = _line_energies(plane)
    if not known.any():
        return Border(0, 0, len(energy), 1.0)
    measured = torch.nonzero(known)[:, 0]
    first, last = int(measured[0]), int(measured[-1])
    unexplained = plane.told.any(1)
    before = first if bool(unexplained[:first].all()) else 0
    after = len(known) - 1 - last if bool(unexplained[last + 1 :].all()) else 0
    levels = energy[known]
    low, deep = _drop(levels)
    high, deeper = _drop(levels.flip(0))
    if low:
        before = int(measured[low])
    if high:
        after = len(known) - 1 - int(measured[-1 - high])
    zero = before > 0 or after > 0
    depth = max((d for n, d in ((low, deep), (high, deeper)) if n), default=0.0 if zero else 1.0)
    found = Border(before, after, len(energy), depth)
    return found if not _part_of_pattern(known, found) else Border(0, 0, len(energy), 1.0)


def inner(plane: Plane) -> Plane:
    """Return the plane without borders that hold nothing; all other checks look at that."""
    rows, columns = border(plane).inside, border(plane.turned()).inside
    return plane.cut(rows, columns)


def find(plane: Plane) -> Iterator[Seen]:
    """Look for borders along both axes, and for corners."""
    borders = {"rows": border(plane), "columns": border(plane.turned())}
    factor = borders["rows"].factor * borders["columns"].factor
    told = [
        f"{one.before} + {one.after} of {one.size} {name}" for name, one in borders.items()
        if one.factor > 1
    ]  # fmt: skip
    if factor >= NOTED:
        depth = max(one.depth for one in borders.values() if one.factor > 1)
        yield Seen(
            PADDING,
            Level.PROBLEM if factor >= MATTERS else Level.NOTE,
            f"{' and '.join(told)} at the edges of k-space {_how(depth)}, and neither a mask nor "
            f"the header explains it: the grid is {factor:.2f} times what was measured.",
        )
    for name, one in borders.items():
        longer = max(one.before, one.after) - min(one.before, one.after)
        if longer >= max(3, one.size / 32):
            yield Seen(
                ONE_SIDED,
                Level.NOTE,
                f"{longer} more {name} are empty on one side than on the other.",
            )
    if factor < NOTED:
        yield from _corners(plane)


def _how(depth: float) -> str:
    if depth == 0:
        return "are exactly zero"
    return f"have at most {depth:.0e} of the energy of those beside them"


def _line_energies(plane: Plane) -> tuple[Float32[Tensor, " h"], Bool[Tensor, " h"]]:
    """Return the mean energy of the measured samples of each row, and which rows have any."""
    energy = torch.view_as_real(plane.kspace).square().sum((0, -1))
    counts = plane.measured.sum(1)
    return energy.sum(1) / counts.clamp_min(1), counts > 0


def _drop(levels: Float32[Tensor, " line"]) -> tuple[int, float]:
    """Return how many lines at the beginning are far below those that follow, and how far."""
    half = len(levels) // 2
    best, depth = 0, 1.0
    highest = levels[:half].cummax(0).values
    for count in range(1, half - WITNESSES):
        beside = float(levels[count : count + WITNESSES].median())
        outside = float(highest[count - 1])
        if beside > 0 and outside < DROP * beside and (not best or outside < depth * beside * 2):
            best, depth = count, outside / beside
    return best, 0.0 if depth < 1e-25 else depth


def _part_of_pattern(known: Bool[Tensor, " h"], found: Border) -> bool:
    """Tell whether undersampling explains empty lines at the edges.

    They are no wider than the gaps between measured lines are: where these have a share p of the
    outer lines, a gap of n lines has the probability (1 - p)^n, which must stay believable.
    """
    inside = known[found.inside]
    if bool(inside.all()) or len(inside) < SMALLEST // 2:
        return False
    outer = torch.cat([inside[: len(inside) // 4], inside[-(len(inside) // 4) :]]).float()
    share = float(outer.mean())
    lines = torch.nonzero(inside)[:, 0]
    widest = int(lines.diff().max()) if len(lines) > 1 else len(inside)
    width = max(found.before, found.after)
    return width <= 2 * widest or (1 - share) ** (found.before + found.after) > 1e-9


def _corners(plane: Plane) -> Iterator[Seen]:
    h, w = plane.measured.shape
    y, x = ((torch.arange(n) - n // 2) / (n / 2) for n in (h, w))
    radius = (y[:, None].square() + x.square()).sqrt()
    ring, outside = (radius < RADIUS) & (radius > RADIUS - WIDTH), radius > RADIUS + 0.02
    if not bool(plane.told[outside].all()):
        return
    shares = [float(plane.measured[where].float().mean()) for where in (ring, outside)]
    if shares[0] > 0.9 and shares[1] < 0.05:
        sure = Level.NOTE if plane.volumetric else Level.SUSPICION
        yield Seen(CORNERS, sure, "The corners of k-space outside of an ellipse are exactly zero.")
        return
    energy = torch.view_as_real(plane.kspace).square().sum((0, -1))
    both = [where & plane.measured for where in (ring, outside)]
    if not all(int(where.sum()) > SMALLEST for where in both):
        return
    inside, corners = (float(energy[where].median()) for where in both)
    if inside > 0 and corners < DROP**1.5 * inside:
        yield Seen(
            CORNERS,
            Level.NOTE if plane.volumetric else Level.PROBLEM,
            f"The corners of k-space outside of an ellipse have {corners / inside:.0e} of the "
            "energy inside of it.",
        )
