"""Empty slices and dead coils of a scan, looked for in every format alike.

A format only says how a line through the centre of a plane, and a whole plane, are read. So few of
them are looked at that opening a file stays fast.
"""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Bool, Float64, Int64

DEAD = 1e-6
"""A coil with less energy than this share of the median coil's is dead."""
PLANES = 512
"""At most so many planes, spread over the scan, are looked at for being empty."""
LOOKS = 5
"""At most so many planes with signal, spread over the scan, are looked at for dead coils."""
Numbers = Int64[np.ndarray, "plane"]


class Content(ABC):
    """The planes of a scan, as far as their energy goes.

    Attributes:
        shape: Frames and slices; a volume that is not made of slices counts as one.
        coils: Number of coils.
    """

    shape: tuple[int, int]
    coils: int

    @abstractmethod
    def present(self) -> Numbers:
        """Return the numbers ``frame * slices + slice`` of the planes that the file holds."""

    @abstractmethod
    def strength(self, planes: Numbers) -> Float64[np.ndarray, "plane"]:
        """Return the energy of a line of each plane where the signal is strongest."""

    @abstractmethod
    def line(self, plane: int) -> Float64[np.ndarray, " coil"]:
        """Return each coil's energy in such a line."""

    @abstractmethod
    def whole(self, plane: int) -> Float64[np.ndarray, " coil"]:
        """Return each coil's energy in a whole plane."""


def content_notes(content: Content) -> tuple[list[str], int]:
    """Name the empty slices and the dead coils of a scan.

    Returns:
        The notes, one sentence each; and the number of a plane with strong signal.

    Raises:
        RawDataError: When planes cannot be read.
    """
    frames, slices = content.shape
    present = content.present()
    planes = _spread(present, PLANES)
    strength = content.strength(planes)
    for place in np.flatnonzero(strength == 0):  # a line may be empty, a slice is not
        strength[place] = content.whole(int(planes[place])).sum()
    known, empty = (np.zeros(frames * slices, bool) for _ in range(2))
    known[planes] = True
    empty[planes] = strength == 0
    note = empty_note(empty.reshape(frames, slices), known.reshape(frames, slices))
    if note and len(planes) < len(present):
        note += f" Only {len(planes)} of {len(present)} slices were looked at."
    looks = _spread(planes[strength > 0], LOOKS)
    energies = [_coils_of(content, int(plane)) for plane in looks]
    names = [_name(*divmod(int(plane), slices), frames, slices) for plane in looks]
    coils = np.array(energies).reshape(-1, content.coils)
    return [*coil_notes(coils, names), *([note] if note else [])], int(
        planes[np.nan_to_num(strength).argmax()]
    )


def _coils_of(content: Content, plane: int) -> Float64[np.ndarray, " coil"]:
    energy = content.line(plane)
    return energy if energy.all() else content.whole(plane)  # a line may be empty, a coil is not


def _spread(numbers: Int64[np.ndarray, "_"], most: int) -> Int64[np.ndarray, "_"]:
    if len(numbers) <= most:
        return numbers
    return numbers[np.linspace(0, len(numbers) - 1, most).round().astype(np.int64)]


def _name(frame: int, slice_: int, frames: int, slices: int) -> str:
    if slices == 1:
        return "the scan" if frames == 1 else f"frame {frame + 1}"
    return f"slice {slice_ + 1}" + (f" of frame {frame + 1}" if frames > 1 else "")


def coil_notes(energy: Float64[np.ndarray, "plane coil"], names: list[str]) -> list[str]:
    """Name coils that are dead.

    Args:
        energy: Energy of each coil in planes with signal.
        names: Names of these planes, for the message.
    """
    if energy.shape[1] < 2 or not energy.any():
        return []
    usual = [np.median(one[one > 0]) for one in energy]
    silent = energy == 0
    weak = (energy < DEAD * np.array(usual)[:, None]).all(0) & ~silent.all(0)
    where = names[0] if len(names) == 1 else f"all {len(names)} planes that were looked at"
    notes = []
    for which, how in ((silent.all(0), "exactly"), (weak, "nearly")):
        if which.any():
            notes.append(f"{_coils(which)} {how} zero in {where}: dead, or switched off.")
    some = silent.any(0) & ~silent.all(0) & ~weak
    for coil in np.flatnonzero(some):
        there = listed([name for name, zero in zip(names, silent[:, coil], strict=True) if zero])
        only = np.arange(len(some)) == coil
        notes.append(f"{_coils(only)} exactly zero in {there}, but not in all slices: lost?")
    return notes


def _coils(which: Bool[np.ndarray, " coil"]) -> str:
    numbers = np.flatnonzero(which).tolist()
    verb = "Coil {} (counted from 0) is" if len(numbers) == 1 else "Coils {} (counted from 0) are"
    return verb.format(listed(numbers))


def empty_note(
    empty: Bool[np.ndarray, "frame slice"], known: Bool[np.ndarray, "frame slice"] | None = None
) -> str | None:
    """Name the slices that are entirely zero; None when there are none, or nothing else.

    Args:
        empty: Whether each plane is zero.
        known: Whether each plane was looked at; None when all were.
    """
    known = np.ones_like(empty) if known is None else known
    if not empty.any() or empty[known].all():
        return None
    frames, slices = empty.shape
    whole = (empty | ~known).all(0) & known.any(0)
    if slices == 1:
        parts = [f"frame {number + 1}" for number in np.flatnonzero(empty[:, 0])]
    else:
        parts = [f"slice {number + 1}" for number in np.flatnonzero(whole)]
        parts += [
            f"slice {number + 1} of frame {frame + 1}"
            for frame, number in np.argwhere(empty).tolist()
            if not whole[number]
        ]
    total = f"{frames} frames" if slices == 1 else f"{slices} slices"
    return (
        f"Exactly zero: {listed(parts)} (counted from 1, of {total}): never acquired, never "
        "written, or lost."
    )


def listed(values: list[int] | list[str]) -> str:
    """Write a list, the first ones of many."""
    text = ", ".join(map(str, values[:8]))
    return text + ", …" if len(values) > 8 else text
