"""Two images that lie on one another, and their difference."""

from matplotlib.figure import Figure

from mrirecon.figures.drawing import bare
from mrirecon.figures.style import Image, colorbar, style


def pair(first: Image, second: Image, names: tuple[str, str]) -> Figure:
    """Show two images side by side, each in a window of its own, and what differs.

    Args:
        first: One of the images.
        second: The other image, on the same pixels.
        names: Names of both.
    """
    scaled = []
    for image in (first, second):
        low, high = float(image.min()), float(image.max())
        scaled.append((image - low) / max(high - low, 1e-30))
    with style():
        figure = Figure(figsize=(8.4, 3.0))
        axes = figure.subplots(1, 3)
        for axis, image, name in zip(axes, scaled, names, strict=False):
            axis.imshow(image, cmap="gray", vmin=0, vmax=1)
            axis.set_title(name, fontsize=7)
        drawn = axes[2].imshow(scaled[1] - scaled[0], cmap="RdBu_r", vmin=-0.5, vmax=0.5)
        axes[2].set_title("difference", fontsize=7)
        for axis in axes:
            bare(axis)
        figure.subplots_adjust(0.01, 0.02, 0.9, 0.9, 0.04)
        colorbar(figure, drawn, axes, "of the range of the images")
    return figure
