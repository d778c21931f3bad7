"""Clean and processed k-space for the audit: simulated people, and what is done to such data."""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.reconstructors.classical.grappa import Grappa
from mrirecon.simulation import Prescription, SimulatedScan, SimulationProtocol
from mrirecon.types import Sample

Crime = Callable[[Tensor, np.random.Generator], Tensor]
SIZES = (96, 128, 160, 192, 256)


def clean(number: int) -> tuple[Tensor, np.random.Generator]:
    """K-space (coil, h, w) of one slice of a person of its own, with receiver noise."""
    rng = np.random.default_rng((number, 7))
    h, w = (int(n) for n in rng.choice(SIZES, 2))
    protocol = SimulationProtocol(
        coils=int(rng.choice([1, 2, 4, 8, 16, 32], p=[0.15, 0.1, 0.25, 0.3, 0.15, 0.05])),
        snr=float(np.exp(rng.uniform(np.log(5), np.log(200)))),
        prescription=Prescription(matrix=(h, w), slices=1),
    )
    kspace = SimulatedScan(number, protocol)[0].kspace
    rate = float(rng.uniform(-0.3, 0.3))  # an object that is not in the middle
    turns = 2 * torch.pi * rate * torch.arange(h)[:, None] * float(rng.uniform(0, 1) > 0.7)
    return kspace * torch.polar(torch.ones_like(turns), turns), rng


def at_least(kspace: Tensor, coils: int) -> Tensor:
    """Take k-space of enough coils by making more of what is there, with noise of their own."""
    while len(kspace) < coils:
        extra = kspace.roll(1, 0) + 0.3 * kspace.flip(0)
        kspace = torch.cat([kspace, extra * torch.exp(torch.tensor(1j))])
    return kspace


