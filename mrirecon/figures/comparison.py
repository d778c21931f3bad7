"""Methods side by side: images with their error maps, and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mrirecon.figures.drawing import bare
from mrirecon.figures.style import Image, colorbar, style, top_of_grey


@dataclass(frozen=True)
class Boxes:
    """One plot of boxes: what is on its axis, and the values of each method.

    Attributes:
        title: Name of the metric.
        meaning: Words about its scale; empty for none.
        values: Values over volumes by method.
    """

    title: str
    meaning: str
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Panel:
    """One column of a comparison: an image, its name and a line about it."""

    image: Image
    title: str
    caption: str = ""


def comparison(
    reference: Panel, panels: Sequence[Panel], *, title: str = "", gain: float = 5.0
) -> Figure:
    """Show a reference and reconstructions in one window, and below them their error maps.

    Args:
        reference: Panel with what the others should look like.
        panels: Panels with the reconstructions.
        title: Title of the figure; empty for none.
        gain: Factor by which the window of the error maps is narrower than that of the images.
    """
    high = top_of_grey(reference.image)
    columns = len(panels) + 1
    with style():
        ratio = reference.image.shape[0] / reference.image.shape[1]
        figure = Figure(figsize=(2.5 * columns + 0.8, 2 * 2.5 * ratio + 0.9))
        axes = figure.subplots(2, columns, squeeze=False)
        for axis in axes.flat:
            bare(axis)
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
        colorbar(figure, images, axes[:1], "signal (a.u.)")
        colorbar(figure, errors, axes[1:], "|error| (a.u.)")
    return figure


def bars(metrics: Sequence[Boxes], *, title: str = "") -> Figure:
    """Show one box per method for each metric."""
    with style():
        figure = Figure(figsize=(3.2 * len(metrics), 3.2))
        axes = figure.subplots(1, len(metrics), squeeze=False)
        for axis, metric in zip(axes.flat, metrics, strict=True):
            light = {"color": "#e8e8e8"}
            finite = [[v for v in values if np.isfinite(v)] for values in metric.values.values()]
            axis.boxplot(
                finite, boxprops=light, whiskerprops=light, capprops=light,
                medianprops={"color": "#ffb000"}, flierprops={"markeredgecolor": "#e8e8e8"},
            )  # fmt: skip
            names = list(metric.values)
            axis.set_xticks(range(1, len(names) + 1), names, rotation=20, ha="right")
            axis.set_title(metric.title)
            axis.set_ylabel(metric.meaning or "1")
        figure.suptitle(title, fontsize=10)
        figure.tight_layout()
    return figure
