"""Compiled CNNs in training."""

from collections.abc import Sequence

import pytorch_lightning as pl

from mrirecon.errors import ConfigError
from mrirecon.training.module import ReconstructionModule


class CompileNetworks(pl.Callback):
    """Compiles the real-valued CNNs of a method with ``torch.compile``; what is complex stays.

    The first steps, and those with images of a new size, take minutes. Names of weights do not
    change. It pays on GPUs: on a CPU the U-Net is as fast without.

    Args:
        networks: Names of the classes to compile.
        backend: Name of the backend of ``torch.compile``.
    """

    def __init__(
        self,
        networks: Sequence[str] = ("Unet", "PromptUnet", "Restormer", "ResidualCnn", "Mwcnn"),
        backend: str = "inductor",
    ) -> None:
        self.networks, self.backend = tuple(networks), backend

    def setup(
        self,
        trainer: pl.Trainer,  # noqa: ARG002 - Lightning passes it
        pl_module: pl.LightningModule,
        stage: str,
    ) -> None:
        if stage != "fit":
            return
        assert isinstance(pl_module, ReconstructionModule)
        model = pl_module.reconstructor
        found = [part for part in model.modules() if type(part).__name__ in self.networks]
        if not found:
            present = sorted({type(part).__name__ for part in model.modules()})
            raise ConfigError(
                f"callbacks: {type(model).__name__} has no network called "
                f"{' or '.join(self.networks)} to compile; it consists of {', '.join(present)}"
            )
        for network in found:
            network.compile(backend=self.backend)
