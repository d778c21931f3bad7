"""Small non-Cartesian scans whose true places are known."""

import numpy as np
import torch

from mrirecon.sampling.trajectories import even_angles, golden_angles, radial, spiral
from tests.readers.mrd_files import MrdFile

MATRIX, SPOKES, SAMPLES, COILS = 16, 20, 32, 3


def spokes(count=SPOKES, golden=False, samples=SAMPLES, matrix=MATRIX, first=0):
    """Places (readout, sample, 2) in cycles per field of view."""
    angles = golden_angles(count, first) if golden else even_angles(count)
    return radial(angles, samples, matrix)


def arms(count=6, samples=60, matrix=MATRIX):
    angles = torch.arange(count, dtype=torch.float64) * (2 * np.pi / count)
    return spiral(angles, samples, matrix)


def signal(places, coils=COILS, seed=0):
    """k-space (coil, readout, sample) that is strong near k = 0."""
    rng = np.random.default_rng(seed)
    shape = (coils, *places.shape[:-1])
    noise = rng.standard_normal((2, *shape)).astype(np.float32)
    decay = np.exp(-places.norm(dim=-1).numpy()) + 1e-3
    return ((noise[0] + 1j * noise[1]) * decay).astype(np.complex64)


def gaussian(places, at, width=2.0, matrix=MATRIX):
    """k-space of a Gaussian blob at pixels ``at`` off the centre: (readout, sample)."""
    k = places.double().numpy()
    phase = np.exp(-2j * np.pi * (k[..., 0] * at[0] + k[..., 1] * at[1]) / matrix)
    envelope = np.exp(-2 * (np.pi * width * np.linalg.norm(k, axis=-1) / matrix) ** 2)
    return (phase * envelope).astype(np.complex64)


def write_bart(path, values):
    """Write an array of BART's dimensions, the first index the fastest."""
    shape = (*values.shape, *(1,) * (16 - values.ndim))
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, shape)) + "\n")
    values.astype(np.complex64).ravel(order="F").tofile(path.with_suffix(".cfl"))
    return path.with_suffix(".cfl")


def mrd_file(trajectory="radial", **xml):
    """An MrdFile without readouts: an image of 16 x 16 pixels of 2 mm, oversampled twice."""
    told = {
        "trajectory": trajectory, "full": SAMPLES, "w": SAMPLES, "view_full": 64.0, "view_w": 64.0,
        "y": MATRIX, "x": MATRIX, "view_y": 32.0, "view_x": 32.0, "maximum": SPOKES - 1,
        "center": 0,
    }  # fmt: skip
    return MrdFile((1, COILS, MATRIX, MATRIX), xml=told | xml)


def add_spokes(file, kspace, places, unit=1.0, **changes):
    """Append readouts of k-space (coil, readout, sample) at places in cycles per field of view."""
    for number in range(kspace.shape[1]):
        stored = None if places is None else places[number].numpy() * unit
        file.add(kspace[:, number], ky=number, places=stored, **changes)
    return file
