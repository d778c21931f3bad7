"""A few readouts of an acquisition, to see whether its signal is as that of k-space is."""

import numpy as np
from jaxtyping import Float64

from mrirecon.raw.acquisition import Fetch
from mrirecon.raw.centers import center_note, lines_through_center, readout_energy
from mrirecon.raw.content import Content, Numbers, content_notes
from mrirecon.raw.kspace_grid import Grid
from mrirecon.raw.oversampling import readout_ranges, required_size
from mrirecon.raw.plausibility import SHORTEST, energy_of, find_peak, place_note
from mrirecon.raw.readouts import Heads, Lines, Readouts

CHUNK = 64
"""So many readouts are held at once."""


def signal_notes(
    grid: Grid,
    heads: Heads,
    imaging: Lines,
    plane: Lines,
    shape: tuple[int, int],
    fetch: Fetch,
) -> list[str]:
    """Name empty slices and dead coils, and say where the signal misses the told centre.

    Args:
        grid: Grid that the lines are sorted onto.
        heads: Headers of all readouts.
        imaging: Numbers of the imaging lines.
        plane: ``frame * slices + slice`` of each of them, slices in anatomical order.
        shape: Frames and slices; a 3-D volume counts as one slice.
        fetch: Function that returns readouts by number.

    Raises:
        RawDataError: When readouts are damaged.
    """
    lines = heads[imaging]
    y, z = grid.places(lines)
    center = grid.partition.size // 2 if grid.partition else 0
    distance = np.hypot(y - grid.phase.size // 2, z - center)
    notes, strongest = content_notes(LineContent(distance, lines, imaging, plane, shape, fetch))
    one = np.flatnonzero(plane == strongest)
    for axis in range(2 if grid.partition else 1):
        chosen = lines_through_center(grid, lines, axis, one)
        if not len(chosen):
            continue
        readouts = fetch(imaging[chosen])
        readouts = Readouts(lines[chosen], readouts.samples)  # headers as they were understood
        note = center_note(grid, readouts, axis)
        notes += [note] if note else []
        if axis == 0 and (note := _readout_note(grid, readouts)):
            notes.append(note)
    return notes


class LineContent(Content):
    """The energy of the planes of an acquisition.

    Args:
        distance: Distance of each imaging line from k = 0, by which one is chosen of each plane.
        lines: Headers of the imaging lines.
        imaging: Numbers of the imaging lines.
        plane: ``frame * slices + slice`` of each of them.
        shape: Frames and slices; a 3-D volume counts as one slice.
        fetch: Function that returns readouts by number.
    """

    def __init__(
        self,
        distance: Float64[np.ndarray, "line"],
        lines: Heads,
        imaging: Lines,
        plane: Lines,
        shape: tuple[int, int],
        fetch: Fetch,
    ) -> None:
        self.imaging, self.plane, self.shape, self.fetch = imaging, plane, shape, fetch
        self.coils = int(lines["active_channels"][0])
        order = np.lexsort((distance, plane))
        numbers, first = np.unique(plane[order], return_index=True)
        self.numbers, self.central = numbers, imaging[order[first]]

    def present(self) -> Numbers:
        return self.numbers

    def strength(self, planes: Numbers) -> Float64[np.ndarray, "plane"]:
        wanted = self.central[np.searchsorted(self.numbers, planes)]
        parts = [wanted[at : at + CHUNK] for at in range(0, len(wanted), CHUNK)]
        return np.concatenate([readout_energy(self.fetch(part)) for part in parts])

    def line(self, plane: int) -> Float64[np.ndarray, " coil"]:
        return self._coils(self.central[self.numbers == plane])

    def whole(self, plane: int) -> Float64[np.ndarray, " coil"]:
        lines = self.imaging[self.plane == plane]
        parts = [lines[at : at + CHUNK] for at in range(0, len(lines), CHUNK)]
        return np.sum([self._coils(part) for part in parts], axis=0)

    def _coils(self, lines: Lines) -> Float64[np.ndarray, " coil"]:
        energy = [[energy_of(coil) for coil in one] for one in self.fetch(lines).samples]
        return np.sum(energy, axis=0)


def _readout_note(grid: Grid, readouts: Readouts) -> str:
    """Compare the centre of the readouts with the signal along them; empty when they agree."""
    placed = readout_ranges(readouts.heads, grid.recorded)
    size = required_size(placed)
    line = np.zeros(size)
    for samples, first, last, start, reverse in zip(
        readouts.samples, placed.first, placed.last, placed.start, placed.reverse, strict=True
    ):
        samples = samples[:, ::-1] if reverse else samples
        energy = np.square(np.abs(samples[:, first:last]), dtype=np.float64).sum(0)
        start = start + size // 2
        line[start : start + len(energy)] += energy
    if size < SHORTEST or not line.any():
        return ""
    return place_note(find_peak(line), "h (readout)")
