"""Convert public weights into a checkpoint of mrirecon.

    mrirecon convert knee_leaderboard_state_dict.pt varnet_knee.ckpt
    mrirecon reconstruct input=scan.h5 output=out checkpoint=varnet_knee.ckpt

Takes fastMRI's VarNet and U-Net, as published state dicts or checkpoints of its training scripts,
DIRECT's vSHARP and recurrent variational network, with the configuration of the same name (.yaml)
beside the file if there is one, PromptMR and SDUM. Sizes are read off the weights; the result names
the model, so nothing else has to be told.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from mrirecon.building import build_node
from mrirecon.commands.plain import plain_parser, told
from mrirecon.defaults import completed
from mrirecon.errors import ConfigError
from mrirecon.files import Kind, Untouchable, atomic, mark, refuse_existing
from mrirecon.loading import public_recipe
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.checkpoint import Recipe, read_checkpoint, written_by
from mrirecon.weights import weights_file


def main() -> None:
    """Read, recognize, check and write."""
    parser = plain_parser("convert", __doc__)
    parser.add_argument(
        "weights", help="a state dict or a Lightning checkpoint, or zoo:NAME of `mrirecon models`"
    )
    parser.add_argument("output", type=Path, help="the checkpoint to write, for instance NAME.ckpt")
    parser.add_argument("--overwrite", action="store_true")
    arguments = parser.parse_args()
    with told("convert"):
        source = Path(weights_file(arguments.weights))
        Untouchable([source]).refuse([arguments.output])
        refuse_existing(
            arguments.output, arguments.overwrite, Kind.CHECKPOINT, choice="give --overwrite"
        )
        found = read_checkpoint(source)
        if found.recipe:
            raise ConfigError(
                f"{source} is a checkpoint of mrirecon already; expected public weights"
            )
        weights, recipe = found.named(), public_recipe(found)
        checkpoint(weights, recipe, arguments.output, arguments.overwrite)
    if found.note:
        print(f"note: {found.note}")
    count = sum(value.numel() for value in weights.values())
    node = recipe.model
    options = ", ".join(f"{k}={v}" for k, v in node.items() if isinstance(v, int))
    print(
        f"{arguments.output}: {node['_target_'].rpartition('.')[2]} ({options}), {count:,} weights"
    )


def checkpoint(
    weights: dict[str, Tensor], recipe: Recipe, output: Path, overwrite: bool = False
) -> None:
    """Write weights and recipe, after making sure that they fit.

    Raises:
        ConfigError: When some weights are missing, or belong to another network.
    """
    model = build_node(recipe.model, Reconstructor, "model")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"the weights fit no network of ours: {error}") from error
    recipe = Recipe(completed(recipe.model), completed(recipe.preprocessing))
    state = {f"reconstructor.{name}": value for name, value in weights.items()}
    contents = {
        "output": mark(Kind.CHECKPOINT, checked=False),  # first, where it is looked for
        "mrirecon": written_by(),
        "state_dict": state,
        "recipe": asdict(recipe),
    }
    with atomic(output, Kind.CHECKPOINT, overwrite=overwrite) as temporary:
        torch.save(contents, temporary)
