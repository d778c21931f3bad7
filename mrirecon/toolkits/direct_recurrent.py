"""DIRECT's recurrent variational network: its model and the names of its tensors.

Yiasemis et al., CVPR 2022.
"""

import re
from typing import Any

from mrirecon.toolkits.direct_layout import modern
from mrirecon.toolkits.direct_tensors import (
    Tensors,
    initializer_sizes,
    sensitivity_node,
    start_arguments,
)

PERCENTILE = 0.99
"""Of the published configurations."""
BLOCK = "model.block_list."


def recurrent_node(tensors: Tensors) -> dict[str, Any]:
    """Return the node of the model that the tensors belong to.

    Raises:
        ConfigError: When they are not of a whole network, or the configuration beside them is of
            another one.
    """
    blocks = tensors.numbers(re.escape(BLOCK) + r"(\d+)\.")
    told = tensors.settings.size("num_steps")
    if blocks == [0] and told is None:
        raise tensors.error(
            "it holds one block, which may serve any number of steps; expected num_steps in "
            "DIRECT's configuration, beside it in a file of the same name with the suffix .yaml"
        )
    tied = blocks == [0] and told != 1
    if not tied:
        tensors.agree("num_steps", max(blocks) + 1)
    prefix = _prefix(tensors, 0)
    channels = tensors.shape(f"{prefix}conv_blocks.0.1.weight", 4)[0]
    layers = len(tensors.numbers(re.escape(f"{prefix}update_gates.") + r"(\d+)\."))
    tensors.agree("recurrent_hidden_channels", channels)
    tensors.agree("recurrent_num_layers", layers)
    return {
        "_target_": "mrirecon.reconstructors.RecurrentVarNet",
        "sensitivity": sensitivity_node(tensors),
        "iterations": told if tied else max(blocks) + 1,
        "tied": tied,
        "regularizer": {
            "_target_": "mrirecon.networks.ConvGru",
            "channels": channels,
            "layers": layers,
            "normalized": prefix.endswith("convgru."),
        },
        "start": _start(tensors),
    }


def recurrent_name(name: str, tensors: Tensors) -> tuple[str, ...]:
    """Return what DIRECT calls a tensor of our model, or the two that it is put together of."""
    if found := re.fullmatch(r"consistency\.(\d+)\.step", name):
        return (f"{BLOCK}{found[1]}.learning_rate",)
    if found := re.fullmatch(r"units\.(\d+)\.convolutions\.(\d+)\.(\w+)", name):
        return (f"{_prefix(tensors, found[1])}conv_blocks.{found[2]}.1.{found[3]}",)
    if found := re.fullmatch(r"units\.(\d+)\.cells\.(\d+)\.(\w+)\.(\w+)", name):
        gates = ("update_gates", "reset_gates") if found[3] == "gates" else ("out_gates",)
        prefix = _prefix(tensors, found[1])
        return tuple(f"{prefix}{gate}.{found[2]}.0.{found[4]}" for gate in gates)
    if found := re.fullmatch(r"initializer\.convolutions\.(\d+)\.(\w+)", name):
        return (f"model.initializer.conv_blocks.{int(found[1]) // 2}.1.{found[2]}",)
    if found := re.fullmatch(r"initializer\.outputs\.(\d+)\.(\w+)", name):
        return (f"model.initializer.out_blocks.{found[1]}.0.{found[2]}",)
    return (f"sensitivity_model.{modern(name.removeprefix('sensitivity.network.unet.'))}",)


def _prefix(tensors: Tensors, block: int | str) -> str:
    inner = "convgru." if tensors.has(f"{BLOCK}0.regularizer.convgru.") else ""
    return f"{BLOCK}{block}.regularizer.{inner}"


def _start(tensors: Tensors) -> dict[str, Any]:
    settings = tensors.settings
    node = {
        "_target_": "mrirecon.reconstructors.StateStart",
        **start_arguments(tensors, PERCENTILE, settings.initializer_initialization),
    }
    if not tensors.has("model.initializer."):
        return {**node, "learned": False}
    return {**node, **initializer_sizes(tensors, "model.initializer.out_blocks.0.0.weight")}
