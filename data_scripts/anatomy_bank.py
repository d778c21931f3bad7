r"""Collects magnitude images from which `mrirecon.simulation.random_scans` makes training scans.

Every source is free to use:

- simulated heads of this package, any number;
- Colin 27 (Holmes et al., J Comput Assist Tomogr 22:324, 1998), one head at 1 mm: `ch2.nii.gz` of
  the Debian package mricron-data (BSD-3-Clause);
- HDF5 files of magnitude slices (slice, row, column), one data set per contrast, with attributes
  `licence` and `source`: those of github.com/bispmri/Ultra-low-field-MRI-Scanner (3 T, CC0-1.0).

    python data_scripts/anatomy_bank.py outputs/anatomy/train.h5 --heads 0 160 --colin ch2.nii.gz \
        --slices patient1.h5 patient2.h5 patient3.h5
    python data_scripts/anatomy_bank.py outputs/anatomy/select.h5 --heads 5000 24 \
        --slices patient4.h5

Takes seconds. The second file, for choosing checkpoints,
must share no person with the first.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import nibabel
import numpy as np
from jaxtyping import Float32
from scipy.ndimage import map_coordinates
from tqdm import tqdm

from mrirecon.errors import MriReconError, RawDataError
from mrirecon.readers.hdf5.opening import open_hdf5, read
from mrirecon.simulation.anatomy import Anatomy
from mrirecon.simulation.anatomy_bank import AnatomyImage, Source, write_bank
from mrirecon.simulation.contrast import CONTRASTS
from mrirecon.simulation.tissues import tissue_table

SIZE = 224
"""Pixels of 1 mm of the images that are cut out of volumes."""
COLIN = 160
"""Number of slices of Colin 27."""


def turned(rng: np.random.Generator) -> Float32[np.ndarray, "3 3"]:
    """Return the axes of a plane: often axial, sagittal or coronal and a little tilted."""
    if rng.random() < 0.3:
        return np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
    order = [(0, 1, 2), (0, 1, 2), (1, 2, 0), (0, 2, 1)][rng.integers(4)]
    tilt = np.linalg.qr(np.eye(3) + 0.12 * rng.standard_normal((3, 3)))[0]
    return tilt[:, order].astype(np.float32)


def plane(rng: np.random.Generator, reach: float) -> Float32[np.ndarray, "3 point"]:
    """Return the points of a plane in mm, at most ``reach`` from the origin."""
    axes = np.arange(SIZE, dtype=np.float32) - SIZE // 2
    rows, columns = np.meshgrid(axes, axes, indexing="ij")
    depth = np.full(rows.size, rng.uniform(-reach, reach), np.float32)
    return turned(rng) @ np.stack([rows.ravel(), columns.ravel(), depth])


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Divide by the brightest thousandth."""
    return (pixels / max(float(np.percentile(pixels, 99.9)), 1e-6)).astype(np.float32)


def head(subject: int) -> AnatomyImage:
    """Return a slice of a simulated head, in a contrast of its own."""
    rng = np.random.default_rng((subject, 7))
    anatomy = Anatomy.draw(np.random.default_rng((subject, 0)))
    fractions, modulation = anatomy.fractions(plane(rng, 55.0), 1.0)
    contrast = [*CONTRASTS.values()][rng.integers(len(CONTRASTS))]
    signal = contrast.signal(tissue_table(3.0))
    if rng.random() < 0.4:  # a contrast that no sequence needs to have
        signal = signal * np.exp(0.5 * rng.standard_normal(len(signal)))
    pixels = (signal @ fractions * modulation).reshape(SIZE, SIZE)
    return AnatomyImage(scaled(pixels), 1.0, "simulated heads")


