"""Checkpoints of PromptMR: its model, and the names and axes of its tensors.

Xin et al., arXiv:2309.13839 (STACOM 2023). A file holds a checkpoint of Lightning, whose names
begin with ``promptmr.``, or the tensors alone. All sizes are read off them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.toolkits.fastmri import PREPROCESSING
from mrirecon.toolkits.public_weights import Adapted, NamedTensors, assemble, check_tensor

PREFIX, PREFIXES = "promptmr.", re.compile(r"^(module\.)?(promptmr\.)?")
WINDOW = "loss.w"
"""Window of the loss, which the training scripts store beside the weights."""
FIRST = "unet.feat_extract.weight"
MAPS, CASCADES = "sens_net.norm_unet.unet.", "cascades."
LEVELS = (1, 2, 3)
"""Levels of its U-Nets above the bottom; their number is fixed."""
REDUCTION = 4
"""Features for each hidden one of its channel attention."""
READOUT = 384
"""Rows to which its authors cut the images of fastMRI's knees."""
PLUS = ("adaptive_input", "n_buffer", "n_history", "use_sens_adj")
"""Settings that only PromptMR+ has."""
WHOLE = {"first.weight": "feat_extract.weight", "last.weight": "conv_last.weight"}
BOTTOM = f"body.encoder.{len(LEVELS)}."
PLACES = (
    (r"body\.encoder\.([012])\.(.+)", "enc_level{}.encoder.{}"),
    (r"body\.down\.(\d)\.(.+)", "enc_level{}.down.{}"),
    (r"body\.decoder\.(\d)\.prompt\.prompts()", "prompt_level{}.prompt_param{}"),
    (r"body\.decoder\.(\d)\.prompt\.choice\.(.+)", "prompt_level{}.linear_layer.{}"),
    (r"body\.decoder\.(\d)\.prompt\.last\.(.+)", "prompt_level{}.dec_conv3x3.{}"),
    (r"body\.decoder\.(\d)\.fuse\.(.+)", "dec_level{}.fuse.{}"),
    (r"body\.decoder\.(\d)\.reduce\.(.+)", "dec_level{}.reduce.{}"),
    (r"body\.decoder\.(\d)\.up\.(.+)", "dec_level{}.up.1.{}"),
    (r"body\.decoder\.(\d)\.skip\.(.+)", "skip_attn{}.skip_attn.{}"),
    (r"body\.decoder\.(\d)\.merge\.0\.(.+)", "dec_level{}.ca.{}"),
)
"""Names inside a network of ours, and what they are called there, where levels count from 1."""
BLOCK = {"body.0": "body.0", "body.1": "body.1", "body.2": "body.2",
         "body.3.first": "CA.conv_du.0", "body.3.last": "CA.conv_du.2"}  # fmt: skip
"""Parts of a block of ours, and what they are called there."""


def is_promptmr(state: Mapping[str, Any]) -> bool:
    """Tell whether a file holds weights of PromptMR, or of its successor PromptMR+."""
    stored = state.get("state_dict", state)
    names = map(str, stored) if isinstance(stored, Mapping) else ()
    return any(name.startswith(PREFIX) or name.endswith(FIRST) for name in names)


def adapted(state: Mapping[str, Any], path: Path) -> Adapted:
    """Return the model that a checkpoint of PromptMR holds.

    Args:
        state: What the file holds.
        path: The file, for messages.

    Raises:
        ConfigError: When it is another network, as that of PromptMR+, or tensors are missing, left
            over or of another shape, all of which are named.
    """
    settings = state.get("hyper_parameters")
    plus = [name for name in PLUS if isinstance(settings, Mapping) and name in settings]
    try:
        found = NamedTensors(_tensors(state.get("state_dict", state), str(path)), str(path))
        model = _node(found)
        weights = assemble(model, found, _published, "PromptMR")
    except ConfigError as error:
        if not plus:
            raise
        raise ConfigError(
            f"{error}; its settings ({', '.join(plus)}) tell of the program of PromptMR+, whose "
            "networks have other parts and whose licence allows noncommercial research only: not "
            "supported; take weights of PromptMR, or train model=promptmr, which is like PromptMR+"
        ) from error
    return Adapted(model, "promptmr_kspace", weights, _note(model, path), PREPROCESSING)


def _tensors(stored: Mapping[str, Any], path: str) -> dict[str, Tensor]:
    """Return the tensors by their names in the model, with axes like ours."""
    found = {}
    for name, value in stored.items():
        if name == WINDOW:
            continue
        bare = PREFIXES.sub("", str(name))
        if bare in found:
            raise ConfigError(f"checkpoint: {path} holds {bare} twice, under two names")
        found[bare] = _arranged(bare, check_tensor(value, str(name), path))
    return found


