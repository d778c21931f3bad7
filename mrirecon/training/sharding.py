"""Weights, gradients and optimizer state spread over the devices, for models too large for one."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp.wrap import CustomPolicy

from mrirecon.errors import ConfigError
from mrirecon.training.callbacks.recompute_activations import steps
from mrirecon.training.callbacks.sample_pictures import SamplePictures
from mrirecon.training.callbacks.weight_average import WeightAverage
from mrirecon.training.module import ReconstructionModule


class ShardedSteps(FSDPStrategy):
    """Fully sharded data parallel: each step of an unrolled network is gathered when it runs.

    (Zhao et al., arXiv:2304.11277.) Checkpoints hold the whole weights, as without sharding.

    Args:
        modules: Names of the lists whose members are steps; None takes those of the method itself.
        **options: Further options of Lightning's strategy.
    """

    def __init__(self, modules: Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.modules = modules

    def setup(self, trainer: pl.Trainer) -> None:
        """Choose what is sharded together, then shard.

        Raises:
            ConfigError: When the model has no steps, or a callback needs its whole weights.
        """
        module = self.lightning_module
        assert isinstance(module, ReconstructionModule)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAverage | SamplePictures):
                raise ConfigError(
                    f"trainer.strategy: {type(callback).__name__} needs the whole weights in one "
                    "process; leave it out (callbacks=default callbacks.pictures=null)"
                )
        self.kwargs["auto_wrap_policy"] = wrap_policy(module.reconstructor, self.modules)
        super().setup(trainer)


def wrap_policy(model: nn.Module, modules: Sequence[str] | None = None) -> CustomPolicy:
    """Return what tells FSDP to treat every step of an unrolled network as one unit.

    Raises:
        ConfigError: When the model has no such list.
    """
    chosen = {id(step) for step in steps(model, modules, "trainer.strategy")}
    return CustomPolicy(lambda module: id(module) in chosen)
