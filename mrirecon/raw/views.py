"""The header's fields of view: in millimetres, and in agreement with one another."""

from dataclasses import replace

from mrirecon.errors import RawDataError
from mrirecon.raw.header import Encoding, Space
from mrirecon.raw.plausibility import UNITS

VIEW = (2.0, 3000.0)
"""Plausible fields of view in the image plane and along a slab, in mm."""
SLICE = (0.05, 300.0)
"""Plausible slice thicknesses, in mm; a slab may be given instead of its partitions."""
SMALL = 60.0
"""A field of view below this, in mm, is told: it is an animal's, or in centimetres."""
RATIO = (0.4, 8.0)
"""Plausible ratios of the encoded to the reconstructed field of view."""
STRETCHED = 5.0
"""A pixel that is so many times longer than wide is told."""


def plausible_views(encoding: Encoding) -> tuple[Encoding, list[str]]:
    """Correct fields of view that were given in metres, centimetres or micrometres.

    Returns:
        The encoding with lengths in mm, None where no unit explains one; and what was done, one
        sentence each.

    Raises:
        RawDataError: When encoded and reconstructed field of view contradict each other.
    """
    encoded, notes = _space(encoding.encoded, "encoded")
    recon, more = _space(encoding.recon, "reconstructed")
    for axis in (0, 1):
        view, wanted = encoded.field_of_view[axis], recon.field_of_view[axis]
        if view is None or wanted is None or RATIO[0] <= view / wanted <= RATIO[1]:
            continue
        raise RawDataError(
            f"the header's field of view along {'xy'[axis]} is {view:g} mm encoded and {wanted:g} "
            "mm reconstructed: they contradict each other, expected the same, or an encoded one "
            f"that is up to {RATIO[1]:g} times larger; correct fieldOfView_mm in the file's XML"
        )
    encoding = replace(encoding, encoded=encoded, recon=recon)
    return encoding, [*notes, *more, *_contradictions(encoding)]


def _space(space: Space, what: str) -> tuple[Space, list[str]]:
    """Correct one field of view: along x and y, then the thickness, which follows their unit."""
    found = [_unit(value, VIEW) for value in space.field_of_view[:2]]
    units = {factor for factor in found if factor not in (None, 1.0)}
    thick = space.field_of_view[2]
    depth = _unit(thick, SLICE)
    for factor in units:
        if thick is not None and factor is not None and SLICE[0] <= thick * factor <= SLICE[1]:
            depth = factor
    factors = [*found, depth]
    if all(factor == 1.0 for factor in factors):
        return space, []
    views = [
        None if value is None or factor is None else round(value * factor, 6)
        for value, factor in zip(space.field_of_view, factors, strict=True)
    ]
    told = " x ".join("?" if v is None else f"{v:g}" for v in space.field_of_view)
    corrected = replace(space, field_of_view=(views[0], views[1], views[2]))
    notes = []
    if named := sorted({UNITS[factor] for factor in factors if factor in UNITS}):
        sizes = " x ".join("?" if v is None else f"{v:g}" for v in views)
        notes.append(
            f"The {what} field of view, {told} mm, is impossible and was taken as "
            f"{' and '.join(named)}: {sizes} mm."
        )
    if None in factors:
        axes = " and ".join("xyz"[axis] for axis, factor in enumerate(factors) if factor is None)
        notes.append(
            f"The {what} field of view, {told} mm, is impossible along {axes} and was ignored: "
            "correct fieldOfView_mm in the file's XML."
        )
    return corrected, notes


def _unit(value: float | None, plausible: tuple[float, float]) -> float | None:
    """Return the factor that makes a length plausible; None when none does."""
    if value is None or plausible[0] <= value <= plausible[1]:
        return 1.0
    for factor in UNITS:
        if plausible[0] <= value * factor <= plausible[1]:
            return factor
    return None


def _contradictions(encoding: Encoding) -> list[str]:
    """Say what in matrices and fields of view cannot be right together."""
    (size, _, _), (view, view_y, _) = encoding.encoded.matrix, encoding.encoded.field_of_view
    (wanted, wanted_y, _) = encoding.recon.matrix
    (wanted_view, wanted_view_y, _) = encoding.recon.field_of_view
    notes = []
    notes += small_view(wanted_view or view, wanted_view_y or view_y)
    if (
        size
        and wanted
        and view
        and wanted_view
        and size >= 1.9 * wanted
        and view < 1.1 * wanted_view
    ):
        notes.append(
            f"The header has {size} readout samples for {wanted} pixels of the same field of view "
            f"({view:g} mm): taken as finer sampling. If the readout is oversampled instead, the "
            "encoded field of view should be larger in the same ratio, and the image is squeezed "
            "along the readout; correct fieldOfView_mm in the file's XML."
        )
    if wanted and wanted_y and wanted_view and wanted_view_y:
        pixel = (wanted_view / wanted, wanted_view_y / wanted_y)
        if max(pixel) > STRETCHED * min(pixel):
            notes.append(
                f"The header's pixels are {pixel[0]:.3g} x {pixel[1]:.3g} mm: do its matrix and "
                "field of view contradict each other?"
            )
    if view and wanted_view and view < 0.98 * wanted_view:
        notes.append(_smaller("x", view, wanted_view))
    if view_y and wanted_view_y and view_y < 0.98 * wanted_view_y:
        notes.append(_smaller("y", view_y, wanted_view_y))
    return notes


def small_view(x: float | None, y: float | None) -> list[str]:
    """Say that a field of view is too small for a person: centimetres look like that."""
    if x is None or y is None or max(x, y) >= SMALL:
        return []
    return [
        f"The field of view is only {x:g} x {y:g} mm: right for a small animal or a sample, in "
        "centimetres for a person. It was taken as mm; if that is wrong, correct fieldOfView_mm in "
        "the file's XML."
    ]


def _smaller(axis: str, view: float, wanted: float) -> str:
    return (
        f"The encoded field of view along {axis}, {view:g} mm, is smaller than the reconstructed "
        f"one, {wanted:g} mm: the image shows the encoded one."
    )
