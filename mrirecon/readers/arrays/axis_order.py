"""The meaning of a plain array's axes, judged by its signal.

Along the axes of k-space nearly all energy is close to the centre, along slices and coils it is
not. Only a few planes through the strongest sample are read, in whatever order the array is stored.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float64

from mrirecon.errors import RawDataError
from mrirecon.raw.plausibility import Peak, coil_energy, find_peak
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.coil_axis import are_coils
from mrirecon.readers.arrays.kspace_array import KSpaceArray

ROUNDS = 2
"""How often the strongest sample is looked for along each axis."""
MOST = 8
"""How many planes along an axis are looked at to tell coils from slices."""
K_SPACE = ("center", "corner")


@dataclass(frozen=True)
class Signal:
    """Where the energy of an array is.

    Attributes:
        strongest: Position of the strongest sample that was found, by what the axes mean.
        peaks: Peak of the energy along each axis, through that sample.
    """

    strongest: dict[str, int]
    peaks: dict[str, Peak]

    def is_kspace(self, word: str) -> bool:
        """Tell whether an axis has the peak of k-space."""
        return self.peaks[word].place in K_SPACE


def find_signal(array: KSpaceArray, stored: Stored) -> Signal:
    """Look for the strongest sample and for the peaks through it.

    Raises:
        RawDataError: When the array cannot be read.
    """
    long = [word for word in array.axes if array.count(word) > 1]
    if len(long) < 2:
        return Signal(dict.fromkeys(array.axes, 0), {w: _lone(array, w) for w in array.axes})
    *others, along = long  # the last axis is contiguous in memory
    best: tuple[float, Signal] | None = None
    for start in product(*((array.count(word) // 2, 0) for word in others[:-1])):
        position = dict.fromkeys(array.axes, 0) | dict(zip(others[:-1], start, strict=True))
        found = _climb(array, stored, position, others, along)
        if best is None or found[0] > best[0]:
            best = found
        if sum(best[1].is_kspace(word) for word in long) >= 2:
            break
    assert best is not None
    return best[1]


def _climb(
    array: KSpaceArray, stored: Stored, start: dict[str, int], others: list[str], along: str
) -> tuple[float, Signal]:
    """Go to the strongest sample of planes through the present one, axis by axis."""
    position, energies = dict(start), {}
    for _ in range(ROUNDS):
        for word in reversed(others):
            energy = _energy(array, stored, (word, along), position)
            position[word], position[along] = divmod(int(energy.argmax()), energy.shape[1])
            energies[word] = energy
    peaks = {word: _lone(array, word) for word in array.axes}
    for word, energy in energies.items():
        x = position[along]
        peaks[word] = find_peak(energy[:, max(0, x - 1) : x + 2].sum(1))
    last = energies[others[-1]]
    y = position[others[-1]]
    # with an axis that is no k-space, neighbours are other coils or slices
    peaks[along] = find_peak(last[y])
    return float(last.max()), Signal(position, peaks)


def _lone(array: KSpaceArray, word: str) -> Peak:
    return Peak("none", 0, array.count(word))


def _energy(
    array: KSpaceArray, stored: Stored, words: tuple[str, str], position: dict[str, int]
) -> Float64[np.ndarray, "n m"]:
    fixed = {word: index for word, index in position.items() if word not in words}
    return coil_energy(array.peek(stored, words, fixed)[None])


def check_order(
    array: KSpaceArray, stored: Stored, signal: Signal, expected: tuple[str, ...]
) -> list[str]:
    """Compare what the axes are taken for with where the signal is.

    Args:
        array: The layout that is assumed.
        stored: The array as it is stored.
        signal: Strongest sample of the array and the peaks through it.
        expected: Axes that are in k-space.

    Returns:
        What contradicts the assumption so much that another order is far likelier, and which one;
        nothing when it may be right.
    """
    inside = [word for word in array.axes if signal.is_kspace(word)]
    wrong = [word for word in inside if word not in expected]
    missing = [word for word in expected if word not in inside]
    if missing and wrong and len(inside) >= 2:
        names = dict(zip(sorted(inside, key=array.axes.index)[-2:], ("h", "w"), strict=True))
        rest = [word for word in array.axes if word not in names]
        names |= _slices_and_coils(array, stored, signal, rest, tuple(names))
        order = " ".join(names[word] for word in array.axes)
        return [
            f"the signal peaks as k-space does along the axes {_numbers(array, inside)}, not along "
            f"{_numbers(array, missing)}",
            order,
        ]
    if missing:
        return []
    return _check_slices(array, stored, signal)


def _check_slices(array: KSpaceArray, stored: Stored, signal: Signal) -> list[str]:
    """Find coils that are taken for slices."""
    if "slice" not in array.axes or not looks_like_coils(array, stored, signal, "slice"):
        return []
    if array.coils > 1 and looks_like_coils(array, stored, signal, "coil"):
        return []
    swapped = {"slice": "coil", "coil": "slice"}
    order = " ".join(swapped.get(word, word) for word in array.axes)
    return [
        f"axis {_numbers(array, ['slice'])} looks like coils: its {array.slices} planes are one "
        "image times smooth sensitivities",
        order,
    ]


def _slices_and_coils(
    array: KSpaceArray, stored: Stored, signal: Signal, rest: list[str], plane: tuple[str, ...]
) -> dict[str, str]:
    """Say which of the axes that are not in k-space are coils, which slices, as far as possible."""
    if len(rest) != 2:
        free = iter(["coil", *(word for word in array.axes if word not in ("h", "w", "coil"))])
        return {word: next(free, "slice") for word in rest}
    likely = [w for w in rest if looks_like_coils(array, stored, signal, w, plane)]
    coil = likely[0] if len(likely) == 1 else min(rest, key=array.count)
    return {word: "coil" if word == coil else "slice" for word in rest}


def looks_like_coils(
    array: KSpaceArray,
    stored: Stored,
    signal: Signal,
    word: str,
    plane: tuple[str, ...] = ("h", "w"),
) -> bool:
    """Tell whether the planes along an axis are surely coils of one image."""
    # neighbours, because slices far from one another are as different as coils
    first = max(0, min(signal.strongest[word] - MOST // 2, array.count(word) - MOST))
    chosen = range(first, min(first + MOST, array.count(word)))
    fixed = {axis: index for axis, index in signal.strongest.items() if axis not in plane}
    planes = [array.peek(stored, plane, fixed | {word: index}) for index in chosen]
    y, x = (signal.peaks[axis] for axis in plane)
    return are_coils(planes, (y, x))


def _numbers(array: KSpaceArray, words: list[str]) -> str:
    return " and ".join(f"{array.axes.index(w)} ({w}, {array.count(w)})" for w in words)


def refuse_order(array: KSpaceArray, reasons: list[str]) -> None:
    """Refuse an array of which another order of axes is far likelier than the one assumed.

    Raises:
        RawDataError: When there are reasons.
    """
    if reasons:
        reason, order = reasons
        raise RawDataError(
            f"'{array.name}' {array.shape} would be taken as ({', '.join(array.axes)}), but "
            f"{reason}; say what the axes are: reading.axes='{order}' fits the signal, "
            f"reading.axes='{' '.join(array.axes)}' keeps what was assumed"
        )


def refuse_volume(
    array: KSpaceArray, stored: Stored, signal: Signal, expected: tuple[str, ...]
) -> None:
    """Refuse k-space along three axes, the slices among them, where slices are expected.

    Raises:
        RawDataError: When the energy of slices is that of partitions: it has the peak of k-space,
            and its Fourier transform has none, as a profile through an object has none.
    """
    if "slice" in expected or "slice" not in array.axes or not signal.is_kspace("slice"):
        return
    fixed = {word: index for word, index in signal.strongest.items() if word not in ("slice", "w")}
    lines = array.peek(stored, ("slice", "w"), fixed)[:, signal.strongest["w"]]
    shifted = np.fft.ifftshift(lines) if signal.peaks["slice"].place == "center" else lines
    profile = np.abs(np.fft.ifft(shifted.astype(np.complex128)))
    if find_peak(profile**2).place != "none":
        return
    order = " ".join(array.axes)
    raise RawDataError(
        f"'{array.name}' {array.shape} would be taken as ({', '.join(array.axes)}), but the signal "
        f"peaks as k-space does along axis {_numbers(array, ['slice'])}, too: this looks like "
        "3-D k-space, expected separate slices; apply an inverse Fourier transform along that "
        f"axis first, or say reading.axes='{order}' if these are slices"
    )
