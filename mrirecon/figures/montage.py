"""All slices of a volume at one glance, with the patient's directions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from mrirecon.figures.drawing import Drawing, bare
from mrirecon.figures.style import ACCENT, BACKGROUND, colorbar, style, top_of_grey

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
        size = (across * width + 0.9, down * (height + LINE) + HEAD)
        figure = Drawing(figsize=size)
        axes = figure.subplots(down, across, squeeze=False)
        drawn = None
        for axis in axes.flat:
            bare(axis)
        for axis, (frame, index) in zip(axes.flat, chosen, strict=False):
            drawn = axis.imshow(
                volume[frame, index], cmap=scale.colors, vmin=min(low, 0.5 * high), vmax=high,
                aspect=aspect,
            )  # fmt: skip
            axis.set_title(_name(frame, frames, index, slices), fontsize=7, pad=2)
        if edges is not None:
            write_edges(axes[0, 0], edges)
        figure.suptitle(title, fontsize=9, x=across * width / size[0] / 2, y=1 - 0.1 / size[1])
        top = 1 - (HEAD + LINE) / size[1]
        figure.subplots_adjust(0.0, 0.0, across * width / size[0], top, 0.03, LINE / height)
        colorbar(figure, drawn, axes, scale.label)
    return figure


def write_edges(axis: Axes, edges: Edges) -> None:
    """Write what the left, right, top and bottom edge of a picture is called."""
    places = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"),
              (0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom"))  # fmt: skip
    outline = [withStroke(linewidth=2, foreground=BACKGROUND)]  # legible on bright tissue
    for text, (x, y, horizontal, vertical) in zip(edges, places, strict=True):
        axis.text(
            x, y, text, ha=horizontal, va=vertical, transform=axis.transAxes, fontsize=9,
            fontweight="bold", color=ACCENT, path_effects=outline,
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