def colin_slices(path: Path, rng: np.random.Generator) -> Iterator[AnatomyImage]:
    """Yield slices of a volume of 1 mm in many directions."""
    try:
        volume = np.asarray(nibabel.load(path).dataobj, np.float32)
    except (OSError, nibabel.filebasedimages.ImageFileError, ValueError) as error:
        raise RawDataError(
            f"{path} is no readable NIfTI file ({error}); expected ch2.nii.gz"
        ) from error
    if volume.ndim != 3 or not np.isfinite(volume).all():
        raise RawDataError(
            f"{path} is an image of {volume.shape}; expected one volume of finite brightness"
        )
    center = np.asarray(volume.shape, np.float32)[:, None] / 2
    found = 0
    for _ in range(20 * COLIN):
        pixels = map_coordinates(volume, plane(rng, 70.0) + center, order=1)
        if (pixels > 10).mean() > 0.1:
            found += 1
            yield AnatomyImage(scaled(pixels.reshape(SIZE, SIZE)), 1.0, "Colin 27")
        if found == COLIN:
            return
    raise RawDataError(
        f"{path}: only {found} of {20 * COLIN} planes of it show anything; expected a head of "
        "1 mm voxels whose brightness is far above 10, as in ch2.nii.gz"
    )


def stored_slices(path: Path) -> Iterator[tuple[AnatomyImage, str, str]]:
    """Yield the slices of a file, with licence and origin; shrunk to what the scanner resolved."""
    with open_hdf5(path) as file:
        missing = [name for name in ("licence", "source") if not file.attrs.get(name)]
        if missing or not len(file):
            lacks = f"no attribute {missing[0]}" if missing else "no data sets"
            raise RawDataError(
                f"{path} has {lacks}; expected data sets of magnitude slices, and the attributes "
                "licence and source that say who allows to use them, and where they are from"
            )
        licence, origin = str(file.attrs["licence"]), str(file.attrs["source"])
        for contrast in file:
            for pixels in _magnitudes(path, file[contrast]):
                factor = 2 if max(pixels.shape) > 320 else 1
                h, w = (n // factor * factor for n in pixels.shape)
                blocks = pixels[:h, :w].reshape(h // factor, factor, w // factor, factor)
                shrunk = blocks.mean((1, 3))
                yield (
                    AnatomyImage(scaled(shrunk), 230.0 / max(shrunk.shape), origin),
                    licence,
                    origin,
                )


def _magnitudes(path: Path, found: h5py.Dataset | h5py.Group) -> Float32[np.ndarray, "slice y x"]:
    """Return the slices of a data set, if that is what it holds."""
    shape = getattr(found, "shape", None)
    if shape is None or len(shape) != 3 or 0 in shape or found.dtype.kind not in "fiu":
        what = "a group" if shape is None else f"{found.dtype} of {shape}"
        raise RawDataError(
            f"{path}: {found.name} is {what}; expected magnitudes (slice, row, column)"
        )
    pixels = read(found).astype(np.float32)
    if not np.isfinite(pixels).all() or pixels.min() < 0:
        raise RawDataError(f"{path}: {found.name} holds values that are no magnitudes")
    return pixels


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--heads", type=int, nargs=2, default=(0, 0), metavar=("FIRST", "COUNT"))
    parser.add_argument("--colin", type=Path)
    parser.add_argument("--slices", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        collect(given)
    except MriReconError as error:
        sys.exit(f"anatomy_bank.py: {error}")


def collect(given: argparse.Namespace) -> None:
    """Read what was asked for and write the file.

    Raises:
        MriReconError: When a file is not what it should be, or there is nothing to write.
    """
    images: list[AnatomyImage] = []
    sources: list[Source] = []
    first, count = given.heads
    if count:
        images += [head(n) for n in tqdm(range(first, first + count), desc="heads")]
        sources.append(Source("simulated heads", "Apache-2.0", "this package", count))
    if given.colin:
        images += colin_slices(given.colin, np.random.default_rng(given.seed))
        sources.append(
            Source("Colin 27", "BSD-3-Clause", "ch2.nii.gz of Debian's mricron-data", COLIN)
        )
    for path in given.slices:
        found = list(stored_slices(path))
        images += [image for image, _, _ in found]
        sources.append(Source(path.stem, found[0][1], found[0][2], len(found)))
    if not images:
        raise RawDataError("nothing to collect; give --heads, --colin or --slices")
    write_bank(given.output, iter(images), sources, given.seed)
    print(f"{given.output}: {len(images)} images, {given.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
