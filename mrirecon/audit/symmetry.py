"""k-space of images that have no phase: magnitudes, or real numbers."""

from collections.abc import Iterator

import torch
from jaxtyping import Complex64
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mrirecon.audit.finding import CRIME, Kind, Level, Seen
from mrirecon.audit.planes import Plane
from mrirecon.fourier import fft

SYMMETRIC = Kind(
    "symmetric k-space",
    "k-space was computed from an image without phase. Its one half tells the other, so that twice "
    f"as much is known as was sampled, and no coil or scanner looks like that. {CRIME}",
    "Use measured complex k-space; simulate phase, coils and noise if there are images only.",
)
SHIFT = 3
"""Samples by which the centre of k-space may lie elsewhere: a linear phase of the image."""
EXACT = 1e-4
"""Energy off the real axis, relative to all, that rounding leaves, in half precision too."""
OBJECT = 0.2
"""Magnitude relative to the 99th percentile from which on there is an object."""
FLAT = 1.3
"""Energy off the real axis inside the object, relative to the noise's, up to which the phase is
flat within the noise."""
SIGNAL = 100.0
"""Energy along the real axis inside the object, relative to the noise's, from which on a phase of
0.06 rad would show."""
AROUND, BACKGROUND = 7, 0.15
"""Pixels across of a neighbourhood, and the share of the darkest ones that shows noise only."""
FEWEST = 200
"""Pixels of object and of background that are needed."""


def find(plane: Plane) -> Iterator[Seen]:
    """Look whether every coil image has one phase only, or a linear one."""
    if not plane.complete:
        return
    images = [_without_linear_phase(image) for image in plane.images]
    magnitude = plane.magnitude
    inside = magnitude > OBJECT * float(torch.quantile(_some(magnitude), 0.99))
    off = max(_energy(image.imag) / _energy(image) for image in images)
    if off < EXACT:
        lowest = min(float(image.real.min() / image.real.abs().max()) for image in images)
        which = "real and not negative: magnitudes" if lowest > -1e-3 else "real numbers"
        yield Seen(
            SYMMETRIC,
            Level.PROBLEM,
            f"k(-q) is the complex conjugate of k(q) up to {off:.0e} of the energy: the images "
            f"are {which}.",
        )
        return
    # the mean of a neighbourhood, so that chance does not choose pixels of little noise
    around = avg_pool2d(magnitude[None], AROUND, 1, AROUND // 2, count_include_pad=False)[0]
    outside = around <= torch.quantile(_some(around), BACKGROUND)
    if min(int(inside.sum()), int(outside.sum())) < FEWEST:
        return
    ratios, signals = [], []
    for image in images:
        noise = _energy(image.imag[outside]) / int(outside.sum())
        across = _energy(image.imag[inside]) / int(inside.sum())
        ratios.append(across / max(noise, 1e-30))
        signals.append(_energy(image.real[inside]) / int(inside.sum()) / max(noise, 1e-30))
    if max(ratios) < FLAT and max(signals) > SIGNAL:
        yield Seen(
            SYMMETRIC,
            Level.PROBLEM,
            f"The phase of the object is flat within the noise: the energy off the real axis is "
            f"{max(ratios):.2f} of the noise's where the signal's is {max(signals):.0f}. The "
            "images had no phase when noise was added.",
        )


def _without_linear_phase(image: Complex64[Tensor, "h w"]) -> Complex64[Tensor, "h w"]:
    """Turn an image so that it is real, if its phase is constant or linear.

    A real image times such a phase has a square whose Fourier transform peaks at the slope, where
    all pixels add up.
    """
    h, w = image.shape
    spectrum = fft(image * image)
    rows, columns = (slice(n // 2 - SHIFT, n // 2 + SHIFT + 1) for n in (h, w))
    near = spectrum[rows, columns]
    place = int(near.abs().argmax())
    ky, kx = place // near.shape[1] - SHIFT, place % near.shape[1] - SHIFT
    y, x = ((torch.arange(n) - n // 2) / n for n in (h, w))
    turns = torch.pi * (ky * y[:, None] + kx * x) + float(near.flatten()[place].angle()) / 2
    turned = image * torch.polar(torch.ones_like(turns), -turns)
    return turned if float(turned.real.sum()) >= 0 else -turned


def _energy(values: Tensor) -> float:
    return float(values.abs().square().sum())


def _some(values: Tensor) -> Tensor:
    """Return at most a million values, which is what quantiles are computed of."""
    flat = values.flatten()
    return flat[:: max(1, len(flat) // 1_000_000)]
