"""Convert fastMRI's public VarNet or U-Net weights into a checkpoint of mrirecon.

    mrirecon convert knee_leaderboard_state_dict.pt varnet_knee.ckpt
    mrirecon reconstruct input=scan.h5 output=out checkpoint=varnet_knee.ckpt

Takes the published state dicts and the checkpoints of fastMRI's training scripts. The number of
cascades, features and levels is read off the weights; the result names the model, so nothing else
has to be told.
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrirecon.commands.plain import plain_parser, told
from mrirecon.config import build, plain
from mrirecon.errors import ConfigError
from mrirecon.files import Kind, Untouchable, atomic, mark, refuse_existing
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.weights import strip_prefixes
from mrirecon.training.checkpoint import Recipe, read_state

PREPROCESSING = {"_target_": "mrirecon.data.transforms.Normalize"}
"""Both networks normalize by themselves; this keeps numbers of raw units out of half precision."""


def main() -> None:
    """Read, recognize, check and write."""
    parser = plain_parser("convert", __doc__)
    parser.add_argument("weights", type=Path, help="a state dict or a Lightning checkpoint")
    parser.add_argument("output", type=Path, help="the checkpoint to write, for instance NAME.ckpt")
    parser.add_argument("--overwrite", action="store_true")
    arguments = parser.parse_args()
    with told("convert"):
        Untouchable([arguments.weights]).refuse([arguments.output])
        refuse_existing(arguments.output, arguments.overwrite, Kind.CHECKPOINT)
        weights = strip_prefixes(read_state(arguments.weights))
        node = model_node(weights)
        checkpoint(weights, node, arguments.output, arguments.overwrite)
    count = sum(value.numel() for value in weights.values())
    options = ", ".join(f"{k}={v}" for k, v in node.items() if isinstance(v, int))
    print(
        f"{arguments.output}: {node['_target_'].rpartition('.')[2]} ({options}), {count:,} weights"
    )


def model_node(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Return the configuration of the model that these weights belong to.

    Raises:
        ConfigError: When they are not of a whole VarNet or U-Net.
    """
    if any(name.startswith("unet.") for name in weights):
        return {"_target_": "mrirecon.reconstructors.unet.UNet", **_size(weights, "unet.")}
    cascades = {int(found[1]) for k in weights if (found := re.match(r"cascades\.(\d+)\.", k))}
    return {
        "_target_": "mrirecon.reconstructors.varnet.VarNet",
        "cascades": len(cascades),
        **_size(weights, "cascades.0.model.unet."),
        "sensitivity": {
            "_target_": "mrirecon.sensitivity.LearnedMaps",
            **_size(weights, "sens_net.norm_unet.unet."),
        },
    }


def _size(weights: dict[str, Tensor], prefix: str) -> dict[str, int]:
    """Read the features of the first level and the number of levels off a U-Net's weights."""
    first = f"{prefix}down_sample_layers.0.layers.0.weight"
    if first not in weights:
        raise ConfigError(f"the weights lack {first}: not the whole of a VarNet or a U-Net")
    pattern = re.compile(re.escape(prefix) + r"down_sample_layers\.(\d+)\.")
    levels = {int(found[1]) for name in weights if (found := pattern.match(name))}
    return {"channels": weights[first].shape[0], "pools": len(levels)}


def checkpoint(
    weights: dict[str, Tensor], node: dict[str, Any], output: Path, overwrite: bool = False
) -> None:
    """Write weights and recipe, after making sure that they fit.

    Raises:
        ConfigError: When some weights are missing, or belong to another network.
    """
    model = build(node, Reconstructor, "model")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"the weights fit no network of ours: {error}") from error
    recipe = Recipe(plain(node, "model"), PREPROCESSING)
    state = {f"reconstructor.{name}": value for name, value in weights.items()}
    contents = {
        "output": mark(Kind.CHECKPOINT, checked=False),  # first, where it is looked for
        "state_dict": state,
        "recipe": asdict(recipe),
    }
    with atomic(output, Kind.CHECKPOINT, overwrite=overwrite) as temporary:
        torch.save(contents, temporary)
