"""One cascade of SDUM: maps of its own, a Restormer, data weights for every place of k-space."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex64, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from mrirecon.fourier import fft, ifft
from mrirecon.networks.affine_unet import AffineUnet
from mrirecon.networks.cascaded_restormer import Carried, CascadedRestormer
from mrirecon.networks.parts.channels import from_channels, to_channels
from mrirecon.sensitivity.coilwise import coil_by_coil

MULTIPLE = 4
"""What coil images are padded to for the network of the maps."""
CoilSeries = Complex64[Tensor, "b t coil h w"]


@dataclass(frozen=True)
class WindowData:
    """What was measured of a window of frames or slices.

    Attributes:
        kspace: Measured k-space of each frame.
        mask: What of it was measured.
        center: Fully sampled centre of all of them, in which the first maps are estimated.
        pattern: Number of the kind of sampling of each member.
        protocol: Number of the protocol of each member.
    """

    kspace: CoilSeries
    mask: Bool[Tensor, "b t 1 h w"]
    center: Bool[Tensor, "b 1 1 h w"]
    pattern: Int64[Tensor, "b"]
    protocol: Float[Tensor, "b"]

    def middle(self) -> "WindowData":
        """Return the data of the frame in the middle alone, with an axis for it."""
        t = self.kspace.shape[1] // 2
        kept = slice(t, t + 1)
        return WindowData(
            self.kspace[:, kept], self.mask[:, kept], self.center, self.pattern, self.protocol
        )


class PlaceWeights(nn.Module):
    r"""Weights of the measured samples, learned for every place of k-space and kind of sampling.

    .. math:: k \leftarrow (1 - w)\,k + w\,y \quad\text{where measured}

    They lie on a grid around the centre of k-space, which is cut out, or continued at its edges.

    Args:
        patterns: Kinds of sampling that are told apart.
        frames: Frames of a window, each with weights of its own.
        grid: Size of the grid; None for one weight for all.
    """

    def __init__(self, patterns: int, frames: int, grid: Sequence[int] | None) -> None:
        super().__init__()
        shape = (1,) if grid is None else (patterns, frames, *grid)
        self.grid = grid
        self.weights = nn.Parameter(torch.empty(shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all to one."""
        nn.init.ones_(self.weights)

    def forward(self, pattern: Int64[Tensor, "b"], shape: tuple[int, int]) -> Float[Tensor, "..."]:
        """Return the weights of each member and frame on a grid of k-space."""
        if self.grid is None:
            return self.weights
        weights = self.weights[pattern]
        for axis, wanted in zip((-2, -1), shape, strict=True):
            missing = wanted - weights.shape[axis]
            if missing > 0:
                pads = [missing // 2, missing - missing // 2]
                sides = [0, 0, *pads] if axis == -2 else [*pads, 0, 0]
                weights = F.pad(weights, sides, mode="replicate")
            start = (weights.shape[axis] - wanted) // 2
            weights = weights.narrow(axis, start, wanted)
        return weights.unsqueeze(2)


def unit_parts(images: CoilSeries) -> CoilSeries:
    """Divide real and imaginary parts by their root-sum-of-squares over coils, each by its own.

    So the maps of SDUM were trained; together they have twice the energy of others.
    """
    parts = torch.view_as_real(images)
    energy = parts.square().sum(-4, keepdim=True)
    empty = energy == 0
    norm = torch.where(empty, 1.0, torch.where(empty, 1.0, energy).sqrt())
    return torch.view_as_complex(parts / norm)


class SdumCascade(nn.Module):
    """Maps from the present coil images, a network of their combinations, and a data step.

    Args:
        network: Restormer of the cascade.
        maps: Network of the maps, from one coil image to one.
        weights: Weights of the data step.
    """

    def __init__(self, network: CascadedRestormer, maps: AffineUnet, weights: PlaceWeights) -> None:
        super().__init__()
        self.network, self.maps, self.weights = network, maps, weights

    def forward(
        self, x: CoilSeries, data: WindowData, carried: Carried, step: int, last: bool
    ) -> tuple[Complex64[Tensor, "b r coil h w"], Carried]:
        """Return the coil images and the features for the next cascade.

        Args:
            x: Coil images of the window.
            data: What was measured.
            carried: Features that the cascade before has left.
            step: Number of the cascade; the first estimates its maps from the centre of k-space.
            last: Whether it is the last one, which makes the frame in the middle only.
        """
        seen = x if step else ifft(fft(x) * data.center)
        maps = unit_parts(coil_by_coil(self._map, seen))
        images, carried = self.network((maps.conj() * x).sum(-3), carried, step, data.protocol)
        if last:
            t = x.shape[1] // 2
            x, maps, data = x[:, t : t + 1], maps[:, t : t + 1], data.middle()
        kspace = fft(x + maps * images.unsqueeze(-3))
        h, w = kspace.shape[-2:]
        weights = self.weights(data.pattern, (h, w)).float()
        pulled = kspace + weights * (data.kspace - kspace)
        x = ifft(torch.where(data.mask, pulled, kspace))
        return (x.mean(1, keepdim=True) if last else x), carried

    def _map(self, images: Complex64[Tensor, "n h w"]) -> Complex64[Tensor, "n h w"]:
        h, w = images.shape[-2:]
        below, beside = -h % MULTIPLE, -w % MULTIPLE
        top, left = below // 2, beside // 2
        x = F.pad(to_channels(images), [left, beside - left, top, below - top])
        return from_channels(self.maps(x)[..., top : top + h, left : left + w])
