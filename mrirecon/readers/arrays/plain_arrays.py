"""Checks of a k-space array when its file is opened, common to all formats of arrays.

Where the centre of k-space is, whether the array is k-space at all, which slices are empty and
which coils dead. Arrays whose centre is in the corner are turned around; what cannot be k-space of
an image is refused. ``reading.centered`` and ``reading.axes`` overrule all of it.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Complex64, Float64

from mrirecon.errors import RawDataError
from mrirecon.raw.content import Content, Numbers, content_notes
from mrirecon.raw.plausibility import (
    SHORTEST,
    Peak,
    coil_energy,
    energy_of,
    find_peak,
    image_of,
    place_notes,
)
from mrirecon.raw.trajectory_names import ASK as SPOKES
from mrirecon.read_options import ReadOptions
from mrirecon.readers.arrays.array_words import Stored
from mrirecon.readers.arrays.axis_order import (
    Signal,
    check_order,
    find_signal,
    refuse_order,
    refuse_volume,
)
from mrirecon.readers.arrays.image_origin import image_origin
from mrirecon.readers.arrays.kspace_array import KSpaceArray

EVEN = 0.25
"""Spokes, and lines without phase encoding, differ less than this from one another in k = 0."""
Plane = Complex64[np.ndarray, "coil h w"]


def check_array(
    array: KSpaceArray,
    stored: Stored,
    reading: ReadOptions,
    words: tuple[str, ...],
    known: bool,
    choosable: bool,
) -> KSpaceArray:
    """Compare a layout with the signal; what is assumed and noticed is added to its notes.

    Args:
        array: Layout of the array.
        stored: The array as it is stored.
        reading: Read options, which overrule the signal.
        words: Axes that are in k-space.
        known: Whether the layout is that of a public data set: nothing is turned around.
        choosable: Whether ``reading.axes`` applies.

    Raises:
        RawDataError: When the array is no k-space, or another order of axes is far likelier.
    """
    signal = find_signal(array, stored)
    peaks, where = signal.peaks, signal.strongest
    plane: Plane | None = None
    notes, _ = content_notes(ArrayContent(array, stored, where, "slice" in words))
    if reading.centered is None:
        if reading.axes is None and choosable:
            refuse_order(array, check_order(array, stored, signal, words))
            refuse_volume(array, stored, signal, words)
        if min(array.grid) < SHORTEST or any(peaks[word].place == "none" for word in words):
            plane = array.plane_at(stored, where)
            refuse_no_kspace(array, plane, (peaks["h"], peaks["w"]))
        if not known:
            _refuse_real(array, stored, where)
    if reading.axes is None and choosable and not known:
        notes.insert(0, _assumed(array))
    array = centered(array, signal, reading, known, words)
    seen = {w: Peak("center", 0, p.size) if w in array.corner else p for w, p in peaks.items()}
    notes += place_notes((seen["h"], seen["w"]))
    array = replace(array, notes=(*array.notes, *notes))
    if known and reading.image_centered is None:
        return array
    return image_origin(array, array.plane_at(stored, where), reading)


def _refuse_real(array: KSpaceArray, stored: Stored, where: dict[str, int]) -> None:
    plane = array.peek(stored, ("h", "w"), where)
    if min(plane.shape) >= SHORTEST and plane.any() and not plane.imag.any():
        raise RawDataError(
            f"the imaginary part of '{array.name}' {array.shape} is exactly zero: these are "
            "magnitudes, maps or coordinates, expected k-space, whose phase makes the image. "
            f"{_ADVICE}"
        )


def _assumed(array: KSpaceArray) -> str:
    note = (
        f"The axes of '{array.name}' {array.shape} were taken as ({', '.join(array.axes)}); "
        "reading.axes says otherwise"
    )
    if "coil" in array.axes or "slice" not in array.axes:
        return f"{note}."
    order = " ".join("coil" if word == "slice" else word for word in array.axes)
    return f"{note}. So each slice has one coil: if they are coils, say reading.axes='{order}'."


def centered(
    array: KSpaceArray, signal: Signal, reading: ReadOptions, known: bool, words: tuple[str, ...]
) -> KSpaceArray:
    """Return the layout with the axes along which k = 0 is at index 0, as told or as found.

    Args:
        array: The layout, as stored.
        signal: Strongest sample of the array and the peaks through it.
        reading: Read options, of which ``centered`` overrules the signal.
        known: Whether the layout is that of a public data set, whose k-space is centred.
        words: Axes that are in k-space.

    Raises:
        RawDataError: When ``known`` and the signal contradict each other.
    """
    told = reading.centered
    if told is not None:
        corner = tuple(w for w in words if told is False or (isinstance(told, str) and w != told))
        return replace(array, corner=corner)
    corner = tuple(word for word in words if signal.peaks[word].place == "corner")
    if not corner:
        return array
    # an axis that is too short to tell was transformed as the others
    short = [w for w in words if signal.peaks[w].size < SHORTEST and not signal.peaks[w].index]
    if len(corner) + len(short) == len(words):
        corner = tuple(word for word in words if word in (*corner, *short))
    places = " and ".join(_where(signal.peaks[word], word) for word in corner)
    found = f"The signal peaks at {places}"
    if known:
        raise RawDataError(
            f"{found} of '{array.name}': its centre is in the corner, expected in the middle as in "
            f"all files of this layout; say reading.centered={_option(words, corner)} to have it "
            "moved there, or reading.centered=true to leave it"
        )
    note = (
        f"{found}: k-space has its centre in the corner and was shifted into the middle "
        f"(reading.centered={_option(words, corner)} says so, reading.centered=true prevents it)."
    )
    return replace(array, corner=corner, notes=(*array.notes, note))


def _where(peak: Peak, word: str) -> str:
    return f"index {peak.index} of {peak.size} along {word}"


def _option(words: tuple[str, ...], corner: tuple[str, ...]) -> str:
    left = [word for word in words if word not in corner and word in ("h", "w")]
    return left[0] if len(left) == 1 else "false"


def refuse_no_kspace(array: KSpaceArray, plane: Plane, peaks: tuple[Peak, Peak]) -> None:
    """Refuse planes that cannot be Cartesian k-space of an image.

    Args:
        array: Layout of the array.
        plane: Plane ``(h, w)`` of k-space through the strongest sample.
        peaks: Peaks of k-space along h and w.

    Raises:
        RawDataError: Naming what they look like.
    """
    name = f"'{array.name}' {array.shape}, taken as ({', '.join(array.axes)}),"
    lost = [word for word, peak in zip(("h", "w"), peaks, strict=True) if peak.place == "none"]
    h, w = plane.shape[-2:]
    if min(h, w) < SHORTEST:
        if min(h, w) == 1 or (max(h, w) >= 4 * SHORTEST and len(lost) == 2):
            what = "noise" if len(lost) == 2 else "lines without phase encoding"
            raise RawDataError(
                f"{name} has planes of {h} x {w} samples: this looks like {what}, expected k-space "
                f"of an image. {_ADVICE}"
            )
        return
    if not lost:
        return
    if len(lost) == 1 and _even(plane, lost[0], peaks):
        raise RawDataError(
            f"{name} has the same signal in k = 0 in all {h if lost[0] == 'h' else w} lines along "
            f"{lost[0]}: radial spokes, navigators or projections, expected Cartesian lines of "
            f"which one crosses k = 0. If these are spokes, {SPOKES}. {_ADVICE}"
        )
    axes = tuple(-2 if word == "h" else -1 for word in lost)
    other = image_of(plane, axes)
    if all(peak.place != "none" for peak in _peaks(other)):
        what = "an image" if len(lost) == 2 else f"in image space along {lost[0]} (hybrid space)"
        raise RawDataError(
            f"{name} has no peak along {' and '.join(lost)}, but its Fourier transform has: it "
            f"looks like {what}, expected k-space along both; transform it by a centred Fourier "
            f"transform first. If its readouts are spokes or spirals, {SPOKES}. {_ADVICE}"
        )


_ADVICE = "Give another file; reading.centered=true says that it is k-space all the same"


def _peaks(plane: Plane) -> tuple[Peak, Peak]:
    energy = coil_energy(plane)
    y, x = np.unravel_index(int(energy.argmax()), energy.shape)
    return find_peak(energy[:, x]), find_peak(energy[y])


def _even(plane: Plane, word: str, peaks: tuple[Peak, Peak]) -> bool:
    """Tell whether lines along an axis have the same signal where the other has its peak."""
    energy = coil_energy(plane)
    line = energy[:, peaks[1].index] if word == "h" else energy[peaks[0].index]
    line = line[line > 0]
    return bool(line.min() > (1 - EVEN) * line.max())


class ArrayContent(Content):
    """The energy of the planes of an array; a volume in k-space along all axes is one plane."""

    def __init__(
        self, array: KSpaceArray, stored: Stored, where: dict[str, int], volume: bool
    ) -> None:
        self.array, self.stored, self.where, self.volume = array, stored, where, volume
        self.shape = (len(array.frames), 1 if volume else array.slices)
        self.coils = array.coils

    def present(self) -> Numbers:
        return np.arange(self.shape[0] * self.shape[1])

    def strength(self, planes: Numbers) -> Float64[np.ndarray, "plane"]:
        rows = (self.array.peek(self.stored, ("w",), self._at(int(plane))) for plane in planes)
        return np.array([energy_of(row) for row in rows])

    def line(self, plane: int) -> Float64[np.ndarray, " coil"]:
        if self.coils == 1:
            return self.whole(plane)
        rows = self.array.peek(self.stored, ("coil", "w"), self._at(plane))
        return np.array([energy_of(row) for row in rows])

    def whole(self, plane: int) -> Float64[np.ndarray, " coil"]:
        energy = np.zeros(self.coils)
        for average in range(self.array.averages):
            for slice_ in range(self.array.slices) if self.volume else [None]:
                at = self._at(plane) | {"average": average}
                at |= {} if slice_ is None else {"slice": slice_}
                values = self.array.plane_at(self.stored, at)
                energy += [energy_of(coil) for coil in values]
        return energy

    def _at(self, plane: int) -> dict[str, int]:
        frame, slice_ = divmod(plane, self.shape[1])
        at = {**self.where, **self.array.counters(frame)}
        return at if self.volume else at | {"slice": slice_}
