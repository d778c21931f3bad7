"""Images turned and moved around a network that is not as indifferent to that as it should be.

A prior that prefers no direction and no place makes plug-and-play iterations more stable (Terris,
Moreau, Pustelnik and Tachella, CVPR 2024): each iteration sees the image another way round.
"""

from jaxtyping import Complex64
from torch import Tensor

Images = Complex64[Tensor, "*b h w"]
SHIFTS = ((0, 0), (1, 1), (2, 3), (3, 6), (5, 2), (6, 5), (7, 4), (4, 7))
"""Pixels by which images are moved in turn: odd and even ones, as networks halve images."""
WAYS = 8
"""Ways of mirroring and transposing an image."""


def moved(images: Images, number: int) -> Images:
    """Move images cyclically by the shift of an iteration."""
    return images.roll(SHIFTS[number % len(SHIFTS)], (-2, -1))


def moved_back(images: Images, number: int) -> Images:
    """Undo :func:`moved`."""
    y, x = SHIFTS[number % len(SHIFTS)]
    return images.roll((-y, -x), (-2, -1))


def turned(images: Images, number: int) -> Complex64[Tensor, "*b y x"]:
    """Mirror and transpose images; eight iterations see all eight ways."""
    images = images.flip(_mirrored(number))
    return images.transpose(-2, -1) if number & 4 else images


def turned_back(images: Images, number: int) -> Complex64[Tensor, "*b y x"]:
    """Undo :func:`turned`."""
    images = images.transpose(-2, -1) if number & 4 else images
    return images.flip(_mirrored(number))


def _mirrored(number: int) -> list[int]:
    return [axis for axis, bit in ((-1, 1), (-2, 2)) if number & bit]
