"""Series with several flow encodings: which files belong together, and their velocities."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from mrirecon.errors import RawDataError
from mrirecon.evaluation.scores.volumes import read_complex_volume
from mrirecon.metrics.phase_contrast import check_venc, velocity
from mrirecon.readers.base import blaming
from mrirecon.readers.hdf5.opening import open_hdf5

SET = re.compile(r"_set-(\d+)(?=_stack-\d+$|$)")
"""How the file of a series tells its set."""
TOLD = ("sequence_velocity_encoding", "venc_cm_s")
"""Attributes of files in which images tell the velocity that turns the phase by half a turn."""


@dataclass(frozen=True)
class Pair:
    """A flow encoding of a series and the one that it is compared with.

    Attributes:
        name: Name of the encoded series, of which the output is called.
        encoded: File of its images.
        still: File of the images without flow encoding.
    """

    name: str
    encoded: Path
    still: Path


@dataclass(frozen=True)
class Velocities:
    """Velocities of a series along one direction.

    Attributes:
        velocity: Velocity of every voxel in cm/s; frames follow one another.
        magnitude: Geometric mean of the magnitudes of both encodings.
    """

    velocity: Float32[Tensor, "plane y x"]
    magnitude: Float32[Tensor, "plane y x"]


def pairs(files: Mapping[str, Path], still: int) -> Iterator[Pair]:
    """Yield each flow encoding with the set of the same series that has none.

    Args:
        files: Files of series by their names.
        still: Number of the set without encoding.
    """
    series: dict[str, dict[int, tuple[str, Path]]] = defaultdict(dict)
    for name, path in files.items():
        if found := SET.search(name):
            series[SET.sub("", name)][int(found[1])] = (name, path)
    for sets in series.values():
        if still in sets:
            for number, (name, path) in sorted(sets.items()):
                if number != still:
                    yield Pair(name, path, sets[still][1])


def found_pairs(where: str, files: Mapping[str, Path], still: int) -> dict[str, Pair]:
    """Return the flow encodings among files by name.

    Args:
        where: Words for where the files are.
        files: Files of series by their names.
        still: Number of the set without encoding.

    Raises:
        RawDataError: When there are none.
    """
    found = {pair.name: pair for pair in pairs(files, still)}
    if not found:
        raise RawDataError(
            f"{where}: found no series of several sets (NAME_set-1.h5, NAME_set-2.h5) of which one "
            f"is set {still}; reconstruct a scan with flow encodings with image=complex, or tell "
            "the set without encoding by still=NUMBER"
        )
    return found


def velocities(pair: Pair, venc: float) -> Velocities:
    """Read two encodings, and return the velocities between them.

    Args:
        pair: Files of both.
        venc: Velocity in cm/s that turns the phase by half a turn.

    Raises:
        RawDataError: When a file cannot be read, holds magnitudes only or other slices.
    """
    encoded, still = read_complex_volume(pair.encoded), read_complex_volume(pair.still)
    if encoded.shape != still.shape:
        raise RawDataError(
            f"{pair.encoded} has images of {tuple(encoded.shape)}, {pair.still} of "
            f"{tuple(still.shape)}; expected the same slices and frames"
        )
    magnitude = (encoded.abs() * still.abs()).sqrt()
    return Velocities(velocity(encoded, still, venc), magnitude)


def venc_of(path: Path) -> float:
    """Return the velocity in cm/s that turns the phase by half a turn, as a file tells it.

    Args:
        path: Path of an HDF5 file of ``mrirecon reconstruct``.

    Raises:
        RawDataError: When it does not tell.
    """
    with blaming(path), open_hdf5(path) as file:
        told = next((file.attrs[name] for name in TOLD if name in file.attrs), None)
        try:
            venc = float(np.asarray(told).item())
            check_venc(venc)
        except (TypeError, ValueError) as error:
            raise RawDataError(
                "does not tell the velocity that turns the phase by half a turn, which raw files "
                "have among their user parameters (venc); say it in cm/s with venc=NUMBER"
            ) from error
    return venc
