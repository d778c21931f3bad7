"""Small non-Cartesian Samples that many tests need."""

import math

import torch
from torch import Tensor

from mrirecon.operators import coil_images, coil_samples
from mrirecon.sampling.trajectories import even_angles, golden_angles, radial, spiral
from mrirecon.types import Sample
from tests import scenes


def spokes(number: int, matrix: int = 32, golden: bool = False) -> Tensor:
    """Return spokes as Samples want them: sample, readout, axis."""
    angles = golden_angles(number) if golden else even_angles(number)
    return radial(angles, 2 * matrix, matrix).transpose(0, 1).contiguous()


def arms(number: int, matrix: int = 32, full: int = 8) -> Tensor:
    angles = torch.arange(number, dtype=torch.float64) * (2 * math.pi / number)
    return spiral(angles, 16 * matrix, matrix, full).transpose(0, 1).contiguous()


def sampled(trajectory: Tensor, matrix: tuple[int, int] = (32, 32), **settings) -> Sample:
    """Measure a simulated slice along a trajectory; its target is the coil combination."""
    settings = {"coils": 4, "snr": 1e6, "slices": 2, **settings}
    full = scenes.scan(matrix=matrix, with_maps=True, **settings)[1]
    images = coil_images(full)
    samples, readouts = trajectory.shape[:2]
    empty = Sample(
        torch.zeros(len(images), samples, readouts, dtype=torch.complex64),
        torch.ones(1, readouts, dtype=torch.bool),
        trajectory=trajectory,
        image_grid=matrix,
    )
    target = (full.maps.conj() * images).sum(-3).abs()
    return empty.replace(
        kspace=coil_samples(empty, images), maps=full.maps, target=target, key=("made", 1)
    )
