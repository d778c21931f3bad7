"""Magnitude images of many sources, from which scans for training are simulated."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float32

from mrirecon.errors import MriReconError, RawDataError
from mrirecon.files.writing import atomic
from mrirecon.hdf5_output import created_hdf5
from mrirecon.readers.hdf5.opening import open_hdf5, read

SCRIPT = "data_scripts/anatomy_bank.py"
LEVELS = 1023
"""Steps of brightness that are stored, from 0 to the brightest thousandth of an image."""


@dataclass(frozen=True)
class Source:
    """Where images come from, for the record of what a network has seen.

    Attributes:
        name: Name of the source.
        licence: Licence, by its SPDX identifier.
        origin: Place where it can be had.
        images: Number of images of it.
    """

    name: str
    licence: str
    origin: str
    images: int


@dataclass(frozen=True)
class AnatomyImage:
    """A magnitude image, in units of its brightest thousandth.

    Attributes:
        pixels: Brightness of each pixel.
        spacing: Distance of pixels in mm.
        source: Name of its source.
    """

    pixels: Float32[np.ndarray, "y x"]
    spacing: float
    source: str


def write_bank(
    path: Path, images: Iterator[AnatomyImage], sources: Sequence[Source], seed: int
) -> None:
    """Write images and where they come from into an HDF5 file.

    Args:
        path: File to write.
        images: Images, one after the other.
        sources: Everything that they were taken of.
        seed: Seed of what was random in choosing them.
    """
    with atomic(path) as temporary, created_hdf5(temporary) as file:
        file.attrs["sources"] = json.dumps([asdict(source) for source in sources])
        file.attrs["seed"] = seed
        group = file.create_group("images")
        for number, image in enumerate(images):
            stored = np.clip(np.rint(image.pixels * LEVELS), 0, 65535).astype(np.uint16)
            data = group.create_dataset(
                f"{number:05d}", data=stored, compression="gzip", shuffle=True
            )
            data.attrs["spacing"] = image.spacing
            data.attrs["source"] = image.source


@lru_cache(maxsize=2)
def read_bank(path: str) -> tuple[AnatomyImage, ...]:
    """Return all images of a file that :func:`write_bank` wrote.

    Raises:
        RawDataError: When it is no such file.
    """
    with _bank(path) as file:
        images = file["images"]
        found = tuple(
            AnatomyImage(
                read(images[name]).astype(np.float32) / LEVELS,
                float(images[name].attrs["spacing"]),
                str(images[name].attrs["source"]),
            )
            for name in sorted(images)
        )
    if not found:
        raise RawDataError(f"{path} holds no images; give {SCRIPT} something to collect")
    return found


@contextmanager
def _bank(path: str) -> Iterator[h5py.File]:
    try:
        with open_hdf5(Path(path)) as file:
            yield file
    except MriReconError as error:
        named = "" if path in str(error) else f"{path}: "
        raise RawDataError(f"{named}{error}; make such a file by `python {SCRIPT}`") from error
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise RawDataError(
            f"{path} is no file of anatomical images ({error}); make one by `python {SCRIPT}`"
        ) from error


def sources_of(path: str) -> tuple[Source, ...]:
    """Return what the images of a file were taken of.

    Raises:
        RawDataError: When :func:`write_bank` did not write it.
    """
    with _bank(path) as file:
        return tuple(Source(**source) for source in json.loads(file.attrs["sources"]))
