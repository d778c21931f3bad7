"""Many pictures in one pair of axes: each pair of its own would take longer than its picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mrirecon.figures.drawing import Drawing, bare
from mrirecon.figures.style import colorbar_beside

Place = tuple[float, float, float, float]


@dataclass(frozen=True)
class PictureGrid:
    """Places of equal pictures, row by row from the top left, in inches.

    Attributes:
        across: Number of pictures in a row.
        down: Number of rows.
        size: Height and width of a picture.
        gap: Room above and to the right of each picture, also of those at the border.
        beside: Room for the colour bar.
    """

    across: int
    down: int
    size: tuple[float, float]
    gap: tuple[float, float]
    beside: float

    def figure(self, above: float = 0.0) -> tuple[Drawing, Axes]:
        """Return a figure with axes in inches from its bottom left.

        Args:
            above: Room above the pictures.
        """
        height, width = (self.size[i] + self.gap[i] for i in (0, 1))
        size = (self.across * width + self.beside, self.down * height + above)
        figure = Drawing(figsize=size)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(0, size[1]))
        axes.set_autoscale_on(False)
        bare(axes)
        return figure, axes

    def places(self) -> list[Place]:
        """Return left, right, bottom and top of each picture."""
        (height, width), (above, right) = self.size, self.gap
        corners = [
            (column * (width + right), (self.down - 1 - row) * (height + above))
            for row in range(self.down)
            for column in range(self.across)
        ]
        return [(x, x + width, y, y + height) for x, y in corners]

    def draw(
        self, axes: Axes, pictures: Sequence[Float[np.ndarray, "y x"]], label: str, **colors: Any
    ) -> None:
        """Draw the pictures, and their colour bar along the height of the grid.

        Args:
            axes: Axes of :meth:`figure`.
            pictures: Pictures in the order of the places, no more than these.
            label: Label of the colour bar.
            **colors: Colour map and limits, as Matplotlib's ``imshow`` takes them.
        """
        figure, places = axes.get_figure(), self.places()
        assert isinstance(figure, Figure)
        for picture, place in zip(pictures, places, strict=False):
            drawn = axes.imshow(picture, extent=place, aspect="auto", **colors)
        width, height = figure.get_size_inches()
        right, top = places[self.across - 1][1] / width, places[0][3] / height
        colorbar_beside(figure, drawn, (right, 0.0, top), label)
