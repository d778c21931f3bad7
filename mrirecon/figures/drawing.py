"""Figures as the bytes of pictures; figures that a notebook shows."""

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TIGHT = 0.08
"""Inches of margin."""
PACKING = {"compress_level": 1}  # noise packs no better, and takes three times as long, with more


class Drawing(Figure):
    """A figure that a notebook shows, also where ``matplotlib.pyplot`` was never imported."""

    def _repr_png_(self) -> bytes:
        return png_of(self, 80)


def png_of(figure: Figure, resolution: float, margin: float = TIGHT) -> bytes:
    """Return a figure as PNG, cut out around what is drawn.

    Args:
        figure: Figure to draw.
        resolution: Pixels per inch.
        margin: Width of the margin in inches.
    """
    # asked for "tight", Matplotlib would lay out everything once more before
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer()).padded(margin)
    stream = io.BytesIO()
    figure.savefig(
        stream, format="png", dpi=resolution, bbox_inches=box, metadata={"Software": None},
        pil_kwargs=PACKING,
    )  # fmt: skip
    return stream.getvalue()


def bare(axis: Axes) -> None:
    """Take away all but the picture; ticks cost time even where they are not shown."""
    axis.set_axis_off()
    axis.set(xticks=[], yticks=[])
