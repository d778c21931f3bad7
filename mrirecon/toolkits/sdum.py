"""Checkpoints of SDUM, which is published as NV-Raw2Insights-MRI: its model and its tensors' names.

Wang et al., arXiv:2512.17137. A file holds ``net_state_dict`` and what training needs beside it, or
the tensors alone. Sizes are read off them; which protocol a network is told they do not know.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.toolkits.fastmri import PREPROCESSING
from mrirecon.toolkits.public_weights import Adapted, NamedTensors, assemble, check_tensor

STATE = "net_state_dict"
PREFIXES = re.compile(r"^(module\.)?(recon_model\.(?=cascades\.))?")
FIRST = "recon_model.embed_conv.weight"
CASCADES = "cascades."
MAPS = "coil_sensitivity_model.conv_net.unet."
NETWORK = "recon_model."
BLOCK = {
    "attention.0.": "norm1.",
    "attention.1.qkv.0.": "attn.qkv.",
    "attention.1.qkv.1.": "attn.qkv_conv.",
    "attention.1.last.": "attn.project_out.",
    "attention.1.temperature": "attn.temperature",
    "feed_forward.0.": "norm2.",
    "feed_forward.1.first.0.": "ffn.project_in.",
    "feed_forward.1.first.1.": "ffn.conv.",
    "feed_forward.1.last.": "ffn.project_out.",
    "feed_forward.1.shift.": "ffn.emb_layers.1.",
}
"""Parts of a block of ours, and what they are called there."""
WHOLE = (
    (r"first\.(.+)", "embed_conv.{}"),
    (r"last\.(.+)", "output.{}"),
    (r"(down|up)\.(\d+)\.0\.(.+)", "{}s.{}.body.0.{}"),
    (r"(reduce)\.(.+)", "{}s.{}"),
    (r"step\.(.+)", "time_embed.{}"),
    (r"kind\.(.+)", "label_emb.{}"),
)
"""Other names of a Restormer of ours, and what they are called there."""
PLACE = re.compile(r"((?:encoder|decoder)\.\d+\.\d+|refinement\.\d+)\.(.+)")
LAYERS = {"0": "conv_0.conv", "1": "conv_0.adn.N", "3": "conv_1.conv", "4": "conv_1.adn.N"}
"""Layers of a pair of convolutions of ours, and what they are called there."""


def is_sdum(state: Mapping[str, Any]) -> bool:
    """Tell whether a file holds weights of SDUM."""
    stored = _stored(state)
    names = map(str, stored) if isinstance(stored, Mapping) else ()
    return any(name.endswith(FIRST) and CASCADES in name for name in names)


def adapted(state: Mapping[str, Any], path: Path) -> Adapted:
    """Return the model that a checkpoint of SDUM holds.

    Args:
        state: What the file holds.
        path: The file, for messages.

    Raises:
        ConfigError: When it is another network, or tensors are missing, left over or of another
            shape, all of which are named.
    """
    found = NamedTensors(_tensors(_stored(state), str(path)), str(path))
    model = _node(found)

    def published(name: str) -> tuple[str, ...]:
        return (_published(name, model["grid"] is not None),)

    weights = assemble(model, found, published, "SDUM")
    return Adapted(model, "sdum_coils", weights, _note(model, path), PREPROCESSING)


def _stored(state: Mapping[str, Any]) -> Any:
    """Return what holds the tensors; that of a safetensors file is called as Lightning's."""
    return state.get(STATE, state.get("state_dict", state))


def _tensors(stored: Mapping[str, Any], path: str) -> dict[str, Tensor]:
    """Return the tensors by their names below the cascades, with axes like ours."""
    found = {}
    for name, value in stored.items():
        bare = PREFIXES.sub("", str(name))
        if bare in found:
            raise ConfigError(f"checkpoint: {path} holds {bare} twice, under two names")
        tensor = check_tensor(value, str(name), path)
        if bare.endswith(".temperature") and tensor.ndim == 4 and len(tensor) == 1:
            tensor = tensor[0]
        if bare.endswith(".dc_weight_map") and tensor.ndim in (5, 6):
            tensor = tensor if tensor.ndim == 6 else tensor[None]
            if tensor.shape[2] == tensor.shape[5] == 1:
                tensor = tensor[:, :, 0, :, :, 0]
        found[bare] = tensor
    return found


