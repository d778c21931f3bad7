"""Weights in safetensors files: data that cannot run code, with a recipe beside them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mrirecon.errors import ConfigError
from mrirecon.weights import registry

SUFFIX = ".safetensors"


def read_safetensors(
    path: str | Path, key: str = "checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file on the CPU, half precision widened, and what it tells of them.

    Args:
        path: Path of the file.
        key: Setting that names the file, for the error message.

    Raises:
        ConfigError: When it is no such file, or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            told = file.metadata() or {}
        facts = {name: json.loads(value) for name, value in told.items() if name in FACTS}
    except (OSError, SafetensorError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{key}: {path} is no readable safetensors file ({error}); copy it again"
        ) from error
    half = (torch.float16, torch.bfloat16)
    return {name: t.float() if t.dtype in half else t for name, t in tensors.items()}, facts


FACTS = ("mrirecon", "recipe", "domain", "patients", "global_step")
"""What our files tell, as JSON, by the keys that it has in a checkpoint; ``domain`` is that of
:mod:`mrirecon.reconstructors.parts.domain`."""


def write_safetensors(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write floating-point tensors in half precision, other ones as they are, and facts.

    Args:
        path: Path of the new file.
        tensors: Tensors by name.
        facts: Plain data by the names of :data:`FACTS`.

    Raises:
        ConfigError: When a weight is too large for half precision.
    """
    half = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).clone().contiguous()
        for name, tensor in tensors.items()
    }
    if lost := [name for name in half if not torch.isfinite(half[name]).all()]:
        raise ConfigError(
            f"{path.name}: {lost[0]} holds values that are not finite in half precision, which "
            f"ends at {torch.finfo(torch.float16).max:g}; train again with smaller weights"
        )
    path.write_bytes(save(half, {name: json.dumps(facts.get(name)) for name in FACTS}))


def packaged_file(name: str) -> Path:
    """Return the file of weights in the package.

    Raises:
        ConfigError: When the package has none of this name.
    """
    known = {path.stem: path for path in sorted(registry.PACKAGED.glob(f"*{SUFFIX}"))}
    if name not in known:
        raise ConfigError(
            f"no weights in this package are called {name!r}; choose one of {', '.join(known)}"
        )
    return known[name]


def load_packaged(module: nn.Module, name: str, part: str = "") -> None:
    """Put weights of this package into a module.

    Args:
        module: Module that they belong to.
        name: Name of the file without its suffix.
        part: What the names of the wanted weights begin with in the file, if it holds more.

    Raises:
        ConfigError: When there are no such weights, or they do not fit.
    """
    path = packaged_file(name)
    if any(parameter.is_meta for parameter in module.parameters()):
        return  # it is only looked at
    tensors, _ = read_safetensors(path)
    wanted = {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
    try:
        module.load_state_dict(wanted)
    except RuntimeError as error:
        lines = "\n".join(str(error).splitlines()[:6])
        raise ConfigError(
            f"weights: {name} does not fit {type(module).__name__} with these settings; leave them "
            f"as they are in conf/model, or set weights=null\n{lines}"
        ) from error