def _arranged(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor with our axes, if it has those that are expected.

    There the channels of several images are all real parts and then all imaginary parts, here the
    parts of one image after those of another; and dense layers are convolutions there.
    """
    for part, axis in ((FIRST, 1), ("unet.conv_last.weight", 0)):
        if name.endswith(part) and tensor.ndim == 4 and tensor.shape[axis] % 2 == 0:
            halves = tensor.unflatten(axis, (2, -1))
            return halves.transpose(axis, axis + 1).flatten(axis, axis + 1)
    if ".conv_du." in name and tensor.shape[2:] == (1, 1):
        return tensor.flatten(1)
    if name.endswith(".prompt_param") and tensor.ndim == 5 and len(tensor) == 1:
        return tensor[0]
    return tensor


def _node(found: NamedTensors) -> dict[str, Any]:
    cascades = found.count(re.escape(CASCADES) + r"(\d+)\.", "cascades.N")
    regularizer = _network(found, f"{CASCADES}0.model.unet.")
    images = regularizer["images"]
    if images % 2 == 0:
        raise found.error(
            f"{CASCADES}0.model.{FIRST} takes {images} complex images; expected an odd number, a "
            "slice with as many neighbours on either side"
        )
    cyclic = images >= 5  # as published: five cardiac phases, or three slices of knees
    return {
        "_target_": "mrirecon.reconstructors.PromptMR",
        "sensitivity": {
            "_target_": "mrirecon.sensitivity.LearnedMaps",
            "network": _network(found, MAPS),
            "center": "found",
        },
        "regularizer": regularizer,
        "iterations": cascades,
        "context": images // 2,
        "context_along": "half_cycle" if cyclic else "slices",
        "readout": None if cyclic else READOUT,
    }


def _network(found: NamedTensors, prefix: str) -> dict[str, Any]:
    """Read the sizes of a network off its tensors."""

    def sizes(name: str, axes: int, axis: int) -> list[int]:
        return [found.shape(prefix + name.format(level), axes)[axis] for level in LEVELS]

    def counts(name: str) -> list[int]:
        pattern = re.escape(prefix) + name
        return [found.count(pattern.format(n) + r"\.(\d+)\.", name.format(n)) for n in LEVELS]

    features, channels, *_ = found.shape(prefix + FIRST.removeprefix("unet."), 4)
    prompt, attention = "prompt_level{}.prompt_param", "enc_level1.encoder.0.CA."
    bottom = found.count(re.escape(prefix) + r"bottleneck\.(\d+)\.", "bottleneck.N")
    return {
        "_target_": "mrirecon.networks.NormalizedImages",
        "body": {
            "_target_": "mrirecon.networks.PromptUnet",
            "channels": [features, *sizes("enc_level{}.down.weight", 4, 0)],
            "prompt_channels": sizes(prompt, 4, 1),
            "prompts": sizes(prompt, 4, 0)[0],
            "prompt_size": sizes(prompt, 4, 3)[0],
            "encoder": [*counts("enc_level{}.encoder"), bottom],
            "decoder": counts("dec_level{}.fuse"),
            "reduction": REDUCTION if found.has(prefix + attention) else 0,
        },
        "images": max(channels // 2, 1),
        "kernel": found.shape(f"{prefix}conv_last.weight", 4)[3],
    }


def _published(name: str) -> tuple[str, ...]:
    """Return what PromptMR calls a tensor of our model."""
    if found := re.fullmatch(r"cascades\.(\d+)\.(?:dc_weight|model\.network\.(.+))", name):
        prefix, inner = f"{CASCADES}{found[1]}.", found[2]
        return (f"{prefix}model.unet.{_inner(inner)}" if inner else f"{prefix}dc_weight",)
    return (MAPS + _inner(name.removeprefix("sensitivity.norm_unet.network.")),)


def _inner(name: str) -> str:
    """Return what the network between its paddings calls a tensor."""
    for pattern, called in PLACES:
        if found := re.fullmatch(pattern, name):
            level, rest = found.groups()
            return called.format(int(level) + 1, _block(rest))
    return WHOLE.get(name) or f"bottleneck.{_block(name.removeprefix(BOTTOM))}"


def _block(name: str) -> str:
    for ours, theirs in BLOCK.items():
        name = re.sub(rf"(^|\.){re.escape(ours)}\.", rf"\g<1>{theirs}.", name)
    return name


def _note(model: dict[str, Any], path: Path) -> str:
    images, told = 2 * model["context"] + 1, "the slice by itself"
    if model["context_along"] == "half_cycle":
        told = f"{images} cardiac phases, the first after the last"
    elif images > 1:
        told = f"{images} adjacent slices"
    if model["readout"] is not None:
        told += f", the readout cut to {model['readout']} rows if it is longer"
    return (
        f"{path.name}: PromptMR; it sees {told}, as the published weights of this number of images "
        "do. If these were trained otherwise: model.context_along=slices, frames or cycle, "
        "model.readout=null or a number."
    )
