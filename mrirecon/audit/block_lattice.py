"""Images that were compressed by JPEG: blocks of 8 x 8 pixels whose fine detail was rounded."""

from collections.abc import Iterator

import torch
from jaxtyping import Float32
from scipy.fft import dctn
from torch import Tensor

from mrirecon.audit.finding import CRIME, Kind, Level, Seen
from mrirecon.audit.planes import Plane

JPEG = Kind(
    "JPEG blocks",
    "The images were compressed as JPEG before k-space was made of them: detail that a method "
    f"would have to find is missing in the reference, too. {CRIME}",
    "Go back to the raw data.",
)
BLOCK = 8
FINE = 6
"""Sum of the two frequencies of a block from which on a coefficient is fine detail."""
SHARE = 0.93
"""Fine detail on the lattice relative to that of all other places for blocks, below which JPEG has
rounded it."""
DEVIATES = 8.0
"""Robust standard deviations by which the lattice differs from other places."""
FEWEST = 30
"""Blocks of object that are needed."""
OBJECT = 0.05


def find(plane: Plane) -> Iterator[Seen]:
    """Look for the lattice in the combined image."""
    if plane.complete and (found := lattice(plane.magnitude)) is not None:
        yield Seen(
            JPEG,
            Level.PROBLEM,
            f"Fine detail of the blocks of 8 x 8 pixels that begin at ({found[0]}, {found[1]}) is "
            f"{found[2]:.2f} of that of blocks that begin elsewhere.",
        )


def lattice(image: Float32[Tensor, "y x"]) -> tuple[int, int, float] | None:
    """Return where the blocks begin, and how much less detail they hold; None without any."""
    if min(image.shape) < 4 * BLOCK:
        return None
    rows, columns = ((n // BLOCK - 1) * BLOCK for n in image.shape)  # as many for all beginnings
    levels = torch.empty(BLOCK, BLOCK)
    for y in range(BLOCK):
        for x in range(BLOCK):
            detail = _detail(image[y : y + rows, x : x + columns])
            if detail is None:
                return None
            levels[y, x] = detail
    place = int(levels.argmin())
    y, x = divmod(place, BLOCK)
    others = levels[torch.arange(BLOCK) != y][:, torch.arange(BLOCK) != x].clamp_min(1e-12).log()
    middle = float(others.median())
    spread = 1.4826 * float((others - middle).abs().median()) + 1e-6
    lower = middle - float(levels[y, x].clamp_min(1e-12).log())
    share = float(torch.tensor(-lower).exp())
    return (y, x, share) if share < SHARE and lower > DEVIATES * spread else None


def _detail(image: Float32[Tensor, "y x"]) -> float | None:
    """Return the middle magnitude of fine coefficients in the blocks that show an object."""
    blocks = image.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK)
    blocks = blocks.reshape(-1, BLOCK, BLOCK)
    bright = blocks.mean((1, 2))
    blocks = blocks[bright > OBJECT * image.max()]
    if len(blocks) < FEWEST:
        return None
    found = torch.from_numpy(dctn(blocks.numpy(), axes=(1, 2), norm="ortho"))
    index = torch.arange(BLOCK)
    fine = (index[:, None] + index) >= FINE
    return float(found[:, fine].abs().mean(0).log().mean().exp())
