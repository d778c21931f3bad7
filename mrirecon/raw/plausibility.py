"""Plausibility of k-space: what every reader asks about the planes that it yields.

k-space of an image has nearly all of its energy close to k = 0, along both axes. That tells where
the centre is, and which arrays are no k-space at all: images, noise, spokes. Nothing here decides;
readers correct, refuse or note.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Complex64, Float64

from mrirecon.geometry import Vector

SHORTEST = 12
"""Samples of an axis below which its energy tells nothing."""
NEAR = 16
"""Energy within one such part of an axis around the peak, on both sides, is near it."""
SHARE, PROMINENCE = 0.7, 50.0
"""k-space has at least this share of a line's energy near the peak, which is at least so many times
the median. Measured scans have above 0.96 and 1400, coils and slices below 0.5 and 20."""
BROAD = 8.0
"""The same of a small object, whose k-space is broad: its peak fills up to half of the axis."""
VOXEL = (0.05, 30.0)
"""Plausible pixel spacings and slice thicknesses, in mm."""
UNITS = {1e3: "metres", 1e-3: "micrometres", 10.0: "centimetres"}
"""What a length was given in, when multiplying by this makes it plausible."""
Place = Literal["center", "corner", "aside", "none"]
Plane = Complex64[np.ndarray, "coil h w"]


@dataclass(frozen=True)
class Peak:
    """Where the energy along an axis is.

    Attributes:
        place: Place of the peak: in the ``center`` (index ``n // 2``), in the ``corner`` (index 0,
            or around it as axes are periodic), ``aside``, or ``none`` when there is no such peak.
        index: Index of the strongest sample.
        size: Number of samples of the axis.
    """

    place: Place
    index: int
    size: int

    @property
    def offset(self) -> int:
        """The distance from the centre."""
        return self.index - self.size // 2


def find_peak(energy: Float64[np.ndarray, " n"]) -> Peak:
    """Find the peak of the energy along an axis; samples that were not measured are zero."""
    size, index = len(energy), int(energy.argmax())
    measured = np.flatnonzero(energy)
    if size < SHORTEST or len(measured) < SHORTEST // 2 or not np.isfinite(energy).all():
        return Peak("none", index, size)
    # undersampled axes have few samples besides their centre, of which a median tells nothing
    whole = np.exp(np.interp(np.arange(size), measured, np.log(energy[measured])))
    prominence = whole[index] / np.median(whole)
    near, step = max(2, size // NEAR), int(np.median(np.diff(measured)))
    if _share(whole, index, near) >= SHARE and prominence >= PROMINENCE:
        return Peak(_place(index, size, max(near, step)), index, size)
    if _share(whole, index, size // 4) >= SHARE and prominence >= BROAD:
        place = _place(index, size, max(1, step - 1))  # so broad a peak has to be exactly there
        return Peak("none" if place == "aside" else place, index, size)
    return Peak("none", index, size)


def _share(energy: Float64[np.ndarray, " n"], index: int, near: int) -> float:
    """Return the share of the energy at most so many samples from an index; axes are periodic."""
    around = (index + np.arange(-near, near + 1)) % len(energy)
    return float(energy[around].sum() / energy.sum())


def _place(index: int, size: int, tolerance: int) -> Place:
    if abs(index - size // 2) <= tolerance:
        return "center"
    return "corner" if min(index, size - index) <= tolerance else "aside"


def coil_energy(kspace: Plane) -> Float64[np.ndarray, "h w"]:
    """Return the energy of each sample, of all coils together."""
    energy = np.zeros(kspace.shape[-2:])
    for coil in kspace:  # in float64: squares of small signals underflow
        energy += np.square(coil.real, dtype=np.float64) + np.square(coil.imag, dtype=np.float64)
    return energy


def energy_of(samples: Complex64[np.ndarray, "..."]) -> float:
    """Return the energy of all samples together, in float64."""
    parts = (np.square(part, dtype=np.float64).sum() for part in (samples.real, samples.imag))
    return float(sum(parts))


def image_of(kspace: Plane, axes: tuple[int, ...]) -> Plane:
    """Return the image of a plane along some axes, by NumPy: to look at it takes no torch."""
    image = np.fft.ifftn(np.fft.ifftshift(kspace, axes), axes=axes, norm="ortho")
    return np.fft.fftshift(image, axes).astype(np.complex64)


def place_notes(peaks: tuple[Peak, Peak]) -> list[str]:
    """Say which of the peaks along ``h`` and ``w`` miss the centre, or are none."""
    if min(peak.size for peak in peaks) < SHORTEST:
        return []
    if all(peak.place == "none" for peak in peaks):
        return [
            "The signal has no peak, as k-space of an image has: is this noise, an image, or a "
            "slice outside the object?"
        ]
    names = ("h (readout)", "w (phase encoding)")
    found = [place_note(peak, name) for peak, name in zip(peaks, names, strict=True)]
    return [note for note in found if note]


def place_note(peak: Peak, name: str) -> str:
    """Say that a peak misses the centre of the axis of that name, or is none; else empty."""
    if peak.place == "none":
        return (
            f"The signal has no peak along {name}, as k-space of an image has: is that axis in "
            "image space, or are these spokes?"
        )
    if peak.place == "corner":
        return (
            f"The signal peaks at index {peak.index} of {peak.size} along {name}: k-space has "
            f"its centre in the corner, expected at {peak.size // 2}."
        )
    if peak.place == "aside":
        return (
            f"The signal peaks at index {peak.index} of {peak.size} along {name}, "
            f"{abs(peak.offset)} off the centre: maps and calibration are taken around the "
            f"centre, {peak.size // 2}. Lines of partial Fourier that were not measured belong "
            "into the array as zeros."
        )
    return ""


def plausible_voxel(voxel: Vector | None) -> tuple[Vector | None, list[str]]:
    """Correct a voxel size in mm that was given in another unit.

    Args:
        voxel: Spacing along y and x, and slice thickness.

    Returns:
        The voxel, None when no unit explains it; and what was done, one sentence each.
    """
    if voxel is None:
        return None, []
    sizes, units = zip(*(_millimetres(size) for size in voxel), strict=True)
    found = " x ".join(f"{size:.3g}" for size in voxel)
    if None in sizes:
        return None, [
            f"The header tells voxels of {found} mm, expected {VOXEL[0]:g} to {VOXEL[1]:g} mm: "
            "they are impossible and were ignored, voxel sizes are unknown."
        ]
    other = sorted({unit for unit in units if unit})
    if not other:
        return voxel, []
    named = " and ".join(other)
    return (float(sizes[0]), float(sizes[1]), float(sizes[2])), [
        f"The header tells voxels of {found} mm: taken as {named} where they are impossible, which "
        f"makes {' x '.join(f'{size:.3g}' for size in sizes)} mm."
    ]


def _millimetres(size: float) -> tuple[float | None, str]:
    """Return a length in mm, and the unit when it had another."""
    if VOXEL[0] <= size <= VOXEL[1]:
        return size, ""
    for factor, unit in UNITS.items():
        if VOXEL[0] <= size * factor <= VOXEL[1]:
            return size * factor, unit
    return None, ""
