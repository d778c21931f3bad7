"""``mrirecon velocity``: velocities from the phases of several flow encodings, and their errors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig

from mrirecon import metrics
from mrirecon.commands.base import command
from mrirecon.errors import RawDataError
from mrirecon.evaluation.scores.flow import Pair, found_pairs, pairs, velocities, venc_of
from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.evaluation.scores.volumes import volume_files
from mrirecon.files import Kind, Untouchable, output_folder, refuse_existing
from mrirecon.metrics.phase_contrast import check_venc
from mrirecon.writers.velocity_file import VelocityImages, write_velocity


@dataclass(frozen=True)
class Settings:
    """mrirecon velocity input=FOLDER output=FOLDER [venc=CM_PER_S] [reference=FOLDER]."""

    input: str
    output: str
    venc: float | None
    still: int
    reference: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        if self.venc is not None:
            check_venc(self.venc)


@command(Settings)
def velocity(config: DictConfig, settings: Settings) -> None:  # noqa: ARG001
    """Write the velocities of every series, and say how far they are from those of a reference."""
    folder = output_folder(settings.output)
    files = volume_files(Path(settings.input).expanduser())
    found = list(found_pairs(settings.input, files, settings.still).values())
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
    vencs = [settings.venc or venc_of(pair.encoded) for pair in found]
    for pair, venc in zip(found, vencs, strict=True):
        images = _images(pair, venc)
        write_velocity(paths[pair.name], images, overwrite=settings.overwrite)
        print(f"{pair.name}: {_errors(images, expected.get(pair.name))}")
    print(f"wrote {len(found)} file{'s' * (len(found) > 1)} to {folder}")


def _images(pair: Pair, venc: float) -> VelocityImages:
    found = velocities(pair, venc)
    return VelocityImages(found.velocity, found.magnitude, venc)


def _errors(images: VelocityImages, expected: Pair | None) -> str:
    """Tell the range of velocities, or how far they are from those of the reference."""
    if expected is None:
        inside = images.velocity[foreground(images.magnitude)].numpy()
        low, high = np.percentile(inside, [1, 99])  # torch's quantile refuses large series
        return f"velocities of the foreground {low:.1f} to {high:.1f} cm/s (1st, 99th percentile)"
    venc = images.venc
    reference = velocities(expected, venc)
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
