"""All slices of a volume at one glance, with the patient's directions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from mrirecon.figures.drawing import Drawing
from mrirecon.figures.picture_grid import PictureGrid, Place
from mrirecon.figures.style import ACCENT, BACKGROUND, style, top_of_grey

Series = Float[np.ndarray, "frame slice y x"]
HEAD, LINE = 0.3, 0.2
"""Room for the title and for a slice's name, in inches."""
Edges = tuple[str, str, str, str]
ROW = 7
"""Slices or frames across, when a picture has rows for frames and columns for slices."""


@dataclass(frozen=True)
class GreyScale:
    """How numbers become colours.

    Attributes:
        label: Label of the colour bar.
        colors: Name of a colour map of Matplotlib.
        low: Number that is shown darkest; None takes the first percentile.
        top: Number that is shown brightest; None finds one.
    """

    label: str = "signal (a.u.)"
    colors: str = "gray"
    low: float | None = None
    top: float | None = None


PLAIN = GreyScale()


def montage(
    volume: Series,
    *,
    title: str = "",
    voxel: tuple[float, float] = (1.0, 1.0),
    edges: Edges | None = None,
    limit: int = 36,
    scale: GreyScale = PLAIN,
) -> Drawing:
    """Show the slices of a volume side by side in one window.

    Slices fill a grid; of several frames with several slices each, frames are rows and slices
    columns. An even choice is made of more than there is room for.

    Args:
        volume: Magnitude images of one frame or several.
        title: Title of the figure; empty for none.
        voxel: Pixel spacing along y and x in mm, so that rectangular pixels are shown as such.
        edges: What the left, right, top and bottom edge of a slice is called, written on the
            first one.
        limit: Most pictures to show.
        scale: Window and colours of the numbers.
    """
    frames, slices = volume.shape[:2]
    if frames > 1 and slices > 1:
        rows, columns = (_spread(count, ROW) for count in (frames, slices))
        chosen, across = [(f, s) for f in rows for s in columns], len(columns)
    else:
        chosen = [(0, s) for s in _spread(slices, limit)]
        if frames > 1:
            chosen = [(f, 0) for f in _spread(frames, limit)]
        across = int(np.ceil(np.sqrt(len(chosen))))
    down = -(-len(chosen) // across)
    aspect = voxel[0] / voxel[1]
    high = top_of_grey(volume) if scale.top is None else scale.top
    low = float(np.percentile(volume, 1)) if scale.low is None else scale.low
    with style():
        width = 4.5 if across == 1 else 2.4 if across <= 3 else 1.8
        height = width * aspect * volume.shape[2] / volume.shape[3]
        grid = PictureGrid(across, down, (height, width), (LINE, 0.03 * width), 0.9)
        figure, axes = grid.figure(above=HEAD)
        pictures = [volume[one] for one in chosen]
        low = min(low, 0.5 * high)
        grid.draw(axes, pictures, scale.label, cmap=scale.colors, vmin=low, vmax=high)
        for (frame, index), (left, right, _, top) in zip(chosen, grid.places(), strict=False):
            name = _name(frame, frames, index, slices)
            axes.text((left + right) / 2, top + 0.03, name, ha="center", fontsize=7)
        if edges is not None:
            _write_edges(axes, grid.places()[0], edges)
        middle, top = grid.places()[across - 1][1] / 2, figure.get_figheight() - 0.1
        axes.text(middle, top, title, ha="center", va="top", fontsize=9)
    return figure


def _write_edges(axes: Axes, place: Place, edges: Edges) -> None:
    """Write what the left, right, top and bottom edge of a picture is called."""
    left, right, bottom, top = place
    x, y, away = (left + right) / 2, (bottom + top) / 2, 0.02 * (right - left)
    places = ((left + away, y, "left", "center"), (right - away, y, "right", "center"),
              (x, top - away, "center", "top"), (x, bottom + away, "center", "bottom"))  # fmt: skip
    outline = [withStroke(linewidth=2, foreground=BACKGROUND)]  # legible on bright tissue
    for text, (x, y, horizontal, vertical) in zip(edges, places, strict=True):
        axes.text(
            x, y, text, ha=horizontal, va=vertical, fontsize=9, fontweight="bold", color=ACCENT,
            path_effects=outline,
        )  # fmt: skip


def _spread(count: int, limit: int) -> list[int]:
    """Choose at most ``limit`` of ``count`` numbers, evenly."""
    chosen = np.linspace(0, count - 1, min(limit, count)).round().astype(int)
    return [int(number) for number in np.unique(chosen)]


def _name(frame: int, frames: int, index: int, slices: int) -> str:
    parts = [f"frame {frame + 1} / {frames}"] if frames > 1 else []
    if slices > 1 or frames == 1:
        parts.append(f"slice {index + 1} / {slices}")
    return ", ".join(parts)
