import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

from mrirecon.figures.drawing import bare, png_of


def drawn(**change):
    figure = Figure(figsize=(3, 2))
    axis = figure.subplots()
    axis.imshow(np.arange(12.0).reshape(3, 4))
    axis.set(title="beyond the figure", ylabel="left", **change)
    return figure


def test_a_picture_is_cut_out_as_by_matplotlib():
    for figure in (drawn(), drawn(position=(0.4, -0.3, 1.2, 0.9))):
        stream = io.BytesIO()
        figure.savefig(stream, dpi=120, bbox_inches="tight", pad_inches=0.1)
        expected = imread(io.BytesIO(stream.getvalue())).shape
        found = imread(io.BytesIO(png_of(figure, 120, 0.1))).shape
        assert np.abs(np.subtract(found, expected)).max() <= 3


def test_nothing_but_the_picture_is_left_on_a_bare_axis():
    figure = drawn()
    (axis,) = figure.axes
    bare(axis)
    assert not axis.axison and not len(axis.get_xticks()) and not len(axis.get_yticks())
