"""Whether intervals hold the truth as often as they promise, and how wide they are."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure

from mrirecon.figures.style import ACCENT, COOL, TEXT, style


def coverage(
    nominal: Sequence[float],
    observed: Float64[np.ndarray, "share patient"],
    width: Float64[np.ndarray, "share patient"],
    *,
    title: str = "",
) -> Figure:
    """Draw what was observed in each patient, and the mean, against what was promised.

    Args:
        nominal: Shares that were promised.
        observed: Share of each patient's voxels within, for each of them.
        width: Width of the bounds divided by the mean signal, for each of them.
        title: Title of the figure; empty for none.
    """
    with style():
        figure = Figure(figsize=(8.2, 3.6))
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color="#808080", linewidth=0.8, label="as promised")
        left.plot(nominal, observed, color=COOL, alpha=0.35, linewidth=0.8)
        mean = observed.mean(1)
        error = observed.std(1, ddof=1) / observed.shape[1] ** 0.5 if observed.shape[1] > 1 else 0.0
        left.errorbar(
            nominal, mean, error, color=ACCENT, marker="o", markersize=3,
            label="mean of patients, standard error",
        )  # fmt: skip
        least = min(float(np.min(observed)), nominal[0])
        left.set_xlim(nominal[0] - 0.02, 1)
        left.set_ylim(max(least - 0.02, 0), 1.01)
        left.set_xlabel("promised share of voxels")
        left.set_ylabel("observed share, each patient")
        left.legend(loc="lower right", fontsize=8, facecolor="none", edgecolor="none",
                    labelcolor=TEXT)  # fmt: skip
        right.plot(nominal, 100 * width, color=COOL, alpha=0.35, linewidth=0.8)
        right.plot(nominal, 100 * width.mean(1), color=ACCENT, marker="o", markersize=3)
        right.set_ylim(0, None)
        right.set_xlabel("promised share of voxels")
        right.set_ylabel("width of the bounds / % of the mean signal")
        for axis in (left, right):
            axis.grid(alpha=0.2)
        figure.suptitle(title, fontsize=10)
        figure.tight_layout()
    return figure