def _node(found: NamedTensors) -> dict[str, Any]:
    first = f"{CASCADES}0.{NETWORK}"
    channels = found.shape(f"{CASCADES}0.{FIRST}", 4)[1]
    levels = found.count(re.escape(f"{first}encoders.") + r"(\d+)\.", "encoders.N")
    blocks, heads, widths, hidden = [], [], [], []
    for level in range(levels):
        at = f"{first}encoders.{level}."
        blocks.append(found.count(re.escape(at) + r"(\d+)\.", f"encoders.{level}.N"))
        heads.append(found.shape(f"{at}0.attn.temperature", 3)[0])
        hidden.append(found.shape(f"{at}0.ffn.project_out.weight", 4)[1])
        widths.append(found.shape(f"{at}0.norm1.weight", 1)[0])
    images = channels // 2
    if images % 2 == 0:
        raise found.error(
            f"{CASCADES}0.{FIRST} takes {images} complex images; expected an odd number, a frame "
            "with as many neighbours on either side"
        )
    grid = f"{CASCADES}0.dc_weight_map"
    return {
        "_target_": "mrirecon.reconstructors.Sdum",
        "network": {
            "_target_": "mrirecon.networks.CascadedRestormer",
            "images": images,
            "channels": widths,
            "blocks": blocks,
            "heads": heads,
            "refinement": found.count(
                re.escape(f"{first}refinement.") + r"(\d+)\.", "refinement.N"
            ),
            "expansion": _expansion(hidden, widths),
            "told": found.has(f"{first}time_embed."),
        },
        "maps": _map_features(found),
        "iterations": found.count(re.escape(CASCADES) + r"(\d+)\.", "cascades.N"),
        "context": images // 2,
        "grid": list(found.shape(grid, 4)[2:]) if grid in found.named else None,
    }


def _expansion(hidden: list[int], widths: list[int]) -> float:
    """Return a short number of which the products with all widths round down to ``hidden``."""
    least = max(h / w for h, w in zip(hidden, widths, strict=True))
    beyond = min((h + 1) / w for h, w in zip(hidden, widths, strict=True))
    rounded = (round((least + beyond) / 2, digits) for digits in range(9))
    return next((one for one in rounded if least <= one < beyond), least)


def _map_features(found: NamedTensors) -> list[int]:
    at = f"{CASCADES}0.{MAPS}"
    names = ["conv_0.conv_0"]
    downs = found.numbers(re.escape(f"{at}down_") + r"(\d+)\.")
    names += [f"down_{n}.convs.conv_0" for n in downs]
    return [found.shape(f"{at}{name}.conv.weight", 4)[0] for name in names]


def _published(name: str, placed: bool) -> str:
    """Return what SDUM calls a tensor of our model."""
    number, part, rest = re.fullmatch(r"cascades\.(\d+)\.(\w+)\.(.+)", name).groups()  # type: ignore[union-attr]
    at = f"{CASCADES}{number}."
    if part == "weights":
        return at + ("dc_weight_map" if placed else "dc_weight")
    return at + (MAPS + _map_name(rest) if part == "maps" else NETWORK + _inner(rest))


def _inner(name: str) -> str:
    for pattern, called in WHOLE:
        if found := re.fullmatch(pattern, name):
            return called.format(*found.groups())
    place, block = PLACE.fullmatch(name).groups()  # type: ignore[union-attr]
    for ours, theirs in BLOCK.items():
        if block.startswith(ours):
            block = theirs + block.removeprefix(ours)
            break
    return f"{re.sub('coder', 'coders', place)}.{block}"


def _map_name(name: str) -> str:
    part, *rest = name.split(".")
    if part == "last":
        return f"final_conv.{rest[0]}"
    if part == "first":
        return f"conv_0.{LAYERS[rest[0]]}.{rest[1]}"
    level = int(rest[0]) + 1
    if part == "up":
        return f"upcat_{level}.upsample.deconv.{rest[1]}"
    place = f"down_{level}" if part == "down" else f"upcat_{level}"
    return f"{place}.convs.{LAYERS[rest[1]]}.{rest[2]}"


def _note(model: dict[str, Any], path: Path) -> str:
    told = (
        " It is told what it sees: model.acquisition=Cine (or another), and model.acceleration=8, "
        "16 or 24 if not as the mask tells."
        if model["network"]["told"]
        else ""
    )
    frames = 2 * model["context"] + 1
    return (
        f"{path.name}: SDUM, {model['iterations']} cascades; it sees {frames} frames of which the "
        "first follows the last. The kind of sampling is told from the mask, else "
        f"model.pattern=uniform, gaussian or radial.{told}"
    )
