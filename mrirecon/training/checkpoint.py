"""A checkpoint: the weights and the recipe that rebuilds what they belong to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrirecon.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """The resolved configuration of whatever turns a Sample into an image.

    Attributes:
        model: Node of the Reconstructor.
        preprocessing: Node of the Transform that its input went through after undersampling.
    """

    model: dict[str, Any]
    preprocessing: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds; ``recipe`` is None for weights from elsewhere."""

    weights: dict[str, Tensor]
    recipe: Recipe | None


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of ``mrirecon train``, or a bare state dict such as fastMRI's.

    Nothing in the file is executed (``weights_only=True``).

    Raises:
        ConfigError: When the file is missing or holds no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"checkpoint: {path} is not a file (in {Path.cwd()})")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen unrelated types
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"checkpoint: {path} is not a readable PyTorch checkpoint: {reason}"
        ) from error
    recipe = state.get("recipe") if isinstance(state, dict) else None
    weights = state.get("state_dict", state) if isinstance(state, dict) else {}
    weights = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    if not weights:
        raise ConfigError(f"checkpoint: {path} holds no weights")
    if recipe:
        prefix = "reconstructor."
        weights = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    return Checkpoint(weights, Recipe(**recipe) if recipe else None)
