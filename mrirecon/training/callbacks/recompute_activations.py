"""Trade computing time for memory in training."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.utils.checkpoint import checkpoint

from mrirecon.errors import ConfigError
from mrirecon.sensitivity import LearnedMaps
from mrirecon.training.module import ReconstructionModule


class RecomputeActivations(pl.Callback):
    """Keep only what goes from one step of an unrolled network to the next.

    The activations inside a step are computed again for its gradient: about a third more time,
    memory of one step instead of all. Gradients are the same, random numbers included.

    Args:
        modules: Names of the lists whose members are steps, for instance ``cascades``; None takes
            the lists that belong to the method itself, not to its networks.
    """

    def __init__(self, modules: Sequence[str] | None = None) -> None:
        self.modules = modules

    def setup(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning passes it
        pl_module: pl.LightningModule,
        stage: str,
    ) -> None:
        if stage == "fit":
            assert isinstance(pl_module, ReconstructionModule)
            recompute(pl_module.reconstructor, self.modules)


def recompute(model: nn.Module, modules: Sequence[str] | None = None) -> None:
    """Let every step of a model compute its activations again while the model is in training.

    So does the network that estimates coil sensitivities, unless lists are named.

    Raises:
        ConfigError: When the model has no such list.
    """
    chosen = steps(model, modules, "callbacks")
    if not modules:
        inside = {part for step in chosen for part in step.modules()}
        maps = [part for part in model.modules() if isinstance(part, LearnedMaps)]
        chosen += [part.norm_unet for part in maps if part not in inside]
    for step in chosen:
        step.forward = partial(_forward, step, step.forward)


def steps(model: nn.Module, modules: Sequence[str] | None, key: str) -> list[nn.Module]:
    """Return the steps of an unrolled network; tied ones, one module several times, once.

    Args:
        model: The method whose steps are looked for.
        modules: Names of the lists whose members are steps; None takes those of the method itself.
        key: Name of what asks for them, for the message.

    Raises:
        ConfigError: When the model has no such list.
    """
    lists = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.ModuleList)
    }
    chosen = [
        module
        for name, module in lists.items()
        if (name.rpartition(".")[2] in modules if modules else "." not in name)
    ]
    if not chosen:
        called = f" called {' or '.join(modules)}" if modules else " of its own"
        raise ConfigError(
            f"{key}: {type(model).__name__} has no list of steps"
            f"{called}; its networks have "
            f"{', '.join(sorted({name.rpartition('.')[2] for name in lists})) or 'none'}"
        )
    return list({id(step): step for module in chosen for step in module}.values())


def _forward(step: nn.Module, forward: Any, *inputs: Any, **named: Any) -> Any:
    """Call a step, and let it be called again for its gradient.

    PyTorch keeps the random numbers of the devices of those tensors that it finds among the
    arguments. It does not look into a DataTerm or a State, so it is shown a parameter.
    """
    if not step.training:
        return forward(*inputs, **named)

    def called(_: Any, *inputs: Any, **named: Any) -> Any:
        return forward(*inputs, **named)

    shown = next(step.parameters(), None)
    return checkpoint(called, shown, *inputs, use_reentrant=False, **named)
