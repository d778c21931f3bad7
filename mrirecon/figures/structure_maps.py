"""Where methods invent or omit structure: maps of scores beside the image that they judge."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mrirecon.figures.comparison import Panel
from mrirecon.figures.drawing import bare
from mrirecon.figures.style import COOL, colorbar, style, top_of_grey

WIDEST, AREA = 2.2, 14.0
"""Width of a panel at most in inches, and square inches of all panels together at most."""
ROOM = 0.42
"""For titles above the panels, in inches."""


def structure_maps(reference: Panel, maps: Sequence[Panel], threshold: float) -> Figure:
    """Show a reference, and a map of scores of each method with a line around what exceeds.

    Args:
        reference: Panel with the image that others should look like.
        maps: Panels with the scores of the methods on the pixels of the reference.
        threshold: Score above which structure is invented or missing.
    """
    columns, (y, x) = len(maps) + 1, reference.image.shape
    ratio = min(max(y / x, 0.25), 4.0)
    width = min(WIDEST, (AREA / (columns * ratio)) ** 0.5)
    across, down = columns * width + 0.75, ratio * width + ROOM
    with style():
        figure = Figure(figsize=(across, down))
        axes = [
            figure.add_axes((c * width / across, 0, 0.98 * width / across, 1 - ROOM / down))
            for c in range(columns)
        ]
        high = top_of_grey(reference.image)
        axes[0].imshow(reference.image, cmap="gray", vmin=0, vmax=high, aspect="auto")
        drawn = None
        for axis, panel in zip(axes[1:], maps, strict=True):
            drawn = axis.imshow(
                panel.image, cmap="inferno", vmin=0, vmax=2 * threshold, aspect="auto"
            )
            if min(y, x) > 1 and float(np.max(panel.image)) > threshold:
                axis.contour(panel.image, [threshold], colors=COOL, linewidths=0.8)
        for axis, panel in zip(axes, [reference, *maps], strict=True):
            axis.set_title(f"{panel.title}\n{panel.caption}", fontsize=7, pad=3)
            bare(axis)
        colorbar(figure, drawn, axes[-1], "score (1: usual)")
    return figure
