"""Figures as PNG files."""

from pathlib import Path

from matplotlib.figure import Figure

from mrirecon.figures.drawing import png_of
from mrirecon.files import Kind, atomic, mark_png


def save_figure(
    path: Path, figure: Figure, *, overwrite: bool = False, resolution: float = 130
) -> None:
    """Write a figure as PNG.

    Args:
        path: Path of the file.
        figure: Figure to write.
        overwrite: Whether to replace an older picture of ours.
        resolution: Pixels per inch.
    """
    with atomic(path, Kind.PICTURE, overwrite=overwrite) as temporary:
        temporary.write_bytes(mark_png(png_of(figure, resolution), Kind.PICTURE))
