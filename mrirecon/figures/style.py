"""The common looks of all pictures: a dark page of their own, the window, the colour bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

Image = Float[np.ndarray, "y x"]

BACKGROUND, TEXT, ACCENT, COOL = "#101214", "#e8e8e8", "#ffb000", "#5fb3f5"
# A dark page of its own, so that the picture looks the same wherever it is shown.
_STYLE: dict[Any, Any] = {
    "figure.facecolor": BACKGROUND,
    "savefig.facecolor": BACKGROUND,
    "axes.facecolor": BACKGROUND,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.edgecolor": "#808080",
    "font.size": 9.0,
    "text.parse_math": False,  # names of files may hold dollars
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house style inside the block."""
    with mpl.rc_context(_STYLE):
        yield


def top_of_grey(images: Float[np.ndarray, "..."]) -> float:
    """Return the display maximum: the 99.5th percentile of what is not background."""
    bright = images[images > 0.05 * images.max()] if images.size else images
    return float(np.percentile(bright, 99.5)) if bright.size else 1.0


def colorbar(figure: Figure, drawn: Any, axes: Any, label: str) -> None:
    """Put a colour bar right of ``axes``, along their height."""
    if drawn is None:
        return
    boxes = [axis.get_position() for axis in np.ravel(axes)]
    bottom, top = min(b.y0 for b in boxes), max(b.y1 for b in boxes)
    colorbar_beside(figure, drawn, (max(b.x1 for b in boxes), bottom, top), label)


def colorbar_beside(
    figure: Figure, drawn: Any, place: tuple[float, float, float], label: str
) -> None:
    """Put a colour bar right of a place.

    Args:
        figure: Figure to put it into.
        drawn: Picture whose colours it explains.
        place: Right end, bottom and top of the place, as shares of the figure.
        label: Label of the bar.
    """
    right, bottom, top = place
    gap, thick = (inches / figure.get_figwidth() for inches in (0.12, 0.09))
    axis = figure.add_axes((right + gap, bottom, thick, top - bottom))
    figure.colorbar(drawn, cax=axis, label=label)
