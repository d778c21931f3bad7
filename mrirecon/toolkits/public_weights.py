"""Public weights as a model of ours: every tensor is used, and has its place and its shape."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mrirecon.building import build_node
from mrirecon.errors import ConfigError
from mrirecon.reconstructors.base import Reconstructor

MOST = 1000  # steps or levels of any network
SHOWN = 6
"""Names that a message lists."""


@dataclass(frozen=True)
class Adapted:
    """Public weights as a model of ours.

    Attributes:
        model: Node of the model.
        choice: Word that chooses a model of this class.
        weights: Tensors of the model, by our names.
        note: What a user should know about where settings came from.
        preprocessing: Node of the preprocessing that they are used with.
    """

    model: dict[str, Any]
    choice: str
    weights: dict[str, Tensor]
    note: str
    preprocessing: dict[str, Any]


@dataclass(frozen=True)
class NamedTensors:
    """The tensors of a file by their published names, and where they came from.

    Attributes:
        named: Tensors by their names.
        path: Path of the file, for messages.
    """

    named: Mapping[str, Tensor]
    path: str

    def error(self, reason: str) -> ConfigError:
        """Return an error about this file."""
        return ConfigError(f"checkpoint: {self.path}: {reason}")

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Return the shape of a tensor.

        Raises:
            ConfigError: When it is missing, or has not so many axes.
        """
        if name not in self.named:
            raise self.error(f"{name} is missing; expected a tensor with {axes} axes")
        shape = tuple(self.named[name].shape)
        if len(shape) != axes or 0 in shape:
            raise self.error(f"{name} has the shape {shape}; expected {axes} axes")
        return shape

    def numbers(self, pattern: str) -> list[int]:
        """Return the different numbers that names have where ``pattern`` has a group, in order.

        Raises:
            ConfigError: When one is larger than any network needs.
        """
        compiled = re.compile(pattern)
        found = {int(match[1]) for name in self.named if (match := compiled.match(name))}
        if found and max(found) >= MOST:
            raise self.error(f"there is a part number {max(found)}; expected less than {MOST}")
        return sorted(found)

    def count(self, pattern: str, name: str) -> int:
        """Return how many parts are numbered where ``pattern`` has a group: from 0 without a gap.

        Args:
            pattern: Beginning of the names of the parts.
            name: Name of the parts, for messages.

        Raises:
            ConfigError: When there is a gap, or there are none.
        """
        numbers = self.numbers(pattern)
        if not numbers or numbers != list(range(len(numbers))):
            raise self.error(
                f"its parts {name} have the numbers {numbers[:20]}; expected one or more, from 0 on"
            )
        return len(numbers)

    def has(self, beginning: str) -> bool:
        """Tell whether a name begins like this."""
        return any(name.startswith(beginning) for name in self.named)


def check_tensor(value: Any, name: str, path: str) -> Tensor:
    """Return what is stored under a name, if it is a tensor with all its numbers in the file.

    Raises:
        ConfigError: When it is not.
    """
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise ConfigError(f"checkpoint: {path}: {name} is a {kind}, expected a tensor")
    if value.untyped_storage().nbytes() < value.numel() * value.element_size():
        raise ConfigError(
            f"checkpoint: {path}: {name} has {value.numel()} numbers, but not as "
            "many are in the file; save the weights again"
        )
    return value


def assemble(
    model: dict[str, Any],
    found: NamedTensors,
    names: Callable[[str], tuple[str, ...]],
    owner: str,
    hint: Callable[[list[str]], str] = lambda _missing: "",
) -> dict[str, Tensor]:
    """Give all tensors our names, after making sure that they are those of the model.

    Args:
        model: Node of the model.
        found: Tensors of the file.
        names: Function from our name of a tensor to the published names of what makes it.
        owner: Words for whose network it is, for messages.
        hint: Function from the names that are missing to what a message ends with.

    Raises:
        ConfigError: Naming tensors that are missing, of another shape or left over.
    """
    with torch.device("meta"):
        expected = build_node(model, Reconstructor, "model").state_dict()
    left, weights = dict(found.named), {}
    missing, wrong = [], []
    for name, value in expected.items():
        parts = names(name)
        absent = [part for part in parts if part not in found.named]
        missing += absent
        if absent:
            continue
        some = [left.pop(part) for part in parts]
        tensor = torch.cat(some) if len(some) > 1 else some[0]
        if tensor.shape != value.shape and not (value.ndim == 0 and tensor.shape == (1,)):
            wrong.append(f"{' + '.join(parts)} {tuple(tensor.shape)}, not {tuple(value.shape)}")
        else:
            weights[name] = tensor.reshape(value.shape)
    problems = [
        f"{what}: {', '.join(some[:SHOWN])}{f' and {len(some) - SHOWN} more' * (len(some) > SHOWN)}"
        for what, some in (
            ("missing", missing), ("of another shape", wrong), ("unexpected", list(left)),
        )
        if some
    ]  # fmt: skip
    if problems:
        raise found.error(
            f"its tensors are not those of {owner}; {'; '.join(problems)}{hint(missing)}"
        )
    return weights
