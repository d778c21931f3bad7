"""A page that tells what a calibration promises, and whether it keeps that."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mrirecon.figures import coverage, save_figure
from mrirecon.files import Kind, refuse_existing
from mrirecon.pages import Text, document, grid, picture, section, table, written
from mrirecon.uncertainty.calibration import Calibration
from mrirecon.uncertainty.calibration_file import ENDING
from mrirecon.uncertainty.conformal import patients_needed, percent
from mrirecon.uncertainty.cross_check import CrossCheck, cross_checks
from mrirecon.uncertainty.voxel_errors import STEPS

CAPTION = (
    "Each patient's bounds were made of the other patients. Blue: one line for each patient. Where "
    "the mean lies on the grey line or above, the bounds keep what they promise; few patients make "
    "them wider than need be, up to 2 / (patients + 1) above the line. How far the blue lines lie "
    "apart is how much patients differ."
)
LIMITS = (
    "The promise holds for patients who are exchangeable with these: the same scanner, protocol, "
    "sampling and kind of patients. It holds on average over such patients and their voxels, not "
    "for each voxel, and not for each group of patients. Bounds are no replacement for looking."
)


def beside(path: Path) -> tuple[Path, Path]:
    """Return where picture and page of a calibration lie."""
    name = path.name.removesuffix(ENDING)
    return path.with_name(f"{name}.calibration.png"), path.with_name(f"{name}.calibration.html")


def refuse_page(path: Path, overwrite: bool) -> None:
    """Refuse to replace what is there, before anything is computed.

    Raises:
        OutputError: When picture or page exist and may not be replaced.
    """
    drawn, told = beside(path)
    refuse_existing(drawn, overwrite, Kind.PICTURE)
    refuse_existing(told, overwrite, Kind.CALIBRATION_PAGE)


def write_page(path: Path, calibration: Calibration, *, overwrite: bool = False) -> list[Path]:
    """Write the page beside a calibration, and the picture where there is something to draw.

    Args:
        path: Path of the calibration.
        calibration: Calibration to tell about.
        overwrite: Whether to replace older ones.
    """
    drawn, told = beside(path)
    figure = _figure(cross_checks(calibration), calibration.method.name)
    made = [] if figure is None else [drawn]
    if figure is not None:
        save_figure(drawn, figure, overwrite=overwrite)
    page = calibration_page(calibration, figure)
    written(told, page, Kind.CALIBRATION_PAGE, overwrite=overwrite)
    return [*made, told]


def calibration_page(calibration: Calibration, figure: Figure | None) -> Text:
    """Return the page.

    Args:
        calibration: Calibration to tell about.
        figure: Picture of the cross-check; None where there are too few patients.
    """
    shown = (
        Text(f"<p>{len(calibration.patients)} patients are too few to leave one out.</p>")
        if figure is None
        else picture(figure, CAPTION)
    )
    parts = [
        section("WARNING", calibration.shortage(), "warnings") if calibration.shortage() else "",
        section("Promise", table(_facts(calibration))),
        section("Promised and observed", shown),
        section("Patients", grid(*_patients(calibration))),
        _intervals(calibration),
        section("What it does not promise", LIMITS),
    ]
    heading = f"Calibration of {calibration.method.name}"
    count = len(calibration.patients)
    return document(
        heading, f"{count} patients, {len(calibration.scans)} series", parts, Kind.CALIBRATION_PAGE
    )


def _figure(checks: list[CrossCheck], name: str) -> Figure | None:
    if not checks:
        return None
    inside, width = (np.stack([getattr(o, n) for o in checks]) for n in ("inside", "width"))
    return coverage([one.nominal for one in checks], inside, width, title=name)


def _facts(calibration: Calibration) -> list[tuple[str, str]]:
    accelerations = [one.acceleration for one in calibration.scans]
    spread = calibration.spread
    several = f", {spread.samples} images ({spread.source})" if spread else ""
    radius = calibration.radius
    known = f"{radius:.4g} × scale" if math.isfinite(radius) else "infinite"
    return [
        ("promise", calibration.promise),
        ("half width", known),
        ("scale", calibration.scale + several),
        ("target", calibration.target),
        ("weights", ", ".join(calibration.method.weights)),
        ("sampling", calibration.sampling),
        ("acceleration", f"{min(accelerations):.2f} to {max(accelerations):.2f}"),
        ("contrasts", ", ".join(sorted({o.contrast for o in calibration.scans if o.contrast}))),
        ("vendors", ", ".join(sorted({o.vendor for o in calibration.scans if o.vendor}))),
    ]


def _patients(calibration: Calibration) -> tuple[list[str], list[list[str]]]:
    radius = calibration.radius
    step = np.searchsorted(STEPS, radius) if math.isfinite(radius) else None
    rows = []
    for one in calibration.patients:
        inside = 1.0 if step is None else 1 - float(one.risks[step])
        width = f"{200 * radius * one.relative_scale:.1f} %" if step is not None else "infinite"
        rows.append([one.patient, f"{one.voxels:,}", f"{inside:.1%}", width])
    return ["patient", "voxels", "within the bounds", "width / mean signal"], rows


def _intervals(calibration: Calibration) -> Text:
    known = (*calibration.regions, *calibration.readouts)
    if not known:
        return Text()
    needed = f"infinite: {patients_needed(calibration.coverage)} patients are needed"
    bounds = [one.bound(calibration.coverage) for one in known]
    rows = [
        [
            one.name,
            str(len(one.values)),
            f"± {bound:.4g} {one.unit}" if math.isfinite(bound) else needed,
        ]
        for one, bound in zip(known, bounds, strict=True)
    ]
    head = ["number", "patients", f"interval with probability {percent(calibration.coverage)}"]
    return section("Regions and readouts", grid(head, rows))
