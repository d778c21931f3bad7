"""PNG montages for a first look."""

from pathlib import Path

from mrirecon.figures import Drawing, GreyScale, montage, save_figure, top_of_grey
from mrirecon.files import Kind, refuse_existing
from mrirecon.reconstruction import Reconstruction
from mrirecon.writers.quantities import NAMINGS
from mrirecon.writers.scanner_coordinates import edges


def write_png(path: Path, result: Reconstruction, *, overwrite: bool = False) -> None:
    """Write a montage of all slices, or of an even choice of them, in one window.

    Each companion of the image is a picture, too, as in ``<name>_std.png``. Bounds have the window
    of the image, so that they can be compared with it; a standard deviation has its own.
    """
    parts = {path: result}
    parts |= {path.with_name(f"{path.stem}_{o.quantity}.png"): o for o in result.apart()}
    for one in parts:  # drawing takes a while
        refuse_existing(one, overwrite, Kind.PICTURE)
    window = top_of_grey(result.volume.numpy())
    for one, part in parts.items():
        save_figure(one, overview(part, window), overwrite=overwrite)


def overview(result: Reconstruction, window: float | None = None) -> Drawing:
    """Draw the montage, with the patient's directions where they are known.

    Args:
        result: Images, or a companion of images.
        window: Number that is shown as white, except of a standard deviation; None finds one.
    """
    header = result.header
    voxel = header.voxel[:2] if header.voxel else (1.0, 1.0)
    acceleration = f"R = {result.provenance.acceleration:.2f}"
    series = result.suffix.strip("_").replace("_", " ")
    words, method = NAMINGS[result.quantity].words, result.provenance.method
    facts = (header.name, header.acquisition, series, method, acceleration, words)
    title = "   ".join(fact for fact in facts if fact)
    scale = GreyScale(top=window)
    if result.quantity == "std":
        scale = GreyScale(f"{words} (a.u.)", "magma", 0.0)
    elif words:
        scale = GreyScale(f"{words} (a.u.)", low=0.0, top=window)
    return montage(
        result.volume.numpy(), title=title, voxel=voxel, edges=edges(header), scale=scale
    )
