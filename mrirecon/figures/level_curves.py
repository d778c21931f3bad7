"""How a quantity of several methods changes with the level of a disturbance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mrirecon.figures.style import ACCENT, COOL, TEXT, style

COLORS = (ACCENT, COOL, "#7ad67a", "#ff7f9f", "#c59bff", TEXT)
"""Of the methods in their order; they begin again after the last one."""
DODGE = 0.08
"""Distance of methods at the same level that is no number."""


@dataclass(frozen=True)
class Curve:
    """A quantity of one method over levels.

    Attributes:
        method: Name of the method.
        places: Places of the levels on the axis.
        means: Mean at each of them.
        lows: Lower ends of what surrounds the mean.
        highs: Upper ends of the same.
        dotted: Whether this is what the curve of the same method is compared with.
    """

    method: str
    places: Sequence[float]
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    dotted: bool = False


@dataclass(frozen=True)
class CurvePanel:
    """One quantity: what it is called, and the curves of the methods."""

    heading: str
    curves: Sequence[Curve]


def level_curves(panels: Sequence[CurvePanel], axis: str, names: Sequence[str] = ()) -> Figure:
    """Draw one panel for each quantity, with the mean and what surrounds it.

    Args:
        panels: Panels from left to right.
        axis: Words on the axis of the levels.
        names: Names of levels that are no numbers, at the places 0, 1 and so on; empty for numbers.
    """
    methods = list(dict.fromkeys(curve.method for panel in panels for curve in panel.curves))
    color = {method: COLORS[i % len(COLORS)] for i, method in enumerate(methods)}
    with style():
        figure = Figure(figsize=(3.7 * len(panels), 3.1))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, panel in zip(axes, panels, strict=True):
            for curve in panel.curves:
                aside = (
                    DODGE * (methods.index(curve.method) - (len(methods) - 1) / 2) if names else 0
                )
                places = [one + aside for one in curve.places]
                line = ":" if curve.dotted else "none" if names else "-"
                place.plot(
                    places, curve.means, color=color[curve.method], marker="o", markersize=3,
                    linestyle=line, label=None if curve.dotted else curve.method,
                )  # fmt: skip
                if names:
                    place.vlines(places, curve.lows, curve.highs, color=color[curve.method])
                else:
                    place.fill_between(
                        places, curve.lows, curve.highs, color=color[curve.method],
                        alpha=0.15, linewidth=0,
                    )  # fmt: skip
            if names:
                place.set_xticks(np.arange(len(names)), names, rotation=15, ha="right")
            place.set_xlabel(axis)
            place.set_ylabel(panel.heading)
            place.grid(alpha=0.2)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.tight_layout(rect=(0, 0.08, 1, 1))
        figure.legend(
            handles, labels, loc="lower center", ncols=max(1, len(labels)), frameon=False,
            labelcolor=TEXT, fontsize=8,
        )  # fmt: skip
    return figure
