"""``mrirecon velocity``: velocities from the phases of several flow encodings, and their errors."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from mrirecon import metrics
from mrirecon.commands.base import command
from mrirecon.errors import RawDataError
from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.evaluation.scores.volumes import read_complex_volume, volume_files
from mrirecon.files import Kind, Untouchable, output_folder, refuse_existing
from mrirecon.metrics.phase_contrast import check_venc
from mrirecon.writers.velocity_file import VelocityImages, write_velocity

SET = re.compile(r"_set-(\d+)(?=_stack-\d+$|$)")
"""How the file of a series tells its set."""


@dataclass(frozen=True)
class Settings:
    """mrirecon velocity input=FOLDER output=FOLDER venc=CM_PER_S [reference=FOLDER]."""

    input: str
    output: str
    venc: float
    still: int
    reference: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        check_venc(self.venc)


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


@command(Settings)
def velocity(config: DictConfig, settings: Settings) -> None:  # noqa: ARG001
    """Write the velocities of every series, and say how far they are from those of a reference."""
    folder = output_folder(settings.output)
    found = list(pairs(volume_files(Path(settings.input).expanduser()), settings.still))
    if not found:
        raise RawDataError(
            f"{settings.input}: found no series of several sets (NAME_set-1.h5, NAME_set-2.h5) of "
            f"which one is set {settings.still}; reconstruct a scan with flow encodings with "
            "image=complex, or tell the set without encoding by still=NUMBER"
        )
    expected: dict[str, Pair] = {}
    if settings.reference is not None:
        references = volume_files(Path(settings.reference).expanduser())
        expected = {pair.name: pair for pair in pairs(references, settings.still)}
        if missing := [pair.name for pair in found if pair.name not in expected]:
            raise RawDataError(f"{settings.reference}: holds no {', '.join(missing)}")
    paths = {pair.name: folder / f"{pair.name}_velocity.h5" for pair in found}
    read = [file for pair in (*found, *expected.values()) for file in (pair.encoded, pair.still)]
    Untouchable(read).refuse(paths.values())
    for path in paths.values():
        refuse_existing(path, settings.overwrite, Kind.VOLUME)
    for pair in found:
        images = _images(pair, settings.venc)
        write_velocity(paths[pair.name], images, overwrite=settings.overwrite)
        print(f"{pair.name}: {_errors(images, expected.get(pair.name), settings.venc)}")
    print(f"wrote {len(found)} file{'s' * (len(found) > 1)} to {folder}")


def pairs(files: dict[str, Path], still: int) -> Iterator[Pair]:
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


def _images(pair: Pair, venc: float) -> VelocityImages:
    encoded, still = read_complex_volume(pair.encoded), read_complex_volume(pair.still)
    if encoded.shape != still.shape:
        raise RawDataError(
            f"{pair.encoded} has images of {tuple(encoded.shape)}, {pair.still} of "
            f"{tuple(still.shape)}; expected the same slices and frames"
        )
    return VelocityImages(
        metrics.velocity(encoded, still, venc), (encoded.abs() * still.abs()).sqrt(), venc
    )


def _errors(images: VelocityImages, expected: Pair | None, venc: float) -> str:
    """Tell the range of velocities, or how far they are from those of the reference."""
    if expected is None:
        inside = images.velocity[foreground(images.magnitude)].numpy()
        low, high = np.percentile(inside, [1, 99])  # torch's quantile refuses large series
        return f"velocities of the foreground {low:.1f} to {high:.1f} cm/s (1st, 99th percentile)"
    reference = _images(expected, venc)
    if reference.velocity.shape != images.velocity.shape:
        raise RawDataError(
            f"{expected.encoded} has images of {tuple(reference.velocity.shape)}, the "
            f"reconstruction {tuple(images.velocity.shape)}"
        )
    where = foreground(reference.magnitude)
    pair = images.velocity, reference.velocity
    radians = torch.pi / venc
    return (
        f"error of the velocity {metrics.velocity_error(*pair, venc, where):.2f} cm/s, mean "
        f"{metrics.velocity_bias(*pair, venc, where):+.2f} cm/s, of the phase difference "
        f"{metrics.phase_error(pair[0] * radians, pair[1] * radians, where):.4f} rad, in "
        f"{int(where.sum())} voxels of the foreground"
    )


main = velocity
