"""The position of a run, so that it can be resumed after any batch.

Lightning keeps counters, but what they mean depends on the hook in which a checkpoint was written,
and a run that stops within an epoch counts that epoch as finished. Here the place is told in one
way, and translated back to counters from which Lightning (2.5 and later) goes on with the next
batch, after the validation that was due, or with the end of the epoch.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl

STEPS = ("ready", "started", "processed", "completed")


@dataclass(frozen=True)
class Position:
    """The place of a checkpoint in its run.

    Attributes:
        epoch: Number of the epoch, from zero.
        batches: Number of batches of it that have been trained on.
        last: Whether these are all of them and only the end of the epoch is missing.
        due: Whether a validation belongs after the last of these batches.
        validated: Whether there has been one, due or not.
        open: Whether an update has begun that more batches belong to.
        inside: Whether the next batch had been begun, whose part is lost.
    """

    epoch: int
    batches: int
    last: bool = False
    due: bool = False
    validated: bool = False
    open: bool = False
    inside: bool = False


def position_of(trainer: pl.Trainer, validated: tuple[int, int] | None) -> Position:
    """Return where a run is.

    Args:
        trainer: Trainer of the run.
        validated: Epoch and number of batches after which the latest validation took place.
    """
    loop = trainer.fit_loop
    batches = loop.epoch_loop.batch_progress.state_dict()
    batches["is_last_batch"] = batches["current"]["processed"] >= trainer.num_training_batches
    place = _place(
        {
            "epoch_progress": loop.epoch_progress.state_dict(),
            "epoch_loop.batch_progress": batches,
        }
    )
    return replace(
        place,
        due=place.batches > 0 and _validates_after(trainer, place),
        validated=(place.epoch, place.batches) == validated,
        open=not place.last and place.batches % trainer.accumulate_grad_batches != 0,
    )


def position_in(checkpoint: dict[str, Any]) -> Position:
    """Return where a checkpoint was written; an older one tells it by Lightning's counters only."""
    if "position" in checkpoint:
        return Position(**checkpoint["position"])
    return _place(checkpoint["loops"]["fit_loop"])


def go_on_from(position: Position, checkpoint: dict[str, Any]) -> None:
    """Write counters into a checkpoint from which Lightning goes on exactly there."""
    loops = deepcopy(checkpoint["loops"]["fit_loop"])
    begun = position.epoch + (position.batches > 0)
    epochs = {"ready": begun, "started": begun} | dict.fromkeys(STEPS[2:], position.epoch)
    loops["epoch_progress"] = {"total": {**epochs}, "current": {**epochs}}
    batches = loops["epoch_loop.batch_progress"]
    seen = batches["total"]["processed"]
    batches["total"] = dict.fromkeys(STEPS, seen)
    batches["current"] = dict.fromkeys(STEPS, position.batches)
    batches["is_last_batch"] = position.last
    # A validation that has been begun, and not a batch of it, is done from its start.
    pending = position.due and not position.validated
    validation = {"ready": 1, "started": 1} if pending else {"ready": 0, "started": 0}
    validation |= {"processed": 0, "completed": 0}
    loops["epoch_loop.val_loop.batch_progress"] = {
        "total": {**validation}, "current": {**validation}, "is_last_batch": False,
    }  # fmt: skip
    # Lightning counts the update that a validation follows when it has passed the validation.
    stepped = checkpoint["global_step"] - (position.due and not position.open)
    loops["epoch_loop.state_dict"] = {
        **loops.get("epoch_loop.state_dict", {}), "_batches_that_stepped": max(0, stepped),
    }  # fmt: skip
    checkpoint["loops"] = {**checkpoint["loops"], "fit_loop": loops}


def _place(loops: dict[str, Any]) -> Position:
    """Read Lightning's counters."""
    epochs = loops["epoch_progress"]["current"]
    progress = loops["epoch_loop.batch_progress"]
    batches, last = progress["current"]["processed"], bool(progress["is_last_batch"])
    over = epochs["ready"] == epochs["processed"]
    if epochs["started"] < epochs["ready"] or (over and (last or not batches)):
        return Position(epochs["processed"], 0)  # between two epochs
    if over:  # the run stopped within this epoch, which Lightning counts as finished
        return Position(epochs["processed"] - 1, batches)
    inside = progress["current"]["ready"] != batches
    return Position(epochs["processed"], batches, last, inside=inside)


def _validates_after(trainer: pl.Trainer, place: Position) -> bool:
    """Tell whether a validation belongs after a batch by its number, however the run stops."""
    every, interval = trainer.check_val_every_n_epoch, trainer.val_check_batch
    if not trainer.enable_validation or interval is None:  # None: by the clock
        return False
    if every is not None and (place.epoch + 1) % every:
        return False
    if interval == float("inf"):
        return place.last
    total = trainer.fit_loop.epoch_loop.batch_progress.state_dict()["total"]["processed"]
    return (total if every is None else place.batches) % interval == 0
