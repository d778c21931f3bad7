"""Pictures of what was measured about a reconstruction."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mrirecon.figures.drawing import bare
from mrirecon.figures.picture_grid import PictureGrid
from mrirecon.figures.style import ACCENT, BACKGROUND, COOL, style
from mrirecon.quality import Added, CoilPictures, MeasuredMask, NoiseMaps, Quality

ZOOM = 24
"""Samples shown to either side of the centre of k-space."""
COILS = 16
"""Most coils shown."""
COILS_BAR, COILS_GAP = 0.7, 0.03
"""Room for the colour bar beside the coils, and between them, in inches."""
HEIGHT = 2.6
"""Of a picture, in inches."""


def sampling_figure(masks: tuple[MeasuredMask, ...]) -> Figure:
    """Show which k-space positions were used; the fully sampled centre is framed."""
    with style():
        figure, axes = _row([mask.mask.shape for mask in masks])
        for axis, measured in zip(axes, masks, strict=True):
            axis.imshow(measured.mask, cmap="gray", vmin=0, vmax=1.25)
            h, w = measured.mask.shape
            rows, columns = measured.acs
            if rows and columns and not measured.mask.all():
                corner = ((w - columns + 1) // 2 - 0.5, (h - rows + 1) // 2 - 0.5)
                frame = Rectangle(corner, columns, rows, fill=False, edgecolor=ACCENT, linewidth=1)
                axis.add_patch(frame)
            axis.set_title(f"{measured.name}: R = {measured.acceleration:.2f}", fontsize=8)
    return figure


def kspace_figure(quality: Quality) -> Figure:
    """Show the logarithm of k-space, whole and enlarged, with its centre and its peak."""
    h, w = quality.kspace.shape
    center, peak = (h // 2, w // 2), quality.peak
    picture = log_magnitude(quality.kspace)
    rows = slice(max(0, center[0] - ZOOM), center[0] + ZOOM + 1)
    columns = slice(max(0, center[1] - ZOOM), center[1] + ZOOM + 1)
    near = picture[rows, columns]
    with style():
        figure, axes = _row([(h, w), near.shape])
        whole = axes[0].imshow(picture, cmap="magma", vmin=-5, vmax=0, interpolation="antialiased")
        _bar(figure, whole, axes[0], "")  # the title tells what; a label would not fit
        axes[0].set_title("k-space, log10 of maximum", fontsize=8)
        box = (columns.start - 0.5, rows.start - 0.5)
        axes[0].add_patch(
            Rectangle(box, near.shape[1], near.shape[0], fill=False, edgecolor=COOL, linewidth=0.8)
        )
        extent = (box[0], box[0] + near.shape[1], box[1] + near.shape[0], box[1])
        drawn = axes[1].imshow(
            near, cmap="magma", vmin=-3, vmax=0, extent=extent, interpolation="nearest"
        )
        axes[1].plot(center[1], center[0], "+", color=COOL, markersize=13, markeredgewidth=1.6)
        axes[1].plot(peak[1], peak[0], "o", color=ACCENT, markersize=13, markerfacecolor="none",
                     markeredgewidth=1.6)  # fmt: skip
        axes[1].set_title("centre: + assumed, ○ peak", fontsize=8)
        _bar(figure, drawn, axes[1], "log10 of maximum")
    return figure


def coils_figure(coils: CoilPictures) -> Figure:
    """Show the magnitude of each coil's picture, up to a number that fits."""
    shown = coils.magnitude[:COILS]
    across = min(8, len(shown))
    down = -(-len(shown) // across)
    h, w = shown.shape[-2:]
    aspect = coils.spacing[0] / coils.spacing[1]
    with style():
        height = min(2.5, aspect * h / w)
        size = (height, height / (aspect * h / w))
        grid = PictureGrid(across, down, size, (COILS_GAP, COILS_GAP), COILS_BAR)
        figure, axes = grid.figure()
        high = float(np.percentile(shown, 99.8)) or 1.0
        label = f"magnitude ({coils.unit})"
        grid.draw(axes, list(shown), label, cmap="gray", vmin=0, vmax=high)
        for number, (left, _, _, top) in enumerate(grid.places()[: len(shown)], start=1):
            axes.text(left + 0.03, top - 0.03, str(number), fontsize=7, va="top", color=ACCENT)
    return figure


def eigenvalue_figure(coils: CoilPictures) -> Figure:
    """Show ESPIRiT's largest eigenvalue; outside of the contour the maps are zero."""
    assert coils.eigenvalue is not None
    with style():
        figure, axis, drawn = _map(coils.eigenvalue, "viridis", (0.0, 1.0), coils.spacing)
        inside = coils.eigenvalue >= coils.crop
        if coils.crop > 0 and inside.any() and not inside.all():
            axis.contour(inside, levels=[0.5], colors=BACKGROUND, linewidths=1.2)
        _bar(figure, drawn, axis, "eigenvalue")
    return figure


def correlation_figure(correlation: Float[np.ndarray, "coil coil"]) -> Figure:
    """Show the magnitude of the noise correlation between coils."""
    with style():
        figure, axis, drawn = _map(correlation, "viridis", (0.0, 1.0), (1.0, 1.0))
        _bar(figure, drawn, axis, "correlation (1)")
    return figure


def snr_figure(noise: NoiseMaps) -> Figure:
    """Show signal divided by noise."""
    high = float(np.percentile(noise.snr[noise.inside], 99)) if noise.inside.any() else 1.0
    with style():
        figure, axis, drawn = _map(noise.snr, "inferno", (0.0, high or 1.0), noise.spacing)
        _bar(figure, drawn, axis, "signal / noise")
    return figure


def deviation_figure(noise: NoiseMaps) -> Figure:
    """Show the noise's standard deviation, in units of a fully sampled image's."""
    high = float(np.percentile(noise.deviation, 99.5))
    nowhere = noise.deviation == 0  # no sensitivities, so no image
    shown = np.where(nowhere, np.float32(np.nan), noise.deviation)
    with style():
        figure, axis, drawn = _map(shown, "viridis", (0.0, max(1.0, high)), noise.spacing)
        _bar(figure, drawn, axis, "deviation (1 = full sampling)")
    return figure


def added_figure(added: Added) -> Figure:
    """Show the part of an image that was not measured, and with a reference that of its error."""
    top = float(np.percentile(added.image.whole, 99.5)) or 1.0
    panels = [(added.image.unmeasured, "added to the data")]
    if added.error is not None:
        panels += [(added.error.whole, "error"), (added.error.unmeasured, "error, added part")]
    shown = [100 * picture / top for picture, _ in panels]
    high = max(float(np.percentile(shown, 99.5)), 1e-3)
    aspect = added.spacing[0] / added.spacing[1]
    with style():
        figure, axes = _row([(aspect * one.shape[0], one.shape[1]) for one in shown])
        drawn = None
        for axis, picture, (_, title) in zip(axes, shown, panels, strict=True):
            drawn = axis.imshow(picture, cmap="inferno", vmin=0, vmax=high, aspect=aspect)
            axis.set_title(title, fontsize=8)
        _bar(figure, drawn, axes, "% of the image's maximum")
    return figure


def log_magnitude(kspace: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return the decadic logarithm relative to the maximum; what is zero is 10 below."""
    peak = float(kspace.max())
    floor = peak * 1e-10 if peak > 0 else 1.0
    return np.log10(np.maximum(kspace, floor) / (peak or 1.0))


def _bar(figure: Figure, drawn: Any, axis: Axes | list[Axes], label: str) -> None:
    figure.colorbar(drawn, ax=axis, fraction=0.05, pad=0.03, label=label)


def _row(shapes: Sequence[tuple[float, ...]]) -> tuple[Figure, list[Axes]]:
    """Pictures of equal height side by side, widths as their shapes want within limits."""
    widths = [min(1.8, max(0.75, shape[1] / shape[0])) for shape in shapes]
    figure = Figure(figsize=(HEIGHT * sum(widths) + 0.5 * len(widths), HEIGHT + 0.3))
    axes = figure.subplots(1, len(shapes), squeeze=False, width_ratios=widths)[0]
    for axis in axes:
        bare(axis)
    return figure, list(axes)


def _map(
    values: Float[np.ndarray, "y x"],
    colors: str,
    limits: tuple[float, float],
    spacing: tuple[float, float],
) -> tuple[Figure, Axes, Any]:
    aspect = spacing[0] / spacing[1]
    ratio = min(2.0, max(0.5, values.shape[1] / values.shape[0] / aspect))
    figure = Figure(figsize=(HEIGHT * ratio + 0.7, HEIGHT))
    axis = figure.subplots()
    bare(axis)
    drawn = axis.imshow(
        values, cmap=colors, vmin=limits[0], vmax=limits[1], aspect=aspect, interpolation="nearest"
    )
    return figure, axis, drawn
