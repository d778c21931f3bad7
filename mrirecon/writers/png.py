"""PNG montages for a first look."""

from pathlib import Path

from matplotlib.figure import Figure

from mrirecon.figures import montage
from mrirecon.files import atomic
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.geometry import edges


def write_png(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write a montage of all slices, or of an even choice of them, in one window."""
    save_figure(path, overview(result), overwrite=overwrite)


def overview(result: Reconstruction) -> Figure:
    """Draw the montage, with the patient's directions where they are known."""
    header = result.header
    voxel = header.voxel[:2] if header.voxel else (1.0, 1.0)
    acceleration = f"R = {result.provenance.acceleration:.2f}"
    series = result.suffix.strip("_").replace("_", " ")
    facts = (header.name, header.acquisition, series, result.provenance.method, acceleration)
    title = "   ".join(fact for fact in facts if fact)
    return montage(result.volume.numpy(), title=title, voxel=voxel, edges=edges(header))


def save_figure(path: Path, figure: Figure, *, overwrite: bool = False) -> None:
    """Write any figure as PNG."""
    with atomic(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=130, bbox_inches="tight", pad_inches=0.08)
