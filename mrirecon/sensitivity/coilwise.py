"""Networks on coil images, a few at a time."""

from collections.abc import Callable

import torch
from jaxtyping import Complex
from torch import Tensor

from mrirecon.buffers import at_once

# of the coil images that go through the network together: what a processor's cache holds, and what
# keeps a GPU busy without filling its memory
PIXELS, PIXELS_ON_GPU = 2**18, 2**22


def coil_by_coil(
    network: Callable[[Tensor], Tensor], images: Complex[Tensor, "*b coil h w"]
) -> Complex[Tensor, "*b coil h w"]:
    """Apply a network, from ``n h w`` to ``n h w``, to every coil image."""
    h, w = images.shape[-2:]
    pixels = at_once(PIXELS_ON_GPU if images.is_cuda else PIXELS)
    parts = images.reshape(-1, h, w).split(max(1, pixels // (h * w)))
    return torch.cat([network(part) for part in parts]).reshape(images.shape)
