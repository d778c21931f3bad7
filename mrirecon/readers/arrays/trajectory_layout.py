"""Which axes of k-space and of its trajectory are readouts and samples.

A trajectory has an axis of two or three coordinates, or is complex. Its other axes are found among
those of k-space by their lengths; along samples it goes on in small steps, along readouts it jumps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float32

from mrirecon.errors import RawDataError
from mrirecon.raw.stored_places import FARTHEST
from mrirecon.readers.arrays.array_words import COUNTERS, Stored, kind_of

EQUAL = 1e-4
"""Relative to the extent: smaller coordinates are zero, smaller differences none."""
CLEARLY = 1.5
"""Ratio of the ranges of the distance from k = 0 that tells samples from readouts."""
USUAL, OUTLYING = 0.95, 2.0
"""Places that are so many times farther from k = 0 than this share of all are damaged."""
LONE = ("coil", "slice", "repetition", "phase", "set", "contrast", "average")
"""What axes of length one are called, in this order."""
OTHERS: dict[int, tuple[str, ...]] = {0: (), 1: ("coil",), 2: ("slice", "coil")}
"""What axes of k-space mean besides readouts, samples and those of the trajectory, and what is of
length one."""


@dataclass(frozen=True)
class Places:
    """A trajectory as it is stored, its coordinates sorted out.

    Attributes:
        values: Places in its own unit, after axes of their own such as frames.
        axes: What each axis of ``values`` but the last means: ``w``, ``h`` and others before.
        notes: Notes about what was found, one sentence each.
    """

    values: Float32[np.ndarray, "... 2"]
    axes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def coordinates(values: np.ndarray, name: str) -> tuple[Float32[np.ndarray, "... 2"], list[str]]:
    """Return the two coordinates of each place as a last axis, and notes.

    Args:
        values: The trajectory as it is stored.
        name: Name of the trajectory, for messages.

    Raises:
        RawDataError: When it is no trajectory of a plane, or damaged.
    """
    shape = values.shape
    if values.dtype.kind == "c":
        values = np.stack([values.real, values.imag], -1)
    elif values.dtype.kind not in "fiu":
        raise RawDataError(f"'{name}' is {values.dtype}, expected numbers: places in k-space")
    elif len(shape) < 2 or (axis := _coordinate_axis(shape)) is None:
        raise RawDataError(
            f"'{name}' is {shape}, expected places in k-space with an axis of 2 coordinates, for "
            "instance (readout, sample, 2); save it again"
        )
    else:
        values = np.moveaxis(values, axis, -1)
    damaged = ~(np.abs(values) < FARTHEST)  # which NaN is not either
    if damaged.any():
        raise RawDataError(
            f"'{name}' holds {int(damaged.sum())} values that are not finite (NaN or infinity) or "
            f"above {FARTHEST:g}, expected places in k-space; copy or export the file again"
        )
    extent = float(np.abs(values[..., :2]).max()) if values.size else 0.0
    if extent == 0 or not (np.ptp(values[..., :2], axis=tuple(range(values.ndim - 1))) > 0).all():
        raise RawDataError(
            f"'{name}' {shape} does not vary along both of its coordinates, expected places in a "
            "plane of k-space; it was not filled in, or has another order of axes"
        )
    _refuse_outlying(np.abs(values[..., :2]), extent, name)
    notes = _third(values[..., 2], extent, name) if values.shape[-1] == 3 else []
    for axis in reversed(range(values.ndim - 1)):  # axes of length one tell nothing
        if values.ndim > 3 and values.shape[axis] == 1:
            values = values.squeeze(axis)
    return np.ascontiguousarray(values[..., :2], np.float32), notes


def _refuse_outlying(distance: np.ndarray, extent: float, name: str) -> None:
    """Refuse places far beyond nearly all others, which would decide unit and size of the image."""
    usual = float(np.quantile(distance.max(axis=-1), USUAL))
    if extent > OUTLYING * usual:
        count = int((distance.max(axis=-1) > OUTLYING * usual).sum())
        raise RawDataError(
            f"'{name}' reaches to {extent:.4g} in {count} places, {USUAL:.0%} of all lie "
            f"within {usual:.4g}, expected places in k-space that reach about equally far; "
            "they are damaged: export the trajectory again, or leave their readouts out"
        )


def _coordinate_axis(shape: tuple[int, ...]) -> int | None:
    """Return the axis of coordinates: the last one of 2 or 3, or the first one."""
    for axis in (len(shape) - 1, *range(len(shape) - 1)):
        if shape[axis] in (2, 3):
            return axis
    return None


def _third(values: np.ndarray, extent: float, name: str) -> list[str]:
    """Say what a third coordinate is.

    Raises:
        RawDataError: When it is a third axis of k-space.
    """
    if np.ptp(values) <= EQUAL * extent:
        return []
    if values.min() >= 0 and values[values > 0].size and np.ptp(values, axis=-1).max() > 0:
        return [
            f"The third coordinate of '{name}' is never negative and was taken as density "
            "compensation, which is computed here instead."
        ]
    raise RawDataError(
        f"'{name}' goes along three axes of k-space (a kooshball, or stacks that are not Fourier "
        "transformed), expected readouts in a plane; a stack of stars or spirals can be read from "
        "ISMRMRD files, or after a Fourier transform along its partitions"
    )


def laid_out(
    kspace: Stored, places: Float32[np.ndarray, "... 2"], axes: tuple[str, ...] | None, name: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the axes of k-space and of the trajectory mean.

    Args:
        kspace: k-space as it is stored.
        places: Coordinates of the samples.
        axes: What the user said about the axes of k-space; None looks for readouts and samples.
        name: Name of the trajectory, for messages.

    Raises:
        RawDataError: When they do not fit together.
    """
    kind = kind_of(kspace, None if axes is None else len(axes), False)
    shape = tuple(kspace.shape[:-1] if kind == "pairs" else kspace.shape)
    own = places.shape[:-1]
    if len(own) < 2:
        raise RawDataError(
            f"'{name}' is a list of {own[0] if own else 0} places, expected one for each sample of "
            "each readout: (readout, sample, 2), with k-space (coil, readout, sample); save both "
            "so"
        )
    words = _words_of(places)
    if axes is not None:
        sizes = dict(zip(axes, shape, strict=False))
        for one in _namings(words, axes):
            if all(sizes.get(word, size) == size for word, size in zip(one, own, strict=True)):
                return axes, one
        raise _unfitting(shape, own, name)
    for first, second in _pairs(len(shape)):
        if (shape[first], shape[second]) != own[-2:]:
            continue
        found = {first: words[-2], second: words[-1]}
        rest = [axis for axis in range(len(shape)) if axis not in found]
        leading = _leading(own[:-2], [shape[axis] for axis in rest], name)
        if leading is None:
            continue
        for axis, word in zip(rest, leading, strict=True):
            found[axis] = word
        return tuple(found[axis] for axis in range(len(shape))), words
    raise _unfitting(shape, own, name)


