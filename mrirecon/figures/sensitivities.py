"""Pictures of coil sensitivities."""

import numpy as np
from jaxtyping import Complex64, Float32
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mrirecon.figures.drawing import bare
from mrirecon.figures.style import ACCENT, style

COILS = 16
"""Most coils shown."""
BARS = 0.8
"""Room for the colour bars, in inches."""


def sensitivities_figure(
    maps: Complex64[np.ndarray, "coil h w"],
    eigenvalue: Float32[np.ndarray, "h w"] | None = None,
    *,
    title: str = "",
    crop: float = 0.0,
    aspect: float = 1.0,
) -> Figure:
    """Show magnitude and phase of each coil, and ESPIRiT's eigenvalue below where there is one.

    Args:
        maps: Sensitivities of one slice; zero outside of the object, where the phase is left blank.
        eigenvalue: Eigenvalue of ESPIRiT, 1 where the sensitivities explain the calibration data;
            None for none.
        title: Title of the figure; empty for none.
        crop: Contour drawn into the eigenvalue.
        aspect: Height of a pixel divided by its width.
    """
    chosen = np.unique(np.linspace(0, len(maps) - 1, min(COILS, len(maps))).round().astype(int))
    across = min(8, len(chosen))
    blocks = -(-len(chosen) // across)
    h, w = maps.shape[-2:]
    tall = min(2.5, max(0.4, aspect * h / w))
    rows = 2 * blocks + (2 if eigenvalue is not None else 0)
    with style():
        figure = Figure(figsize=(1.3 * max(across, 3), 1.3 * tall * rows + 0.4))
        right = 1 - BARS / figure.get_figwidth()
        grid = figure.add_gridspec(
            rows, across, hspace=0.04, wspace=0.04, left=0.01, right=right, bottom=0.01,
            top=1 - 0.4 / figure.get_figheight(),
        )  # fmt: skip
        high = float(np.abs(maps).max()) or 1.0
        drawn: dict[str, AxesImage] = {}
        for place, coil in enumerate(chosen):
            block, column = divmod(place, across)
            magnitude = np.abs(maps[coil])
            phase = np.where(magnitude > 0, np.angle(maps[coil]), np.nan)
            pictures = ((magnitude, "gray", 0.0, high), (phase, "twilight", -np.pi, np.pi))
            for below, (picture, colors, low, top) in enumerate(pictures):
                axis = figure.add_subplot(grid[2 * block + below, column])
                drawn[colors] = axis.imshow(picture, cmap=colors, vmin=low, vmax=top, aspect=aspect)
                bare(axis)
                if not below:
                    axis.text(0.03, 0.97, str(coil + 1), transform=axis.transAxes, fontsize=7,
                              va="top", color=ACCENT)  # fmt: skip
        if eigenvalue is not None:
            axis = figure.add_subplot(grid[2 * blocks :, : max(2, across // 2)])
            values = axis.imshow(eigenvalue, cmap="viridis", vmin=0, vmax=1, aspect=aspect)
            inside = eigenvalue >= crop
            if crop > 0 and inside.any() and not inside.all():
                axis.contour(inside, levels=[0.5], colors=ACCENT, linewidths=0.8)
            bare(axis)
            figure.colorbar(values, ax=axis, fraction=0.05, pad=0.03, label="eigenvalue")
        _bars(figure, drawn, right, rows)
        figure.suptitle(title, fontsize=9)
    return figure


def _bars(figure: Figure, drawn: dict[str, AxesImage], right: float, rows: int) -> None:
    """Draw the colour bars of magnitude and phase beside the first rows of coils."""
    width, height = figure.get_size_inches()
    row = (1 - 0.4 / height - 0.01) / rows
    for below, (name, label) in enumerate((("gray", "magnitude (1)"), ("twilight", "phase (rad)"))):
        bottom = 1 - 0.4 / height - (below + 0.92) * row
        axis = figure.add_axes((right + 0.08 / width, bottom, 0.1 / width, 0.84 * row))
        bar = figure.colorbar(drawn[name], cax=axis, label=label)
        bar.ax.tick_params(labelsize=6)
        bar.ax.yaxis.label.set_fontsize(7)
