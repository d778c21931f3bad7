"""Images of one slice by several methods, with error maps and an enlarged part."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.lib.stride_tricks import sliding_window_view

from mrirecon.figures.comparison import Panel
from mrirecon.figures.drawing import bare
from mrirecon.figures.style import ACCENT, Image, colorbar, style, top_of_grey

PART = 3
"""Times that the enlarged part fits along the shorter side."""
WIDEST, GAP = 2.2, 0.04
"""Width of a panel at most, and room between panels, in inches."""
AREA = 34.0
"""Square inches of all panels together at most, so that pages with several figures stay small."""
ROOM = 0.42
"""For titles above the panels, in inches."""


def closeup(reference: Panel, panels: Sequence[Panel], *, area: float = AREA) -> Figure:
    """Show images in one window, error maps on one scale, and the part where methods err most.

    Args:
        reference: Panel with what the others should look like.
        panels: Panels with the reconstructions.
        area: Square inches of all panels together at most.
    """
    errors = [np.abs(panel.image - reference.image) for panel in panels]
    high, top = top_of_grey(reference.image), float(np.percentile(np.stack(errors), 99.5))
    top = top or max(float(np.stack(errors).max()), 1e-3 * high)
    y, x, size = largest_error(errors)
    part = slice(y, y + size), slice(x, x + size)
    with style():
        figure, axes = _panels(reference.image, len(panels) + 1, area)
        images = maps = None
        for column, panel in enumerate([reference, *panels]):
            above, middle, below = (axes[row][column] for row in range(3))
            images = above.imshow(panel.image, cmap="gray", vmin=0, vmax=high, aspect="auto")
            above.set_title(f"{panel.title}\n{panel.caption}", fontsize=7, pad=3)
            corner = (x - 0.5, y - 0.5)
            above.add_patch(Rectangle(corner, size, size, fill=False, color=ACCENT, linewidth=0.8))
            below.imshow(panel.image[part], cmap="gray", vmin=0, vmax=high)
            if column:
                maps = middle.imshow(
                    errors[column - 1], cmap="inferno", vmin=0, vmax=top, aspect="auto"
                )
        axes[1][0].text(0.5, 0.5, "|error|", ha="center", va="center",
                        transform=axes[1][0].transAxes)  # fmt: skip
        for axis in figure.axes:
            bare(axis)
        colorbar(figure, images, axes[0], "signal (a.u.)")
        colorbar(figure, maps, axes[1], "|error| (a.u.)")
    return figure


def _panels(image: Image, columns: int, area: float) -> tuple[Figure, list[list[Axes]]]:
    """Return an empty figure: two rows of images with square pixels, and one of square parts."""
    ratio = min(max(image.shape[0] / image.shape[1], 0.25), 4.0)
    width = min(WIDEST, (area / (columns * (2 * ratio + 1))) ** 0.5)
    rows = ratio * width
    across, down = columns * (width + GAP) + 0.75, 2 * (rows + GAP) + width + ROOM
    figure = Figure(figsize=(across, down))
    places = ((width + rows + 2 * GAP, rows), (width + GAP, rows), (0.0, width))
    axes = [
        [
            figure.add_axes(
                (c * (width + GAP) / across, bottom / down, width / across, tall / down)
            )
            for c in range(columns)
        ]
        for bottom, tall in places
    ]
    return figure, axes


def largest_error(errors: Sequence[Image]) -> tuple[int, int, int]:
    """Return the corner ``(y, x)`` and the size of the square that holds most squared error.

    Args:
        errors: Error maps of all methods, which count alike.
    """
    squares = np.stack(errors).astype(np.float64) ** 2
    energy = squares.sum((1, 2), keepdims=True)
    total = (squares / np.where(energy > 0, energy, 1)).sum(0)
    size = max(min(total.shape) // PART, min(8, *total.shape))
    sums = total
    for axis in (0, 1):
        sums = sliding_window_view(sums, size, axis=axis).sum(-1)
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(y), int(x), size
