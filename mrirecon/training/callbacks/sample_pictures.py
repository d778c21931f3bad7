"""Pictures of validation samples while a network is trained."""

from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from mrirecon.data.batches import Batches
from mrirecon.data.collate import collate
from mrirecon.figures import Panel, comparison, save_figure
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.operators import coil_images
from mrirecon.training.callbacks.forgiving import attempt
from mrirecon.training.module import ReconstructionModule
from mrirecon.types import Sample


class SamplePictures(pl.Callback):
    """After each validation, draw the same slices: reference, zero-filled and reconstruction.

    Pictures go to ``folder`` and, when there is one, to TensorBoard. One that cannot be made is
    told, and training goes on.

    Args:
        folder: Folder of the pictures; ``epoch0003_0.png`` is the first of the third epoch.
        slices: Number of validation batches to draw, spread over the set.
    """

    def __init__(self, folder: str, slices: int = 2) -> None:
        self.folder, self.slices = Path(folder), slices
        self._told: set[str] = set()

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not trainer.sanity_checking and trainer.is_global_zero:
            attempt("SamplePictures", self._told, lambda: self._draw_all(trainer, module), None)

    def _draw_all(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        loader = trainer.val_dataloaders
        assert isinstance(loader, DataLoader)
        assert isinstance(loader.dataset, Batches)
        dataset = loader.dataset.slices
        indices = np.linspace(0, len(dataset) - 1, self.slices + 2)[1:-1].round().astype(int)
        for place, index in enumerate(indices.tolist()):
            planes, member = dataset.together(index)
            batch = collate([dataset[plane] for plane in planes]).to(module.device)
            self._draw(trainer, module, dataset.finish(batch), place, member)

    def _draw(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        sample: Sample,
        place: int,
        member: int,
    ) -> None:
        assert isinstance(module, ReconstructionModule)
        if sample.target is None:
            return  # nothing to compare with
        shape = sample.target.shape[-2:]
        target = sample.target[member].float().cpu().numpy()
        with torch.inference_mode():
            image = module.reconstructor(sample).abs()
            zero_filled = root_sum_of_squares(coil_images(sample))
        (name, index), epoch = sample.key[member], trainer.current_epoch + 1  # as progress is told
        panels = [
            Panel(center_crop(x, shape)[member].float().cpu().numpy(), title)
            for title, x in (("zero-filled", zero_filled), ("reconstruction", image))
        ]
        figure = comparison(
            Panel(target, "reference"),
            panels,
            title=f"{name}, slice {index + 1}, epoch {epoch}",
        )
        path = self.folder / f"epoch{epoch:04d}_{place}.png"
        save_figure(path, figure, overwrite=True, resolution=110)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure(f"val/slice{place}", figure, epoch, close=False)
