"""Whether two methods agree, patient by patient."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mrirecon.figures.style import ACCENT, COOL, style

LIMITS = 1.96
"""Standard deviations between the mean and a limit of agreement."""


def agreement(
    one: Sequence[float], other: Sequence[float], names: tuple[str, str], quantity: str
) -> Figure:
    """Show differences against means, with their mean and the limits of agreement.

    The limits hold 95 % of the differences where these are normal (Bland and Altman, Lancet
    1:307, 1986).

    Args:
        one: Values of a method, one for each patient.
        other: Values of another method for the same patients.
        names: Names of both methods.
        quantity: Name of what the values are.
    """
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    change = first - second
    mean = float(change.mean())
    spread = LIMITS * float(change.std(ddof=1)) if len(change) > 1 else 0.0
    with style():
        figure = Figure(figsize=(5.6, 3.4))
        axis = figure.subplots()
        axis.scatter((first + second) / 2, change, s=14, color=COOL, alpha=0.8)
        axis.axhline(0, color="#808080", linewidth=0.8)
        axis.axhline(mean, color=ACCENT, label=f"mean {mean:+.4g}")
        for sign in (-1, 1):
            axis.axhline(
                mean + sign * spread, color=ACCENT, linestyle="--",
                label=f"limits of agreement ± {spread:.3g}" if sign > 0 else None,
            )  # fmt: skip
        axis.set_xlabel(f"mean {quantity} of both")
        axis.set_ylabel("difference")
        axis.set_title(f"{names[0]} minus {names[1]}")
        axis.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, frameon=False)
    return figure
