"""A checkpoint brings its model and preprocessing: what the user may still choose beside it."""

import copy
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from mrirecon.commands.base import overrides
from mrirecon.config import plain
from mrirecon.errors import ConfigError
from mrirecon.loading import check_recipe, check_size, load_weights
from mrirecon.recipes import targets
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.training.checkpoint import Checkpoint, Recipe, read_checkpoint

CHOICES = ("model", "preprocessing", "sensitivity")
"""Groups that a checkpoint of ours decides."""


def adopted(
    recipe: Recipe, path: str, chosen: dict[str, Any], trust: Collection[str]
) -> dict[str, Any]:
    """Return the nodes ``model`` and ``preprocessing`` of a checkpoint, after all checks.

    Choosing the same class once more is allowed, and tells that the user knows it.

    Args:
        recipe: Recipe from the checkpoint.
        path: Path of the checkpoint.
        chosen: The user's own nodes by group, as plain containers.
        trust: Packages that the recipe may name.

    Raises:
        ConfigError: When the user asks for another model or preprocessing, or when the recipe names
            what neither belongs to this package nor is trusted.
    """
    nodes = {"model": recipe.model, "preprocessing": recipe.preprocessing}
    named: set[str] = set()
    refused = []
    for override in overrides():
        key, _, choice = override.lstrip("+~").partition("=")
        # a group of networks is put into the model: regularizer@model.regularizer=...
        if not any(place.split(".")[0] in CHOICES for place in key.split("@")):
            continue
        own = chosen.get(key) if choice and not override.startswith("~") else None
        if key in nodes and own and own.get("_target_") == nodes[key]["_target_"]:
            named |= targets(own)
        else:
            refused.append(override.lstrip("+"))
    if refused:
        raise ConfigError(
            f"{path} brings its own model and preprocessing; leave out {' '.join(refused)}"
        )
    check_recipe(recipe, path, trust, named)
    return nodes


@dataclass(frozen=True)
class StartingWeights:
    """The checkpoint that a training starts from, with a new optimizer.

    Attributes:
        path: Path of the checkpoint.
        checkpoint: Content of the checkpoint.
    """

    path: str
    checkpoint: Checkpoint

    @classmethod
    def read(cls, path: str | None) -> "StartingWeights | None":
        """Read the file; None when there is none to read."""
        return cls(path, read_checkpoint(path)) if path else None

    def adopt(self, config: DictConfig, trust: Collection[str]) -> None:
        """Set the model, and the preprocessing of a recipe, in the configuration of a training.

        Data refer to the preprocessing, so it must be there; that a recipe holds no interpolation
        has been checked when it was read.
        """
        chosen = {key: plain(config[key], key) for key in CHOICES}
        if self.checkpoint.recipe:
            for key, node in adopted(self.checkpoint.recipe, self.path, chosen, trust).items():
                config[key] = node
            check_size(plain(config.model, "model"), self.checkpoint, self.path)
        else:
            config.model = sized(chosen["model"], self.checkpoint, self.path)

    def load(self, reconstructor: Reconstructor) -> None:
        """Put the weights into the model and say so."""
        load_weights(reconstructor, self.checkpoint, self.path)
        print(f"starting from the weights of {self.path}")


def sized(node: dict[str, Any], checkpoint: Checkpoint, path: str) -> dict[str, Any]:
    """Give the user's model the sizes and settings of public weights, when it is of their kind.

    Raises:
        ConfigError: When the weights are those of another model.
    """
    try:
        public = checkpoint.public_model()
    except ConfigError:
        return node  # of another network: loading them will tell
    if not checkpoint.adapted:
        return _resized(node, public)
    if node.get("_target_") != public["_target_"]:
        found = str(node.get("_target_")).rpartition(".")[2]
        raise ConfigError(
            f"checkpoint: {path} holds the weights of a {checkpoint.adapted.choice}, but the model "
            f"is {found}; choose model={checkpoint.adapted.choice}"
        )
    return _with_choices(public, node)


def _resized(node: dict[str, Any], public: dict[str, Any]) -> dict[str, Any]:
    if node.get("_target_") != public["_target_"]:
        return node
    sizes = {k: v for k, v in public.items() if type(v) is int}
    below = {
        k: _resized(node[k], v) for k, v in public.items() if isinstance(v, dict) and k in node
    }
    return {**node, **sizes, **below}


def _with_choices(public: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return a public model with what the command line has chosen of it."""
    model = copy.deepcopy(public)
    for override in overrides():
        place = override.lstrip("+").partition("=")[0].partition("@")
        first, *path = (place[2] or place[0]).split(".")
        if first != "model" or not path:
            continue
        chosen: Any = node
        for key in path:
            chosen = chosen[key]
        below = model
        for key in path[:-1]:
            below = below.setdefault(key, {})
        below[path[-1]] = chosen
    return model
