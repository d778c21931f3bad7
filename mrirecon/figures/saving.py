"""Figures as PNG files."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from mrirecon.files import Kind, atomic, mark_png

TIGHT = 0.08
"""Inches of margin."""


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
    stream, nothing = io.BytesIO(), {"Software": None}
    figure.savefig(
        stream, format="png", dpi=resolution, bbox_inches="tight", pad_inches=TIGHT,
        metadata=nothing,
    )  # fmt: skip
    with atomic(path, Kind.PICTURE, overwrite=overwrite) as temporary:
        temporary.write_bytes(mark_png(stream.getvalue(), Kind.PICTURE))
