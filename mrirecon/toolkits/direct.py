"""Checkpoints of the toolkit DIRECT: vSHARP and the recurrent variational network.

Yiasemis et al., J Open Source Softw 7:4278, 2022. Tensors tell most of a network; the rest comes
from DIRECT's configuration beside them, else it is as in the published ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.toolkits.direct_layout import tensors
from mrirecon.toolkits.direct_recurrent import recurrent_name, recurrent_node
from mrirecon.toolkits.direct_settings import Settings, settings_beside
from mrirecon.toolkits.direct_tensors import Tensors
from mrirecon.toolkits.direct_vsharp import vsharp_name, vsharp_node
from mrirecon.toolkits.public_weights import Adapted, assemble

PREPROCESSING = {"_target_": "mrirecon.data.Compose", "transforms": []}
"""None: the networks divide k-space themselves, and one division more would only round once more.
"""
DROPPED = ("model.initializer.out_block.bias",)
"""Lost in some conversions of old files to new names; zeros in their place would be wrong."""


@dataclass(frozen=True)
class Method:
    """A method of DIRECT that is one of ours.

    Attributes:
        network: Name of the network in DIRECT's configurations.
        choice: Word that chooses our model.
        beginnings: Beginnings of names that only this network has.
        node: Function from the tensors to the node of our model.
        names: Function from our name of a tensor to DIRECT's names of what makes it.
        axes: Axes of the weights of its convolutions: 4 of slices, 5 of series.
    """

    network: str
    choice: str
    beginnings: tuple[str, ...]
    node: Callable[[Tensors], dict[str, Any]]
    names: Callable[[str, Tensors], tuple[str, ...]]
    axes: int = 4


VSHARP = ("model.denoiser_blocks.", "model.rho")
METHODS = (
    Method("VSharpNet", "vsharp", VSHARP, vsharp_node, vsharp_name),
    Method("VSharpNet3D", "vsharp", VSHARP, vsharp_node, vsharp_name, axes=5),
    Method(
        "RecurrentVarNet", "recurrent_varnet", ("model.block_list.",),
        recurrent_node, recurrent_name,
    ),
)  # fmt: skip


def adapted(state: Mapping[str, Any], path: Path) -> Adapted:
    """Return the model that a checkpoint of DIRECT holds.

    Args:
        state: What the file holds.
        path: The file, beside which a configuration may lie.

    Raises:
        ConfigError: When it is another network, or tensors are missing, left over or of another
            shape, all of which are named.
    """
    named = tensors(state, str(path))
    axes = Tensors(named, str(path), Settings()).axes
    for method in METHODS:
        if any(name.startswith(method.beginnings) for name in named) and method.axes == axes:
            found = Tensors(named, str(path), settings_beside(path, method.network))
            model = method.node(found)
            weights = assembled(model, found, method)
            note = _note(found, method.network)
            return Adapted(model, method.choice, weights, note, PREPROCESSING)
    known = " or ".join(f"{method.network} ({method.beginnings[0]}…)" for method in METHODS)
    kind = "for volumes " if axes == 5 else ""
    raise ConfigError(
        f"checkpoint: {path} holds a network {kind}of DIRECT that is not supported: found "
        f"{', '.join(list(named)[:3])[:300] or 'nothing'}; expected {known}"
    )


def assembled(model: dict[str, Any], found: Tensors, method: Method) -> dict[str, Tensor]:
    """Give all tensors our names, after making sure that they are those of the model.

    Args:
        model: Node of the model.
        found: Tensors of the file.
        method: Method that they belong to.

    Raises:
        ConfigError: Naming tensors that are missing, of another shape or left over.
    """
    return assemble(
        model, found, lambda name: method.names(name, found), f"DIRECT's {method.network}", _lost
    )


def _lost(missing: list[str]) -> str:
    lost = any(name in DROPPED for name in missing)
    return "; some conversions of old files lost this bias: take the original file" * lost


def _note(found: Tensors, network: str) -> str:
    source = found.settings.source
    return (
        f"{Path(found.path).name}: DIRECT's {network} with the settings of {source}."
        if source
        else f"{Path(found.path).name}: DIRECT's {network}; no configuration (.yaml) lies beside "
        "it, so what the weights do not tell is as in the published ones."
    )
