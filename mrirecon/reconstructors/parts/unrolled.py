"""Common parts of unrolled methods: maps, copies of a network for their steps, and units."""

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain

import torch
from jaxtyping import Complex, Float32
from torch import Tensor, nn

from mrirecon.arguments import check_at_least
from mrirecon.networks.parts.features import FeatureNetwork
from mrirecon.networks.parts.joint_network import JointNetwork
from mrirecon.networks.recurrent import RecurrentNetwork
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.parts.data_scale import data_scale
from mrirecon.reconstructors.parts.data_term import DataTerm
from mrirecon.reconstructors.parts.modulated_network import ModulatedNetwork
from mrirecon.sensitivity.base import SensitivityEstimator
from mrirecon.sensitivity.series import series_maps
from mrirecon.types import Image, Maps, Sample


class Iterating(Reconstructor):
    """A method whose steps each make an image that may be compared with a reference."""

    @abstractmethod
    def iterates(self, sample: Sample) -> Iterator[Image]:
        """Yield the coil-combined image after each step, in the units of the Sample."""

    def forward(self, sample: Sample) -> Image:
        """Return the coil-combined image."""
        for image in self.iterates(sample):  # noqa: B007 - only the last one is wanted
            pass
        return image


def coil_maps(estimator: SensitivityEstimator, sample: Sample, joint: bool = False) -> Maps:
    """Return the maps; an estimator without parameters computes in full precision.

    Autocast serves convolutions. The eigenvectors of ESPIRiT would suffer from it, if its matrix
    products did not fail first.

    Args:
        estimator: Estimator of the coil sensitivities.
        sample: One slice or a batch.
        joint: Whether the members of the batch are frames, whose time average has the maps.
    """
    learned = next(estimator.parameters(), None) is not None
    with nullcontext() if learned else torch.autocast(sample.kspace.device.type, enabled=False):
        return series_maps(estimator, sample) if joint else estimator(sample)


def for_each_step(module: nn.Module, steps: int, tied: bool = False) -> nn.ModuleList:
    """Return a module for every step, none like another; or, tied, the one for all of them.

    ``module`` serves the first step. The others are copies with new random weights, so that no two
    steps share parameters or start alike.
    """
    check_at_least(1, iterations=steps)
    clones = (_renewed(copy.deepcopy(module)) for _ in range(0 if tied else steps - 1))
    return nn.ModuleList(chain([module], clones))


def _renewed(module: nn.Module) -> nn.Module:
    for part in reversed(list(module.modules())):  # parents last: they may set their children
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
    return module


def check_fits(name: str, network: nn.Module, **numbers: int) -> None:
    """Raise ValueError unless a network's attributes have the values that a method needs."""
    for key, expected in numbers.items():
        found = getattr(network, key)
        if found != expected:
            raise ValueError(f"{name}.{key} must be {expected} in this method, got {found}")


def check_makes_one(
    name: str, network: nn.Module, images: int = 1, *, frames: bool = False
) -> None:
    """Raise ValueError for a network that does not make one complex image of ``images``.

    Networks from elsewhere, which do not tell what they take, are trusted.

    Args:
        name: Name of the argument, for the message.
        network: Network that was given.
        images: Number of complex images that it gets of each slice.
        frames: Whether the method can hand it all frames of a slice together.
    """
    if getattr(network, "joint", False) and not frames:
        raise ValueError(
            f"{name}: {type(network).__name__} sees all frames of a slice together, and this "
            "method reconstructs each by itself; choose model=dl_espirit, or another network"
        )
    stacks = isinstance(network, JointNetwork | RecurrentNetwork | FeatureNetwork)
    told = getattr(network, "images", images), getattr(network, "outputs", 1)
    if not stacks and told == (images, 1):
        return
    others = (
        "residual_cnn, norm_unet, mwcnn, prompt_unet or restormer"
        if images == 1
        else f"a FusionUnet of {images} images, or prompt_unet or restormer with images={images} "
        "and outputs=1"
    )
    wanted = "one image" if images == 1 else f"a stack of {images} images"
    raise ValueError(
        f"{name} must be a network from {wanted} to one image, and {type(network).__name__} with "
        f"these settings is none; choose {others}"
    )


def applied(network: nn.Module, images: Complex[Tensor, "..."], sample: Sample) -> Image:
    """Apply a network to images, and tell it how they were sampled if it wants to know."""
    told = isinstance(network, ModulatedNetwork)
    result: Tensor = network(images, sample) if told else network(images)
    return result


def restore_scale(x: Image, data: DataTerm) -> Image:
    """Undo the scaling of a data term; where nothing was measured the image is zero.

    A network with biases makes something of nothing, which would be shown as if it were measured.
    """
    return x * torch.where(data.energy == 0, 0.0, data.scale[..., 0, 0])[..., None, None]


def scaled(
    sample: Sample, scale: Float32[Tensor, "*b 1 1"] | None = None
) -> tuple[Sample, Float32[Tensor, "*b 1 1"]]:
    """Divide k-space by a scale; for methods that work on k-space.

    Args:
        sample: One slice or a batch.
        scale: Divisor; None takes the brightness of the object.

    Returns:
        The Sample, and what to multiply its image with: zero where nothing was measured, as in
        :func:`restore_scale`.
    """
    scale = data_scale(sample) if scale is None else scale
    anything = (sample.kspace != 0).flatten(-3).any(-1)[..., None, None]
    divided = sample.replace(kspace=sample.kspace / scale.unsqueeze(-3))
    return divided, torch.where(anything, scale, 0.0)
