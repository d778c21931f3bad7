"""Reads the parameter names of fastMRI's public weights and Lightning checkpoints."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mrirecon.errors import ConfigError

PREPROCESSING = {"_target_": "mrirecon.data.Normalize"}
"""Their networks normalize by themselves; this keeps numbers of raw units, which are small, out of
half precision."""
VARNET = ("sens_net.", "cascades.")
UNET = ("down_sample_layers.", "conv.", "up_conv.", "up_transpose_conv.")


def strip_prefixes(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the parameters under the names of :class:`~mrirecon.reconstructors.VarNet` or U-Net.

    Takes a plain state dict as fastMRI publishes it, or the whole of a Lightning checkpoint
    (``state_dict`` in it, prefixes ``varnet.`` or ``unet.``); the loss window and the states of
    metrics are left out.

    Raises:
        ConfigError: When no parameter is left: these are not weights of a VarNet or a U-Net.
    """
    parameters = state.get("state_dict", state)
    named = {}
    for key, value in parameters.items():
        name = key.removeprefix("varnet.")
        bare = name.removeprefix("unet.")
        if name.startswith(VARNET):
            named[name] = value
        elif bare.startswith(UNET):
            named[f"unet.{bare}"] = value
    if not named:
        some = ", ".join(list(parameters)[:3]) or "nothing"
        raise ConfigError(
            f"these are not the weights of fastMRI's VarNet or U-Net: found {some}, expected names "
            f"that start with one of {', '.join(VARNET + UNET)}"
        )
    return named


def public_model(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the node of the model that public weights belong to, as they were trained.

    The number of cascades, features and levels is read off the weights.

    Args:
        weights: Tensors by their published names, as :func:`strip_prefixes` returns them.

    Raises:
        ConfigError: When they are not of a whole VarNet or U-Net.
    """
    if any(name.startswith("unet.") for name in weights):
        model = {"_target_": "mrirecon.reconstructors.UNet", "crop": True}
        return {**model, **_size(weights, "unet.")}
    cascades = {int(found[1]) for k in weights if (found := re.match(r"cascades\.(\d+)\.", k))}
    return {
        "_target_": "mrirecon.reconstructors.VarNet",
        "cascades": len(cascades),
        **_size(weights, "cascades.0.model.unet."),
        "sensitivity": {
            "_target_": "mrirecon.sensitivity.LearnedMaps",
            **_size(weights, "sens_net.norm_unet.unet."),
        },
    }


def _size(weights: Mapping[str, Tensor], prefix: str) -> dict[str, int]:
    """Read the features of the first level and the number of levels off a U-Net's weights."""
    first = f"{prefix}down_sample_layers.0.layers.0.weight"
    if first not in weights or weights[first].ndim != 4:
        raise ConfigError(f"the weights lack {first}: not the whole of a VarNet or a U-Net")
    pattern = re.compile(re.escape(prefix) + r"down_sample_layers\.(\d+)\.")
    levels = {int(found[1]) for name in weights if (found := pattern.match(name))}
    return {"channels": weights[first].shape[0], "pools": len(levels)}
