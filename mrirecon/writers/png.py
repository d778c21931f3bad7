"""PNG montages for a first look."""

from pathlib import Path

from matplotlib.figure import Figure

from mrirecon.figures import montage, save_figure
from mrirecon.files import Kind, refuse_existing
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.scanner_coordinates import edges


def write_png(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write a montage of all slices, or of an even choice of them, in one window."""
    refuse_existing(path, overwrite, Kind.PICTURE)  # drawing takes a while
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
