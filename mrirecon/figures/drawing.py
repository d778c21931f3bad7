"""Figures that a notebook shows."""

import io

from matplotlib.figure import Figure


class Drawing(Figure):
    """A figure that a notebook shows, also where ``matplotlib.pyplot`` was never imported."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=80, bbox_inches="tight")
        return stream.getvalue()
