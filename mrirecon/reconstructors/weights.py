"""Reads the parameter names of fastMRI's public weights and Lightning checkpoints."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mrirecon.errors import ConfigError

VARNET = ("sens_net.", "cascades.")
UNET = ("down_sample_layers.", "conv.", "up_conv.", "up_transpose_conv.")


def strip_prefixes(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the parameters under the names of :class:`VarNet` or :class:`UNet`.

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
