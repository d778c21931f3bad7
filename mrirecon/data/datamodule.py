"""Loaders for the stages of a training run."""

from itertools import combinations

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from mrirecon.data.collate import collate
from mrirecon.data.dataset import SliceDataset
from mrirecon.errors import ConfigError
from mrirecon.types import Sample


class DataModule(pl.LightningDataModule):
    """Wraps data sets into loaders that yield batched Samples.

    Args:
        train: Slices to train on.
        val: Slices to choose the best checkpoint by.
        test: Slices that nothing was chosen by, or None.
        batch_size: Slices per step; larger than 1 needs slices of one shape.
        workers: Processes that prepare slices; 0 prepares them in the training process.

    Raises:
        ConfigError: When two sets share a patient.
    """

    def __init__(
        self,
        train: SliceDataset,
        val: SliceDataset,
        test: SliceDataset | None = None,
        batch_size: int = 1,
        workers: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1 or workers < 0:
            raise ValueError(
                f"batch_size must be at least 1 and workers at least 0, got {batch_size}, {workers}"
            )
        self.sets = {"train": train, "val": val} | ({"test": test} if test else {})
        for (a, first), (b, second) in combinations(self.sets.items(), 2):
            if shared := first.subjects & second.subjects:
                raise ConfigError(
                    f"data.{a} and data.{b} share the subjects {', '.join(sorted(shared)[:5])}"
                    f"{' ...' if len(shared) > 5 else ''}: scores on known patients are too good; "
                    "split by patient"
                )
        self.batch_size, self.workers = batch_size, workers

    def _loader(self, stage: str) -> DataLoader[Sample]:
        return DataLoader(
            self.sets[stage],
            batch_size=self.batch_size,
            shuffle=stage == "train",
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=collate,
        )

    def train_dataloader(self) -> DataLoader[Sample]:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Sample]:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Sample]:
        return self._loader("test")
