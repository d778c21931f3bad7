"""Networks whose filters depend on how a slice was sampled."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mrirecon.arguments import check_at_least
from mrirecon.reconstructors.parts.nominal_sampling import NominalSampling
from mrirecon.types import Sample

GATES: dict[str, Callable[[Tensor], Tensor]] = {"softplus": F.softplus, "sigmoid": torch.sigmoid}


class ModulatedNetwork(nn.Module):
    r"""Another network with filters that are multiplied by what small layers make of the sampling.

    .. math:: W_{oi}(a) = W_{oi}\,g\big(f_{oi}(a)\big), \qquad a = \log(R, 100\,r)

    for every output :math:`o` and input :math:`i` of a convolution, :math:`f` having its own layers
    for each. A convolution without a bias gets one that other layers make of :math:`a`. As in the
    modulated convolutions of the toolkit DIRECT (Yiasemis et al., J Open Source Softw 7:4278,
    2022).

    Args:
        network: Network of complex images, with 2-D convolutions.
        sampling: Module that tells :math:`a` of a Sample; None takes
            :class:`~mrirecon.reconstructors.NominalSampling`.
        hidden: Features of the hidden layers of :math:`f`.
        layers: How many of the first convolutions are modulated; None for all.
        gate: Function :math:`g`, which keeps the factors positive.
    """

    def __init__(
        self,
        network: nn.Module,
        sampling: NominalSampling | None = None,
        hidden: tuple[int, ...] = (32, 32),
        layers: int | None = None,
        gate: Literal["softplus", "sigmoid"] = "softplus",
    ) -> None:
        super().__init__()
        if layers is not None:
            check_at_least(1, layers=layers)
        self.images = getattr(network, "images", 1)
        self.network = network
        self.sampling = NominalSampling() if sampling is None else sampling
        self.gate = gate
        convolutions = {
            name: layer
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        }
        self.modulated = tuple(convolutions)[:layers]
        self.gains, self.biases = nn.ModuleDict(), nn.ModuleDict()
        for name in self.modulated:
            layer, sizes = convolutions[name], [self.sampling.numbers, *hidden]
            key = name.replace(".", "/")  # dots have a meaning in names of modules
            self.gains[key] = _layers([*sizes, layer.weight[:, :, 0, 0].numel()])
            if layer.bias is None:
                self.biases[key] = _layers([*sizes, layer.out_channels])

    def forward(self, images: Complex[Tensor, "..."], sample: Sample) -> Complex[Tensor, "..."]:
        """Return what the network makes of the images of every member of a batch.

        Args:
            images: What the network takes.
            sample: The same members, of which the sampling is told.
        """
        told = self.sampling(sample)
        batch = told.shape[:-1]
        told = told.reshape(-1, told.shape[-1])
        flat = images.reshape(-1, *images.shape[len(batch) :])
        if bool((told == told[:1]).all()):  # the slices of a scan are mostly sampled alike
            result: Tensor = functional_call(self.network, self._filters(told[0]), (flat,))
        else:
            made = [
                functional_call(self.network, self._filters(one), (image[None],))
                for one, image in zip(told, flat, strict=True)
            ]
            result = torch.cat(made)
        return result.reshape(*batch, *result.shape[1:])

    def _filters(self, told: Float[Tensor, " n"]) -> dict[str, Tensor]:
        """Return weights and biases of the modulated convolutions, by their names."""
        filters = {}
        for name in self.modulated:
            key = name.replace(".", "/")
            weight = self.network.get_parameter(f"{name}.weight")
            gain = GATES[self.gate](self.gains[key](told))
            filters[f"{name}.weight"] = weight * gain.reshape(*weight.shape[:2], 1, 1)
            if key in self.biases:
                filters[f"{name}.bias"] = self.biases[key](told)
        return filters


def _layers(sizes: list[int]) -> nn.Sequential:
    """Return linear layers with PReLUs between them."""
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), nn.PReLU()]
    return nn.Sequential(*parts[:-1])
