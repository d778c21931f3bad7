"""Weights and inputs by formula, so that the golden files need not store them.

Imported by the tests and, in an environment without mrirecon, by the generator.
"""

import zlib

import numpy as np

SHAPES = {"even": (32, 40), "odd": (37, 45)}
COILS = 3
CROPS = {"even": (16, 32), "odd": (29, 33)}  # smaller than the grid, as for readout oversampling
LINES = {"even": 9, "odd": 8}


def normal(name, shape):
    """Return standard normal float32 numbers that depend on ``name`` and ``shape`` only."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    return rng.standard_normal(shape).astype(np.float32)


def parameter(name, shape):
    """Return one weight: He-scaled noise, biases and data-consistency weights of order one."""
    noise = normal(name, shape)
    if name.endswith("dc_weight"):
        return 0.7 + 0.1 * noise
    return noise * np.float32((2 / np.prod(shape[1:])) ** 0.5) if len(shape) > 1 else 0.1 * noise


def kspace(name):
    """Return fully sampled k-space of shape (coil, h, w), as large as fastMRI's: about 1e-5."""
    h, w = SHAPES[name]
    noise = normal(name + "/real", (COILS, h, w)) + 1j * normal(name + "/imag", (COILS, h, w))
    radius = np.hypot(*np.meshgrid(np.arange(h) - h // 2, np.arange(w) - w // 2, indexing="ij"))
    return (1e-5 * noise / (1 + radius)).astype(np.complex64)


def lines(name):
    """Return a line mask of shape (w,): every third line and a dense centre."""
    w, count = SHAPES[name][1], LINES[name]
    mask = np.zeros(w, bool)
    mask[1::3] = True
    start = (w - count + 1) // 2
    mask[start : start + count] = True
    return mask


def images():
    """Return two stacks (2, 24, 20) of similar positive images, and their data ranges."""
    x = np.abs(normal("x", (2, 24, 20)))
    return x, np.abs(x + 0.3 * normal("y", x.shape)), np.array([2.5, 4.0], np.float32)
