"""Compiled CNNs in training."""

from collections.abc import Iterator, Sequence

import pytorch_lightning as pl
from torch import nn

from mrirecon.errors import ConfigError
from mrirecon.training.module import ReconstructionModule

NETWORKS = (
    "AffineUnet", "DilatedCnn", "FeatureUnet", "GruCell", "JointCnn", "LearnedShrinkage",
    "MultiscaleShrinkage", "Mwcnn", "NoiseLevelUnet", "PromptUnet", "ResidualCnn", "Restormer",
    "SpaceTimeUnet", "Unet",
)  # fmt: skip
"""Classes that are one graph each, without anything that the compiler has to leave out."""


class CompileNetworks(pl.Callback):
    """Compiles the CNNs of a method with ``torch.compile``; Fourier transforms and coils stay.

    The first steps, and those with images of a new size, take minutes. Equal networks of several
    steps are compiled once. Names of weights do not change. It pays on GPUs: on a CPU the U-Net is
    as fast without.

    Args:
        networks: Names of the classes to compile; what is inside of one is compiled with it.
        backend: Name of the backend of ``torch.compile``.
    """

    def __init__(
        self,
        networks: Sequence[str] = NETWORKS,
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
        found = list(self._outermost(model))
        if not found:
            present = sorted({type(part).__name__ for part in model.modules()})
            raise ConfigError(
                f"callbacks: {type(model).__name__} has no network called "
                f"{' or '.join(self.networks)} to compile; it consists of {', '.join(present)}"
            )
        for network in found:
            network.compile(backend=self.backend)

    def _outermost(self, module: nn.Module) -> Iterator[nn.Module]:
        for part in module.children():
            if type(part).__name__ in self.networks:
                yield part
            else:
                yield from self._outermost(part)
