"""Sizes of DIRECT's networks, read off their tensors."""

import re
from dataclasses import dataclass
from typing import Any

from mrirecon.toolkits.direct_settings import Settings
from mrirecon.toolkits.public_weights import NamedTensors

DILATIONS = [1, 1, 2, 4]
TOLD = 2
"""Numbers that modulated filters depend on."""
AT_INPUT = 2
"""Convolutions that are modulated where only those at the input are."""
CENTER = "model.initializer.conv_blocks."


@dataclass(frozen=True)
class Tensors(NamedTensors):
    """The tensors of a file by their names in version 2.2.0, and where they came from.

    Attributes:
        settings: What the configuration tells beside them.
    """

    settings: Settings

    @property
    def axes(self) -> int:
        """Axes of the weights of convolutions: 4 of slices, 5 of volumes and series."""
        return 5 if any(value.ndim == 5 for value in self.named.values()) else 4

    def agree(self, name: str, found: int) -> None:
        """Compare a size with the configuration.

        Raises:
            ConfigError: When that tells another.
        """
        told = self.settings.size(name)
        if told is not None and told != found:
            raise self.error(
                f"{self.settings.source} beside it tells {name}: {told}, the tensors tell {found}; "
                "these weights belong to another configuration"
            )


def unet_sizes(tensors: Tensors, prefix: str) -> dict[str, int]:
    """Return the features of the first level and the number of levels of a U-Net."""
    first = f"{prefix}down_sample_layers.0.layer_1.conv.weight"
    if first not in tensors.named:
        some = [name for name in tensors.named if name.startswith(prefix)][:3]
        raise tensors.error(
            f"{first} is missing; expected DIRECT's U-Net, found {', '.join(some) or 'nothing'}"
        )
    levels = tensors.numbers(re.escape(prefix) + r"down_sample_layers\.(\d+)\.")
    axes = 4 if prefix.startswith("sensitivity_model.") else tensors.axes
    return {"channels": tensors.shape(first, axes)[0], "pools": len(levels)}


def initializer_sizes(tensors: Tensors, output: str) -> dict[str, Any]:
    """Return the sizes of the dilated convolutions.

    Args:
        tensors: Tensors of the file.
        output: Name of the convolution that follows them.
    """
    count = len(tensors.numbers(re.escape(CENTER) + r"(\d+)\."))
    hidden = [tensors.shape(f"{CENTER}{i}.1.weight", tensors.axes)[0] for i in range(max(1, count))]
    seen = tensors.shape(output, tensors.axes)[1]
    scales = [m for m in range(1, len(hidden) + 1) if sum(hidden[-m:]) == seen]
    if not scales:
        raise tensors.error(
            f"{output} takes {seen} features, and no number of the last convolutions makes as many "
            f"of {hidden}"
        )
    tensors.agree("initializer_multiscale", scales[0])
    told = tensors.settings.initializer_dilations
    dilations = DILATIONS if told is None else list(told)
    if len(dilations) != len(hidden):
        raise tensors.error(
            f"the initializer has {len(hidden)} convolutions, but {len(dilations)} dilations are "
            "known; expected initializer_dilations in DIRECT's configuration, beside it in a file "
            "of the same name with the suffix .yaml"
        )
    return {"hidden": hidden, "dilations": dilations, "multiscale": scales[0]}


def sensitivity_node(tensors: Tensors) -> dict[str, Any]:
    """Return the node of the estimator of sensitivities that belongs to the network."""
    settings = tensors.settings
    told = settings.sensitivity_maps_gaussian
    first = {
        "_target_": "mrirecon.sensitivity.GaussianMaps",
        "width": 0.7 if told is None else told or None,
    }
    present = tensors.has("sensitivity_model.")
    if settings.refined is not None and settings.refined != present:
        raise tensors.error(
            f"{settings.source} beside it tells of {'a' if settings.refined else 'no'} "
            f"sensitivity_model, the file has {'one' if present else 'none'}"
        )
    if settings.refined is None and not present:
        raise tensors.error(
            "it holds no sensitivity_model, which refines the maps; expected one, or DIRECT's "
            "configuration without additional_models beside it, in a file of the same name with "
            "the suffix .yaml"
        )
    if not present:
        return first
    return {
        "_target_": "mrirecon.sensitivity.UnetMaps",
        "sensitivity": first,
        **unet_sizes(tensors, "sensitivity_model."),
        "centered": settings.centered is not False,
    }


def modulated_node(
    tensors: Tensors, network: dict[str, Any], first: str, deep: str
) -> dict[str, Any]:
    """Return the node of a network, with filters that depend on the sampling if they do.

    Args:
        tensors: Tensors of the file, with the settings.
        network: Node of the network itself.
        first: Beginning of the names of its first convolution.
        deep: Beginning of the names of one that is modulated only if all are.

    Raises:
        ConfigError: When filters depend on anything else.
    """
    if not tensors.has(f"{first}fc."):
        return network
    if tensors.axes == 5:
        raise tensors.error(
            f"{first}fc.0.weight tells 3-D filters of the sampling, which is not supported; "
            "expected 2-D filters, or filters that do not depend on it"
        )
    sizes = [
        tensors.shape(f"{first}fc.{i}.weight", 2)
        for i in tensors.numbers(re.escape(f"{first}fc.") + r"(\d+)\.")
        if i % 2 == 0
    ]
    if not sizes or sizes[0][1] != TOLD:
        raise tensors.error(
            f"{first}fc.0.weight has the shape {sizes[0] if sizes else None}; expected filters "
            f"that depend on {TOLD} numbers, acceleration and central part"
        )
    settings = tensors.settings
    gate = (settings.fc_activation or "softplus").lower()
    if gate not in ("softplus", "sigmoid"):
        raise tensors.error(
            f"{settings.source} beside it tells fc_activation: {settings.fc_activation}; expected "
            "SOFTPLUS or SIGMOID"
        )
    return {
        "_target_": "mrirecon.reconstructors.ModulatedNetwork",
        "network": network,
        "sampling": {
            "_target_": "mrirecon.reconstructors.NominalSampling",
            "logarithm": settings.log_aux is not False,
        },
        "hidden": [size[0] for size in sizes[:-1]],
        "layers": None if tensors.has(f"{deep}fc.") else AT_INPUT,
        "gate": gate,
    }


def start_arguments(tensors: Tensors, percentile: float, combination: str | None) -> dict[str, Any]:
    """Return the arguments of the start that both methods share.

    Args:
        tensors: Tensors of the file, with the settings.
        percentile: Share of the magnitudes of k-space where no configuration tells one.
        combination: How coil images are combined, in DIRECT's words.

    Raises:
        ConfigError: When that is no word of it.
    """
    settings = tensors.settings
    known = {None: "sense", "sense": "sense", "zero_filled": "sum"}
    word = combination and combination.lower()
    if word not in known:
        raise tensors.error(
            f"{settings.source} beside it combines coil images by {combination!r}; expected sense "
            "or zero_filled"
        )
    share = percentile if settings.scale_percentile is None else settings.scale_percentile
    return {
        "scale": share or "one",
        "faint": 0.001 if settings.padding_eps is None else settings.padding_eps,
        "combination": known[word],
        "centered": settings.centered is not False,
    }
