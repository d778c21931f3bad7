"""A small network that tells the tissues of a brain apart, to compare images by what they show."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mrirecon.errors import ConfigError, ShapeError
from mrirecon.networks import Unet
from mrirecon.weights.safetensors_file import read_safetensors

LABELS = {1: "csf", 2: "grey", 3: "white"}
"""Tissues by their label; all else is 0."""
WEIGHTS = Path(__file__).with_name("tissues.safetensors")
CHANNELS, POOLS = 10, 3
BRIGHT = 0.995
"""Quantile of a volume that its intensities are divided by."""
LEAST = 2**POOLS
"""Pixels that a slice must have along each side."""


def tissue_network() -> Unet:
    """Return the network without its weights."""
    return Unet(1, 1 + len(LABELS), channels=CHANNELS, pools=POOLS)


def normalized(volume: Float[Tensor, "slice y x"]) -> Float[Tensor, "slice y x"]:
    """Divide a volume by its bright intensities; a volume of zeros stays zero."""
    ordered = volume.float().flatten().sort().values
    bright = ordered[int(BRIGHT * (len(ordered) - 1))]
    return volume.float() / bright.clamp_min(1e-30)


class TissueSegmenter:
    """Labels cerebrospinal fluid, grey and white matter in slices of a head.

    A U-Net of 0.2 million weights (Ronneberger, Fischer and Brox, MICCAI 2015) that has seen
    simulated heads only (``data_scripts/tissue_segmenter.py``): it is made for comparing an image
    with its reference, not for measuring anybody's tissues. Not for clinical use.

    Args:
        weights: File of the weights; None for those of this package.
    """

    labels = LABELS

    def __init__(self, weights: str | None = None) -> None:
        self.weights = Path(weights).expanduser() if weights else WEIGHTS

    @cached_property
    def _network(self) -> Unet:
        network = tissue_network()
        try:
            network.load_state_dict(read_safetensors(self.weights, "segmenter")[0])
        except RuntimeError as error:
            raise ConfigError(
                f"segmenter: {self.weights} holds other weights than those of this network; "
                "data_scripts/tissue_segmenter.py makes them"
            ) from error
        return network.eval()

    @torch.inference_mode()
    def __call__(self, volume: Float[np.ndarray, "slice y x"]) -> Int[np.ndarray, "slice y x"]:
        """Return the label of every voxel.

        Args:
            volume: Magnitude images of one scan, in any unit.

        Raises:
            ShapeError: When slices are too small.
        """
        if min(volume.shape[-2:]) < LEAST:
            raise ShapeError(
                f"tissues are told apart in slices of at least {LEAST} x {LEAST} pixels, "
                f"got {volume.shape[-2]} x {volume.shape[-1]}"
            )
        slices = normalized(torch.from_numpy(np.ascontiguousarray(volume, np.float32)))
        found = [self._network(one[None, None]).argmax(1)[0] for one in slices]
        return torch.stack(found).numpy()