def _words_of(places: Float32[np.ndarray, "... 2"]) -> tuple[str, ...]:
    """Tell samples from readouts.

    Samples go out from k = 0 or through it, while readouts are turned copies of one another. Where
    both change the distance from k = 0, samples follow one another in smaller steps.
    """
    radius = np.linalg.norm(places, axis=-1)
    ranges = [float(np.ptp(radius, axis=axis).mean()) for axis in (-2, -1)]
    steps = [float(np.linalg.norm(np.diff(places, axis=axis), axis=-1).mean()) if
             places.shape[axis] > 1 else np.inf for axis in (-3, -2)]  # fmt: skip
    if max(ranges) > CLEARLY * min(ranges):
        last = ("h", "w") if ranges[0] > ranges[1] else ("w", "h")
    else:
        last = ("h", "w") if steps[0] < steps[1] else ("w", "h")
    own = places.shape[:-3]
    if len([n for n in own if n > 1]) > 1:
        raise RawDataError(
            f"the trajectory has the axes {own} besides readouts, samples and coordinates, "
            "expected at most one, of frames"
        )
    return (*("repetition" if n > 1 else "" for n in own), *last)


def _namings(words: tuple[str, ...], axes: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield what the axes of a trajectory may mean beside k-space whose axes are known.

    Frames may be told from one another by any counter that k-space has, not by repetitions alone.
    """
    counters = [word for word in COUNTERS if word in axes]
    for counter in counters if "repetition" in words else [""]:
        own = tuple(counter if word == "repetition" else word for word in words)
        yield own
        yield (*own[:-2], own[-1], own[-2])


def _pairs(count: int) -> list[tuple[int, int]]:
    """Return pairs of axes in the order in which they are tried: neighbours, last ones first."""
    pairs = list(permutations(range(count), 2))
    return sorted(pairs, key=lambda p: (p[1] - p[0] != 1, p[0] > p[1], -p[0]))


def _leading(frames: tuple[int, ...], sizes: list[int], name: str) -> list[str] | None:
    """Return what the remaining axes of k-space mean; None when they do not fit.

    Raises:
        RawDataError: When several of them may be frames.
    """
    frames = tuple(n for n in frames if n > 1)
    words: list[str] = [""] * len(sizes)
    if frames:
        if frames[0] not in sizes:
            return None
        if sizes.count(frames[0]) > 1:
            raise RawDataError(
                f"'{name}' has {frames[0]} frames; {sizes.count(frames[0])} axes of k-space are "
                "so long, expected one: say with reading.axes which of them is frames "
                "(repetition) and which coils, for instance 'repetition coil w h'"
            )
        words[sizes.index(frames[0])] = "repetition"
    left = [axis for axis, word in enumerate(words) if not word and sizes[axis] > 1]
    if len(left) not in OTHERS:
        return None
    for axis, word in zip(left, OTHERS[len(left)], strict=True):
        words[axis] = word
    rest = (word for word in LONE if word not in words)  # for axes of length one
    words = [word or next(rest, "") for word in words]
    return words if all(words) else None


def _unfitting(shape: tuple[int, ...], own: tuple[int, ...], name: str) -> RawDataError:
    return RawDataError(
        f"k-space is {shape} and '{name}' has places for {own}, which do not fit together; "
        "expected k-space (coil, readout, sample) and places (readout, sample, 2). Say with "
        "reading.axes what the axes of k-space mean, w for readouts and h for samples, for "
        "instance 'coil w h'"
    )
