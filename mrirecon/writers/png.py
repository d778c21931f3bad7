"""PNG montages for a first look."""

from pathlib import Path

from matplotlib.figure import Figure

from mrirecon.figures import montage
from mrirecon.files import atomic
from mrirecon.reconstruction import Reconstruction


def write_png(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write a montage of all slices, or of 36 of them, in one window."""
    header = result.header
    voxel = header.voxel[:2] if header.voxel else (1.0, 1.0)
    acceleration = f"R = {result.provenance.acceleration:.2f}"
    facts = (header.name, header.acquisition, result.provenance.method, acceleration)
    title = "   ".join(fact for fact in facts if fact)
    save_figure(
        path,
        montage(result.volume.flatten(0, 1).numpy(), title=title, voxel=voxel),
        overwrite=overwrite,
    )


def save_figure(path: Path, figure: Figure, *, overwrite: bool = False) -> None:
    """Write any figure as PNG."""
    with atomic(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=130, bbox_inches="tight", pad_inches=0.08)
