"""DIRECT's vSHARP: its model and the names of its tensors (Yiasemis et al., arXiv:2309.09954)."""

import re
from typing import Any

from mrirecon.toolkits.direct_layout import modern
from mrirecon.toolkits.direct_tensors import (
    Tensors,
    initializer_sizes,
    modulated_node,
    sensitivity_node,
    start_arguments,
    unet_sizes,
)
from mrirecon.toolkits.public_weights import MOST

PERCENTILE, SERIES_PERCENTILE = 0.995, 0.99
"""Of the published configurations, of slices and of series."""
BLOCK = "model.denoiser_blocks."
LAYERS = {"gains": "fc", "biases": "bias"}
"""What the layers are called that tell filters of the sampling."""
SERIES = re.compile(r"(layer_[12]|up_transpose_conv\.\d+)\.weight")
"""Our names of convolutions over frames and pixels."""
OUTPUT = "model.initializer.out_block."


def vsharp_node(tensors: Tensors) -> dict[str, Any]:
    """Return the node of the model that the tensors belong to.

    Raises:
        ConfigError: When they are not of a whole vSHARP, or the configuration beside
            them is of another one.
    """
    iterations = tensors.shape("model.rho", 1)[0]
    steps = tensors.shape("model.learning_rate_eta", 1)[0]
    if max(iterations, steps) >= MOST:
        raise tensors.error(f"it has {iterations} x {steps} steps; expected less than {MOST}")
    tensors.agree("num_steps", iterations)
    tensors.agree("num_steps_dc_gd", steps)
    blocks = tensors.numbers(re.escape(BLOCK) + r"(\d+)\.")
    percentile = PERCENTILE if tensors.axes == 4 else SERIES_PERCENTILE
    return {
        "_target_": "mrirecon.reconstructors.VSharp",
        "sensitivity": sensitivity_node(tensors),
        "regularizer": _denoiser(tensors),
        "iterations": iterations,
        "steps": steps,
        "tied": blocks == [0] and iterations > 1,
        "initializer": _initializer(tensors),
        "start": {
            "_target_": "mrirecon.reconstructors.Start",
            **start_arguments(tensors, percentile, tensors.settings.image_init),
        },
        "positive": False,
    }


def vsharp_name(name: str, tensors: Tensors) -> tuple[str, ...]:
    """Return what DIRECT calls a tensor of our model."""
    if name in (simple := {"splitting.steps": "learning_rate_eta", "splitting.penalty": "rho"}):
        return (f"model.{simple[name]}",)
    if found := re.fullmatch(r"denoisers\.(\d+)\.(?:network\.)?unet\.(.*)", name):
        part = SERIES.sub(r"\1.conv.weight", found[2])
        return (f"{_prefix(tensors, found[1])}{modern(part)}",)
    if found := re.fullmatch(r"denoisers\.(\d+)\.(gains|biases)\.unet/([^.]*)\.(.*)", name):
        layer = modern(found[3].replace("/", ".") + ".")
        return (f"{_prefix(tensors, found[1])}{layer}{LAYERS[found[2]]}.{found[4]}",)
    if found := re.fullmatch(r"initializer\.(?:network\.)?layers\.(\d+)\.(\w+)", name):
        return (f"model.initializer.{_initial(tensors, int(found[1]))}.{found[2]}",)
    if found := re.fullmatch(r"initializer\.(gains|biases)\.layers/(\d+)\.(.*)", name):
        layer = _initial(tensors, int(found[2]))
        return (f"model.initializer.{layer}.{LAYERS[found[1]]}.{found[3]}",)
    return (f"sensitivity_model.{modern(name.removeprefix('sensitivity.network.unet.'))}",)


def _initial(tensors: Tensors, place: int) -> str:
    """Return what DIRECT calls a layer of the first network."""
    count = len(tensors.numbers(r"model\.initializer\.conv_blocks\.(\d+)\."))
    if place < 2 * count:
        return f"conv_blocks.{place // 2}.1"
    return "out_block" if place == 2 * count else "activation"


def _prefix(tensors: Tensors, block: int | str) -> str:
    inner = next((one for one in ("unet2d.", "unet3d.") if tensors.has(f"{BLOCK}0.{one}")), "")
    return f"{BLOCK}{block}.{inner}"


def _denoiser(tensors: Tensors) -> dict[str, Any]:
    prefix = _prefix(tensors, 0)
    sizes = unet_sizes(tensors, prefix)
    series = tensors.axes == 5
    place = "unet" if series else "image_unet"
    tensors.agree(f"{place}_num_filters", sizes["channels"])
    tensors.agree(f"{place}_num_pool_layers", sizes["pools"])
    network = {
        "_target_": f"mrirecon.networks.{'SeriesUnet' if series else 'FusionUnet'}",
        "images": 3,
        **sizes,
        "normalized": prefix != f"{BLOCK}0.",
    }
    if not series:
        network["bias"] = f"{prefix}conv_out.bias" in tensors.named
    first, deep = f"{prefix}down_sample_layers.0.layer_1.conv.", f"{prefix}conv.layer_1.conv."
    return modulated_node(tensors, network, first, deep)


def _initializer(tensors: Tensors) -> dict[str, Any]:
    sizes = initializer_sizes(tensors, f"{OUTPUT}weight")
    told = (tensors.settings.initializer_activation or "").lower()
    slope = tensors.has("model.initializer.activation.weight")
    if told not in ("", "prelu", "relu", "leaky_relu") or (told and slope != (told == "prelu")):
        raise tensors.error(
            f"{tensors.settings.source} beside it tells initializer_activation: {told.upper()}; "
            f"expected {'PRELU, whose slope' if slope else 'RELU or LEAKY_RELU, for no slope'} is "
            "in the weights"
        )
    if not told and not slope:
        raise tensors.error(
            "model.initializer.activation.weight, the slope of a PReLU, is missing; expected it, "
            "or initializer_activation: RELU or LEAKY_RELU in DIRECT's configuration, beside it in "
            "a file of the same name with the suffix .yaml"
        )
    network = {
        "_target_": "mrirecon.networks.DilatedCnn",
        **sizes,
        "activation": told or "prelu",
        "joint": tensors.axes == 5,
    }
    return modulated_node(tensors, network, "model.initializer.conv_blocks.0.1.", OUTPUT)
