"""Pictures of images: montages and comparisons, legible on light and on dark pages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

Volume = Float[np.ndarray, "slice y x"]
Image = Float[np.ndarray, "y x"]

# A dark page of its own, so that the picture looks the same wherever it is shown.
_STYLE: dict[Any, Any] = {
    "figure.facecolor": "#101214",
    "savefig.facecolor": "#101214",
    "axes.facecolor": "#101214",
    "text.color": "#e8e8e8",
    "axes.labelcolor": "#e8e8e8",
    "xtick.color": "#e8e8e8",
    "ytick.color": "#e8e8e8",
    "axes.edgecolor": "#808080",
    "font.size": 9.0,
}


@dataclass(frozen=True)
class Panel:
    """One column of a comparison: an image, its name and a line about it."""

    image: Image
    title: str
    caption: str = ""


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(_STYLE):
        yield


def window(images: Float[np.ndarray, "..."]) -> float:
    """Return the display maximum: the 99.5th percentile of what is not background."""
    bright = images[images > 0.05 * images.max()] if images.size else images
    return float(np.percentile(bright, 99.5)) if bright.size else 1.0


def montage(
    volume: Volume, *, title: str = "", voxel: tuple[float, float] = (1.0, 1.0), limit: int = 36
) -> Figure:
    """Show the slices of a volume side by side in one window.

    Args:
        volume: Magnitude images.
        title: Written above.
        voxel: Pixel spacing along y and x in mm, so that rectangular pixels are shown as such.
        limit: Most slices to show; an even choice is made of more.
    """
    chosen = np.unique(np.linspace(0, len(volume) - 1, min(limit, len(volume))).round().astype(int))
    columns = int(np.ceil(np.sqrt(len(chosen))))
    rows = -(-len(chosen) // columns)
    aspect = voxel[0] / voxel[1]
    high = window(volume)
    with _style():
        side = 2.4 if columns > 1 else 4.5
        ratio = aspect * volume.shape[1] / volume.shape[2]
        figure = Figure(figsize=(side * columns + 0.8, side * rows * ratio + 0.4))
        axes = figure.subplots(rows, columns, squeeze=False)
        drawn = None
        for place, axis in enumerate(axes.flat):
            axis.set_axis_off()
            if place < len(chosen):
                index = chosen[place]
                drawn = axis.imshow(volume[index], cmap="gray", vmin=0, vmax=high, aspect=aspect)
                axis.set_title(f"slice {index + 1} / {len(volume)}", fontsize=7, pad=2)
        figure.suptitle(title, fontsize=9)
        figure.subplots_adjust(0.01, 0.01, 0.88, 0.9, 0.03, 0.12)
        _colorbar(figure, drawn, axes, "signal (a.u.)")
    return figure


def comparison(
    reference: Panel, panels: Sequence[Panel], *, title: str = "", gain: float = 5.0
) -> Figure:
    """Show a reference and reconstructions in one window, and below them their error maps.

    Args:
        reference: What the others should look like.
        panels: The reconstructions.
        title: Written above.
        gain: The error maps' window is the image window divided by this.
    """
    high = window(reference.image)
    columns = len(panels) + 1
    with _style():
        ratio = reference.image.shape[0] / reference.image.shape[1]
        figure = Figure(figsize=(2.5 * columns + 0.8, 2 * 2.5 * ratio + 0.9))
        axes = figure.subplots(2, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        images = errors = None
        for column, panel in enumerate([reference, *panels]):
            images = axes[0, column].imshow(panel.image, cmap="gray", vmin=0, vmax=high)
            axes[0, column].set_title(f"{panel.title}\n{panel.caption}".rstrip(), fontsize=9)
            if column:
                errors = axes[1, column].imshow(
                    np.abs(panel.image - reference.image), cmap="inferno", vmin=0, vmax=high / gain
                )
        axes[1, 0].text(
            0.5, 0.5, f"|error|\nwindow / {gain:g}", ha="center", va="center", fontsize=10,
            transform=axes[1, 0].transAxes,
        )  # fmt: skip
        figure.suptitle(title, fontsize=10)
        figure.subplots_adjust(0.01, 0.02, 0.9, 0.84, 0.03, 0.06)
        _colorbar(figure, images, axes[:1], "signal (a.u.)")
        _colorbar(figure, errors, axes[1:], "|error| (a.u.)")
    return figure


def bars(scores: Mapping[str, Mapping[str, Sequence[float]]], *, title: str = "") -> Figure:
    """Show one box per method for each metric: ``scores[metric][method]`` over volumes."""
    with _style():
        figure = Figure(figsize=(3.2 * len(scores), 3.2))
        axes = figure.subplots(1, len(scores), squeeze=False)
        for axis, (metric, methods) in zip(axes.flat, scores.items(), strict=True):
            light = {"color": "#e8e8e8"}
            finite = [[v for v in values if np.isfinite(v)] for values in methods.values()]
            axis.boxplot(
                finite, boxprops=light, whiskerprops=light, capprops=light,
                medianprops={"color": "#ffb000"}, flierprops={"markeredgecolor": "#e8e8e8"},
            )  # fmt: skip
            axis.set_xticks(range(1, len(methods) + 1), list(methods), rotation=20, ha="right")
            axis.set_title(metric)
        figure.suptitle(title, fontsize=10)
        figure.tight_layout()
    return figure


def _colorbar(figure: Figure, drawn: Any, axes: Any, label: str) -> None:
    if drawn is None:
        return
    boxes = [axis.get_position() for axis in np.ravel(axes)]
    bottom, top = min(b.y0 for b in boxes), max(b.y1 for b in boxes)
    axis = figure.add_axes((0.915, bottom, 0.012, top - bottom))
    figure.colorbar(drawn, cax=axis, label=label)
