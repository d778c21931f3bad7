"""Small cases: an object seen by four coils, with or without noise."""

import numpy as np
import torch

from mrirecon.fourier import fft
from mrirecon.robustness.case import Case, FullSlice
from mrirecon.sampling import EquispacedFractionLines
from mrirecon.scan import ScanHeader
from mrirecon.simulation.receiver_noise import white_noise
from mrirecon.types import Sample

SHAPE = (64, 48)


def blob(shape, y, x, width):
    rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in shape)
    squares = (rows[:, None] - y) ** 2 + (columns - x) ** 2
    return torch.exp(-squares / (2 * width**2))


def coil_images(shape=SHAPE, coils=4):
    """A smooth object off the centre, and sensitivities that fall from the sides."""
    h, w = shape
    parts = ((0, 0, 9), (6, -5, 4), (-9, 7, 3))
    object_ = 40 * sum(blob(shape, y, x, width) for y, x, width in parts)
    angles = 2 * np.pi * np.arange(coils) / coils
    maps = torch.stack(
        [
            blob(shape, 0.4 * h * np.sin(a), 0.4 * w * np.cos(a), 0.5 * h) * np.exp(1j * a)
            for a in angles
        ]
    )
    return (maps * object_).to(torch.complex64)


def case_of(clean, noise=0.0, sampling=None, name="case.h5", **header):
    coils, h, w = clean.shape
    added = noise * torch.from_numpy(white_noise((coils, h, w), np.random.default_rng(1)))
    sample = Sample(
        kspace=clean + added,
        mask=torch.ones(1, w, dtype=torch.bool),
        noise=torch.tensor(float(noise)) if noise else None,
    )
    facts = ScanHeader(
        name=name, format="made", slices=1, coils=coils, grid=(h, w), canvas=(h, w),
        matrix=(h, w), **header,
    )  # fmt: skip
    pattern = sampling or EquispacedFractionLines(3, acs=12)
    return Case(facts, (FullSlice(sample, clean),), pattern)


def smooth_case(noise=0.0, **changes):
    return case_of(fft(coil_images()), noise, **changes)
