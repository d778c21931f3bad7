"""Where the image of a plain array has its origin: in the middle, or in the first pixel.

``fft(image)`` without ``ifftshift`` makes k-space whose image comes out with the object at the
edges. Where the object is, is seen in an image of the complete centre of k-space.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Complex64

from mrirecon.raw.plausibility import SHORTEST, image_of
from mrirecon.read_options import ReadOptions
from mrirecon.readers.arrays.kspace_array import KSpaceArray
from mrirecon.sampling.calibration import centered_slice, central_block

LOW_RESOLUTION = 32
"""Samples of the centre whose image shows where the object is."""
EDGES, RATHER = 0.8, 0.65
"""Energy in the outermost quarter of the field of view, relative to that in the outermost and the
central one, of an object at the edges; and when k-space was in the corner already."""
FEWEST = 8
"""Complete samples of the centre of an axis that are needed to see where the object is."""
Plane = Complex64[np.ndarray, "coil h w"]


def image_origin(array: KSpaceArray, plane: Plane, reading: ReadOptions) -> KSpaceArray:
    """Return the layout with the axes along which the image's first pixel was its origin.

    ``fft(image)`` without ``ifftshift`` makes such k-space; its image comes out with the object
    at the edges.

    Args:
        array: The layout, with its axes in the corner.
        plane: One plane, in the order of that layout.
        reading: ``image_centered`` overrules what is seen.
    """
    if reading.image_centered is not None:
        return array if reading.image_centered else replace(array, plain=("h", "w"))
    found = {word: _at_edges(plane, axis) for word, axis in (("h", -2), ("w", -1))}
    # an axis that tells nothing was transformed as the other one
    known = [share for share in found.values() if share is not None]
    edges = {w: max(known, default=0.0) if s is None else s for w, s in found.items()}
    moved = tuple(word for word in array.corner if edges.get(word, 0.0) > RATHER)
    if moved and "slice" in array.corner:  # the readout of a 3-D scan, transformed alike
        moved += ("slice",)
    seen = [word for word, share in edges.items() if word not in moved and share > EDGES]
    notes = list(array.notes)
    if moved:
        notes.append(
            f"The object would lie at the edges of the image along {' and '.join(moved)}: its "
            "origin was moved from the first pixel into the middle, too "
            "(reading.image_centered=true prevents it)."
        )
    if seen:
        notes.append(
            f"The object lies at the edges of the image along {' and '.join(seen)}: if k-space was "
            "computed by a Fourier transform without ifftshift, reading.image_centered=false moves "
            "it into the middle."
        )
    return replace(array, plain=moved, notes=tuple(notes))


def _at_edges(plane: Plane, axis: int) -> float | None:
    """Compare the energy at the edges of the image with that in its middle; None when unknown."""
    if min(plane.shape[-2:]) < SHORTEST:
        return None
    # the image of all samples would be folded where some are missing
    complete = central_block((plane != 0).any(0))
    sizes = [min(size, LOW_RESOLUTION) for size in complete]
    if min(sizes) < 1 or sizes[axis] < FEWEST:
        return None
    rows, columns = (
        centered_slice(n, size) for n, size in zip(plane.shape[-2:], sizes, strict=True)
    )
    energy = np.square(np.abs(image_of(plane[:, rows, columns], (-2, -1))), dtype=np.float64)
    line = energy.sum(0).sum(-1 if axis == -2 else -2)
    size = len(line)
    edges = float(line[: size // 8].sum() + line[size - size // 8 :].sum())
    middle = float(line[size // 2 - size // 8 : size // 2 + size // 8].sum())
    return edges / (edges + middle) if edges + middle > 0 else None
