"""Find volumes that lie in another orientation or slice order than their references."""

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from mrirecon.fourier import plain_fft, plain_ifft
from mrirecon.types import Volume

LESS = 0.5
"""Another orientation is told when it leaves less than this part of the error."""
SMALLEST = 1e-6
"""Errors that are smaller are of rounding; part of the reference's energy."""

TURNS = {
    "": (0, False),
    "rotated by 90° counter-clockwise": (1, False),
    "rotated by 180°": (2, False),
    "rotated by 90° clockwise": (3, False),
    "flipped along x": (0, True),
    "transposed (y and x exchanged)": (1, True),
    "flipped along y": (2, True),
    "transposed and rotated by 180°": (3, True),
}
"""Quarter turns after a flip along x."""


def misplaced(image: Volume, reference: Volume) -> str | None:
    """Tell how an image would have to be moved to be much closer to its reference, if at all.

    Every slice is compared with every other, and the brightest slice of the reference in all
    orientations and at all circular shifts, whatever the scale of the intensities is.

    Args:
        image: Volume as it is scored.
        reference: Reference volume of the same shape.

    Returns:
        Words that follow "closest to the reference when"; None when it is in place.
    """
    order = _other_order(image, reference)
    if order is not None:
        return order
    brightest = int(reference.square().sum((-2, -1)).argmax())
    return _other_place(image[brightest], reference[brightest])


def _other_order(image: Volume, reference: Volume) -> str | None:
    """Compare all slices with all slices at equal energy, and look for the closest of each."""
    x, r = image.flatten(1), reference.flatten(1)
    products = (r @ x.T).double()
    energy, power = r.square().sum(1).double(), x.square().sum(1).double()
    scale = (energy.sum() / power.sum().clamp_min(1e-30)).sqrt()
    errors = energy[:, None] - 2 * scale * products + scale**2 * power
    closest = errors.argmin(1)
    if closest.unique().numel() < len(closest) or not _better(
        float(errors.amin(1).sum()), float(errors.diagonal().sum()), energy
    ):
        return None
    if torch.equal(closest, torch.arange(len(closest)).flip(0)):
        return "its slices are taken in the reverse order"
    numbers = [str(int(n) + 1) for n in closest]
    shown = ", ".join(numbers[:8]) + (", ..." if len(numbers) > 8 else "")
    return f"its slices are taken in the order {shown}"


def _other_place(image: Float32[Tensor, "y x"], reference: Float32[Tensor, "y x"]) -> str | None:
    """Correlate the reference with the image in every orientation."""
    shape = tuple(reference.shape)
    spectrum = plain_fft(reference + 0j, (-2, -1))
    power, energy = image.double().square().sum().clamp_min(1e-30), reference.double().square()
    total, found = energy.sum(), []
    for words, (turns, flipped) in TURNS.items():
        turned = torch.rot90(image.flip(-1) if flipped else image, turns, (-2, -1))
        if tuple(turned.shape) != shape:
            continue
        product = plain_ifft(spectrum * plain_fft(turned + 0j, (-2, -1)).conj(), (-2, -1)).real
        best = int(product.argmax())
        placed = turned.double().roll(divmod(best, shape[1]), (-2, -1))  # of exact products
        explained = (placed * reference.double()).sum().clamp_min(0).square() / power
        found.append((float(total - explained), words, divmod(best, shape[1])))
    left, words, (dy, dx) = min(found)
    own = (image.double() * reference.double()).sum().clamp_min(0).square() / power
    if not _better(left, float(total - own), energy):
        return None
    y, x = ((d + n // 2) % n - n // 2 for d, n in zip((dy, dx), shape, strict=True))
    moved = f"shifted by {y:+d} pixels along y and {x:+d} along x" if y or x else ""
    return "it is " + " and ".join(part for part in (words, moved) if part)


def _better(left: float, own: float, energy: Float[Tensor, "*any"]) -> bool:
    smallest = SMALLEST * float(energy.sum())
    return own > smallest and max(left, 0.0) < LESS * own