def padded(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """Zeros around k-space, exact or after a round trip through rounded images."""
    h, w = kspace.shape[-2:]
    factors = rng.uniform(1.1, 2.0, 2)
    axes = int(rng.integers(3))
    shape = (round(h * factors[0]) if axes != 1 else h, round(w * factors[1]) if axes else w)
    wide = center_fit(kspace, shape)
    if rng.uniform() < 0.5:
        return wide
    images = ifft(wide)
    if rng.uniform() < 0.5:
        top = float(images.abs().max())
        halves = torch.view_as_real(images / top).half().float()
        images = torch.view_as_complex(halves) * top
    return fft(images)


def interpolated(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """Zero-filled interpolation, with some noise of what came after."""
    h, w = kspace.shape[-2:]
    factor = rng.uniform(1.15, 2.0)
    wide = center_fit(kspace, (round(h * factor), round(w * factor)))
    level = rng.uniform(0.05, 0.5)  # of the scan's noise, which is 1
    return wide + level * noise_like(wide, rng)


def windowed(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """A window along one axis, both, or around the centre."""
    y, x = ((torch.arange(n) - n // 2).abs() / (n / 2) for n in kspace.shape[-2:])
    kind = int(rng.integers(5))

    def window(r: Tensor) -> Tensor:
        r = r.clamp_max(1)
        if kind == 0:
            return 0.5 + 0.5 * torch.cos(torch.pi * r)
        if kind == 1:
            return 0.54 + 0.46 * torch.cos(torch.pi * r)
        if kind == 2:
            return 1 / (1 + torch.exp((r - float(rng.uniform(0.75, 0.92))) / 0.04))
        if kind == 3:
            taper = float(rng.uniform(0.2, 0.6))
            inside = ((r - 1 + taper) / taper).clamp_min(0)
            return 0.5 + 0.5 * torch.cos(torch.pi * inside)
        return torch.exp(-0.5 * (r / float(rng.uniform(0.3, 0.5))).square())

    how = int(rng.integers(4))
    if how == 0:
        return kspace * window(x)
    if how == 1:
        return kspace * window(y)[:, None]
    if how == 2:
        return kspace * window(y)[:, None] * window(x)
    return kspace * window((y[:, None].square() + x.square()).sqrt())


def elliptical(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """Corners taken away, to zero or nearly."""
    y, x = ((torch.arange(n) - n // 2) / (n / 2) for n in kspace.shape[-2:])
    outside = (y[:, None].square() + x.square()).sqrt() > 1
    return torch.where(outside, float(rng.choice([1e-6, 1e-3, 0.1])) * kspace, kspace)


def magnitudes(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """K-space of magnitude images: of the combined one, of every coil, of real parts."""
    images, kind = ifft(kspace), int(rng.integers(4))
    if kind == 0:
        images = images.abs() + 0j
    elif kind == 1:
        images = root_sum_of_squares(images)[None] + 0j
    elif kind == 2:
        images = images.real + 0j
    else:
        images = root_sum_of_squares(images)[None].roll((3, -2), (1, 2)) + 0j
    found = fft(images)
    level = float(images.abs().max()) * float(rng.choice([0, 0, 0.003, 0.01, 0.03]))
    return found + level * noise_like(found, rng)


def few_levels(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """K-space of an 8-bit picture, with a phase and perhaps with maps."""
    image = root_sum_of_squares(ifft(kspace))
    top = float(image.max()) * float(rng.uniform(0.8, 1.3))
    grey = (image / top * 255).clamp_max(255).round()
    return with_phase(grey, rng)


def compressed(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """K-space of a JPEG picture, with a phase, and perhaps with maps and noise."""
    image = root_sum_of_squares(ifft(kspace))
    grey = (image / float(image.max()) * 255).clamp_max(255).round()
    stream = io.BytesIO()
    Image.fromarray(grey.numpy().astype(np.uint8)).save(
        stream, "JPEG", quality=int(rng.integers(40, 91))
    )
    decoded = torch.from_numpy(np.asarray(Image.open(stream), np.float32))
    found = with_phase(decoded, rng)
    return found + float(rng.choice([0, 1, 3])) * noise_like(found, rng)


def with_phase(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Give an image a smooth phase, and perhaps smooth maps of unit root-sum-of-squares."""
    h, w = image.shape
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    a, b, c = (float(v) for v in rng.uniform(-2, 2, 3))
    phase = torch.exp(1j * (a * x + b * y + c * x * y))
    coils = int(rng.choice([1, 4]))
    places = torch.tensor(rng.uniform(-1.5, 1.5, (coils, 2)), dtype=torch.float32)
    maps = [torch.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2) / 2 + 1j * p[0] * y) for p in places]
    stacked = torch.stack(maps)
    return fft(image * phase * stacked / stacked.abs().square().sum(0).sqrt())


def filled_lines(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """Undersampled, then filled by GRAPPA, with its calibration lines kept or not."""
    full = at_least(kspace, 4)[:16]
    w, rate, acs = full.shape[-1], int(rng.choice([2, 3, 4])), int(rng.choice([20, 24, 32]))
    mask = torch.arange(w) % rate == int(rng.integers(rate))
    mask[w // 2 - acs // 2 : w // 2 + acs // 2] = True
    sample = Sample(
        (full * mask)[None], mask[None, None], acs=torch.tensor([[full.shape[-2], acs]])
    )
    return Grappa().fill(sample)[0]


def filled_side(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """Partial Fourier, filled by POCS, homodyne, or by plain conjugation."""
    w = kspace.shape[-1]
    missing = w - round(w * float(rng.uniform(0.55, 0.8)))
    mask = torch.arange(w) >= missing
    center = (torch.arange(w) - w // 2).abs() < w // 2 - missing
    if (kind := int(rng.integers(3))) == 2:
        turned = kspace.flip(-1, -2).roll((1 - kspace.shape[-2] % 2, 1 - w % 2), (-2, -1)).conj()
        return torch.where(mask, kspace, turned)
    distance = (torch.arange(w) - w // 2).abs() / max(w // 2 - missing, 1)
    window = (0.5 + 0.5 * torch.cos(torch.pi * distance.clamp_max(1))) * center
    phase = torch.polar(torch.ones(kspace.shape), ifft(kspace * window).angle())
    if kind == 1:
        image = ifft(kspace * (mask * 2.0 - center * 1.0))
        return fft((image * phase.conj()).real * phase)
    filled = kspace * mask
    for _ in range(8):
        filled = torch.where(mask, kspace, fft(ifft(filled).abs() * phase))
    return filled


def noise_like(kspace: Tensor, rng: np.random.Generator) -> Tensor:
    """White noise of unit variance in each real component."""
    values = rng.standard_normal((*kspace.shape, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(values))


CRIMES: dict[str, Crime] = {
    "zero padding": padded,
    "interpolated k-space": interpolated,
    "windowed k-space": windowed,
    "empty corners": elliptical,
    "symmetric k-space": magnitudes,
    "few grey levels": few_levels,
    "JPEG blocks": compressed,
    "lines filled by parallel imaging": filled_lines,
    "side filled by partial Fourier": filled_side,
}
"""What is done to k-space, by the kind of finding that tells it."""


def sampled(kspace: Tensor, rng: np.random.Generator) -> tuple[str, Tensor, Tensor | None]:
    """Sample as scanners do: all of it, partial Fourier, undersampled, with a mask or without.

    Returns:
        How, k-space, and the mask of the file; None when it has none.
    """
    h, w = kspace.shape[-2:]
    mask = torch.ones(w, dtype=torch.bool)
    kind = int(rng.integers(5))
    if kind in (1, 4):
        mask[: round(w * float(rng.uniform(0.1, 0.4)))] = False
    if kind >= 2:
        rate, acs = int(rng.integers(2, 9)), int(rng.integers(8, 32))
        lines = torch.arange(w) % rate == int(rng.integers(rate))
        if kind == 3:
            lines = torch.tensor(rng.uniform(size=w) < 1 / rate)
        lines[w // 2 - acs // 2 : w // 2 + acs // 2] = True
        mask &= lines
    how = ("all lines", "partial Fourier", "every n-th line", "random lines",
           "partial Fourier, every n-th line")[kind]  # fmt: skip
    if rng.uniform() < 0.3:  # an asymmetric echo
        kspace = kspace.clone()
        kspace[:, : round(h * float(rng.uniform(0.05, 0.3)))] = 0
    told = mask if rng.uniform() < 0.5 else None
    return how, kspace * mask, told
