"""Images that never were: an anatomical image, warped, in another contrast, with other detail.

Every function draws from the generator that it is given, on the grid that it is asked for; the
brightest pixels are about one.
"""

import math

import numpy as np
import torch
from jaxtyping import Complex64, Float32
from torch import Tensor
from torch.nn import functional as F

from mrirecon.fourier import ifft
from mrirecon.image import center_fit
from mrirecon.simulation.anatomy_bank import AnatomyImage

Plane = Float32[Tensor, "h w"]
SHAPES = 14
"""Most shapes of an image that is made of shapes only."""


def smooth_field(size: tuple[int, int], detail: int, rng: np.random.Generator) -> Plane:
    """Return a smooth random function of unit variance with ``detail`` waves along each axis."""
    waves = np.minimum(2 * detail + 1, size)
    spectrum = rng.standard_normal((*waves, 2), dtype=np.float32).view(np.complex64)[..., 0]
    field = ifft(center_fit(torch.from_numpy(spectrum), size)).real
    return field / field.std().clamp_min(1e-9)


def fractal(size: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Return a random function with detail of every size, of unit variance."""
    y, x = (torch.arange(n) - n // 2 for n in size)
    distance = torch.hypot(y[:, None] / size[0], x / size[1])
    spectrum = torch.from_numpy(rng.standard_normal((*size, 2), dtype=np.float32))
    power = float(rng.uniform(1.0, 2.0))
    gain = distance.clamp_min(2 / max(size)) ** -power
    field = ifft(torch.view_as_complex(spectrum) * gain).real
    return field / field.std().clamp_min(1e-9)


def warped(image: AnatomyImage, size: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Return an image turned, mirrored, stretched and bent, more or less filling the grid."""
    pixels = torch.from_numpy(image.pixels)
    present = (pixels > 0.05).nonzero()
    if len(present) == 0:
        return torch.zeros(size)
    low, high = present.amin(0).float(), present.amax(0).float()
    extent = torch.tensor(pixels.shape).float()
    center, half = (low + high) / extent - 1, (high - low + 1) / extent
    angle = rng.normal(0, 0.15) if rng.random() < 0.6 else rng.uniform(0, 2 * math.pi)
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    spread = float(half.max()) * (extent.max() / extent)  # square pixels, both axes
    zoom = torch.from_numpy(rng.uniform(1.02, 1.3, 2).astype(np.float32))
    if rng.random() < 0.1:
        zoom *= 0.8  # larger than the field of view
    flip = torch.from_numpy(rng.choice([-1.0, 1.0], 2).astype(np.float32))
    y, x = (2 * (torch.arange(n) - n // 2) / n for n in size)
    points = torch.stack(
        torch.meshgrid(y * zoom[0] * flip[0], x * zoom[1] * flip[1], indexing="ij")
    )
    bend = torch.stack([smooth_field(size, 3, rng) for _ in range(2)]) * rng.uniform(0, 0.03)
    places = torch.einsum("ab,bhw->ahw", turn, points + bend)
    places = places * spread[:, None, None] + center[:, None, None]
    grid = places.flip(0).movedim(0, -1)[None]  # x first
    return F.grid_sample(pixels[None, None], grid, "bilinear", align_corners=False)[0, 0]


def shapes(size: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Return an image of smooth random shapes inside each other, with texture."""
    y, x = (2 * (torch.arange(n) - n // 2) / n for n in size)
    body = torch.hypot(y[:, None] / rng.uniform(0.55, 0.95), x / rng.uniform(0.55, 0.95))
    inside = torch.sigmoid((1 - body + 0.06 * smooth_field(size, 4, rng)) * 80)
    image = torch.full(size, float(rng.uniform(0.1, 0.8)))
    for _ in range(rng.integers(3, SHAPES)):
        field = smooth_field(size, int(rng.integers(2, 24)), rng)
        edge = torch.sigmoid((field - float(rng.uniform(0.0, 1.5))) * float(rng.uniform(4, 40)))
        image = image + edge * (float(rng.uniform(0.0, 1.0)) - image)
    return image * inside


def recolored(image: Plane, rng: np.random.Generator) -> Plane:
    """Return an image of the same borders in another contrast, at times with very bright places."""
    x = image.clamp(0, 1)
    kind = rng.random()
    if kind < 0.4:
        y = x ** float(rng.uniform(0.5, 2.0))
    elif kind < 0.8:  # a smooth curve through random values that is dark where the image is
        values = np.concatenate([[0.0], rng.uniform(0.05, 1.0, 5)]).astype(np.float32)
        place = x * (len(values) - 1)
        index = place.long().clamp(max=len(values) - 2)
        curve = torch.from_numpy(values)
        y = torch.lerp(curve[index], curve[index + 1], place - index)
    else:
        y = x
    if rng.random() < 0.5:
        y = y * (1 + float(rng.uniform(0.01, 0.15)) * fractal(_size(y), rng)).clamp_min(0)
    if rng.random() < 0.25:
        bright = smooth_field(_size(y), int(rng.integers(6, 40)), rng)
        y = y * (1 + float(rng.uniform(1, 8)) * torch.sigmoid((bright - 2.3) * 8))
    if rng.random() < 0.3:
        y = y * torch.exp(float(rng.uniform(0.1, 0.6)) * smooth_field(_size(y), 2, rng))
    return y


def random_phase(size: tuple[int, int], rng: np.random.Generator) -> Complex64[Tensor, "h w"]:
    """Return a factor of unit magnitude: slow phase, off-resonance, sometimes finer detail."""
    y, x = (2 * (torch.arange(n) - n // 2) / n for n in size)
    a, b, c, d, e = rng.normal(0, 1, 5).tolist()
    rows, columns = y[:, None], x
    phase = 2 * a * rows + 2 * b * columns + c * rows * columns + d * rows**2 + e * columns**2
    phase = phase + float(rng.uniform(0, 0.8)) * smooth_field(size, 3, rng)
    if rng.random() < 0.4:
        reach, strength = rng.uniform(0.1, 0.3), rng.normal(0, 4)
        away = (rows - rng.uniform(-0.7, 0.7)) ** 2 + (columns - rng.uniform(-0.7, 0.7)) ** 2
        phase = phase + strength * torch.exp(-away / reach**2)
    if rng.random() < 0.3:
        phase = phase + float(rng.uniform(0, 0.3)) * smooth_field(
            size, int(rng.integers(8, 40)), rng
        )
    return torch.polar(torch.ones(size), (phase + float(rng.uniform(0, 6.3))).float())


def _size(image: Plane) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
