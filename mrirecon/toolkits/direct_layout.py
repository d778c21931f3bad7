"""How checkpoints of the toolkit DIRECT name their tensors.

A file holds a dict for each network: ``model``, mostly ``sensitivity_model``, and what training
needs beside them. Names are those of version 2.2.0; older versions called parts of the U-Net as
fastMRI does, which are our own names too.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mrirecon.errors import ConfigError
from mrirecon.toolkits.public_weights import check_tensor

SECTIONS = ("model", "sensitivity_model")
OTHERS = ("optimizer", "lr_scheduler", "scaler")
"""What training needs beside the networks, and nobody else."""
LEGACY = (
    (r"\bup_conv\.\d+\.1\.", "conv_out."),
    (r"\b(up_conv\.\d+)\.0\.(layer)", r"\1.\2"),
    (r"\b(up_transpose_conv\.\d+)\.layers\.0\.", r"\1.conv."),
    (r"\blayers\.0\.", "layer_1.conv."),
    (r"\blayers\.4\.", "layer_2.conv."),
    (r"\bout_block\.0\.", "out_block."),
)
PARTS = ("denoiser_blocks.0.", "block_list.0.regularizer.")
"""Beginnings of names that tell a vSHARP or a recurrent variational network of DIRECT."""


def modern(name: str) -> str:
    """Return the name that version 2.2.0 gives to a tensor."""
    for pattern, replacement in LEGACY:
        name = re.sub(pattern, replacement, name)
    return name


def is_direct(state: Mapping[str, Any]) -> bool:
    """Tell whether a file was written by DIRECT, whatever network it holds."""
    model = state.get("model")
    names = model if isinstance(model, Mapping) else state
    known = any(str(name).removeprefix("module.").startswith(PARTS) for name in names)
    return known or (names is model and "__mixed_precision__" in state)


def tensors(state: Mapping[str, Any], path: str) -> dict[str, Tensor]:
    """Return all tensors of the networks in a file, by names such as ``model.rho``.

    Raises:
        ConfigError: When the file holds only one of its networks without a name for it, networks
            that DIRECT's vSHARP and recurrent variational network do not have, or what is no
            tensor.
    """
    if not isinstance(state.get("model"), Mapping):
        raise ConfigError(
            f"checkpoint: {path} holds the tensors of one network of DIRECT ({_some(state)}); "
            f"expected the whole checkpoint, with the networks {' and '.join(SECTIONS)}"
        )
    others = [
        str(name)
        for name, part in state.items()
        if name not in (*SECTIONS, *OTHERS) and isinstance(part, Mapping | Tensor)
    ]
    if others:
        raise ConfigError(
            f"checkpoint: {path} holds {', '.join(others)[:200]} beside {', '.join(SECTIONS)}; "
            "DIRECT's networks of several models are not supported"
        )
    found: dict[str, Tensor] = {}
    for section in SECTIONS:
        for name, value in (state.get(section) or {}).items():
            key = f"{section}.{modern(str(name).removeprefix('module.'))}"
            tensor = check_tensor(value, f"{section}.{name}", path)
            if key in found:
                raise ConfigError(f"checkpoint: {path} holds {key} twice, under two names")
            found[key] = tensor
    return found


def _some(state: Mapping[str, Any]) -> str:
    return ", ".join(map(str, list(state)[:3]))[:200]
