"""Whenever a checkpoint is written, the run resumed from it equals the uninterrupted one."""

import pytest
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint, Timer

from mrirecon.reconstructors.learned.unet import UNet
from mrirecon.training.callbacks.last_checkpoint import LastCheckpoint
from mrirecon.training.callbacks.weight_average import WeightAverage
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*"),
]


def unet():
    torch.manual_seed(0)
    return UNet(channels=2, pools=1, dropout=0.2)  # draws from the process's generator


class SaveEverywhere(Checkpoint):
    """Writes a checkpoint in every hook that Lightning's own callbacks write them in."""

    def __init__(self, folder):
        self.folder, self.paths = folder, []

    def save(self, trainer, hook):
        if not trainer.sanity_checking:
            self.paths.append(self.folder / f"{len(self.paths):02d}_{hook}.ckpt")
            trainer.save_checkpoint(self.paths[-1])

    def on_train_batch_end(self, trainer, *_):
        self.save(trainer, "batch")

    def on_validation_batch_end(self, trainer, *_):
        self.save(trainer, "inside_validation")

    def on_validation_end(self, trainer, *_):
        self.save(trainer, "validation")

    def on_train_epoch_start(self, trainer, *_):
        self.save(trainer, "start")

    def on_train_epoch_end(self, trainer, *_):
        self.save(trainer, "end")


class Watch(runs.pl.Callback):
    """Notes every batch with its masks, every validation and the end of every epoch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, _module, _outputs, batch, number):
        masks = batch.mask.flatten().nonzero().flatten().tolist()
        counted = trainer.fit_loop.epoch_loop._batches_that_stepped  # the step of loggers
        self.seen.append((trainer.current_epoch, number, batch.key, masks, counted))

    def on_validation_end(self, trainer, _module):
        scores = {k: float(v) for k, v in trainer.callback_metrics.items() if "val" in k}
        self.seen.append(("validation", trainer.current_epoch, trainer.global_step, scores))

    def on_train_epoch_end(self, trainer, _module):
        self.seen.append(("end", trainer.current_epoch))


def fit(folder, callbacks=(), resume=None, seed=3, workers=0, **options):
    """Return the weights, all state of the callbacks, and what happened."""
    model, watch = unet(), Watch()
    early, average = EarlyStopping("val/ssim", mode="max", patience=50), WeightAverage(0.9)
    trainer, _ = runs.fit(
        folder, model, loaders=runs.data(5, seed=seed, workers=workers), resume=resume,
        callbacks=[watch, early, average, *callbacks],
        enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks), **options,
    )  # fmt: skip
    averaged = torch.cat([v.flatten().float() for v in average._average.values()])
    (optimizer,) = trainer.optimizers
    moments = [s[k].flatten() for s in optimizer.state.values() for k in ("exp_avg", "exp_avg_sq")]
    state = torch.cat([runs.weights(model), averaged, *moments])
    return state, early.state_dict(), watch.seen, trainer


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"epochs": 2}, slice(1, None, 5)),
        ({"epochs": 2, "accumulate_grad_batches": 2, "val_check_interval": 3}, slice(1, None, 6)),
        ({"epochs": 2, "val_check_interval": 0.4}, slice(3, None, 7)),
        ({"epochs": 2, "check_val_every_n_epoch": None, "val_check_interval": 3},
         slice(0, None, 7)),
        ({"epochs": -1, "max_steps": 8, "limit_train_batches": 0.6}, slice(4, -6, 4)),
        ({"epochs": 3, "check_val_every_n_epoch": 2, "limit_train_batches": 2}, slice(1, None, 6)),
        ({"epochs": 2, "workers": 1, "reload_dataloaders_every_n_epochs": 1}, slice(2, None, 9)),
    ],
)  # fmt: skip
def test_a_run_resumed_anywhere_equals_the_whole_one(options, chosen, tmp_path):
    saving = SaveEverywhere(tmp_path)
    state, early, seen, _ = fit(tmp_path, [saving], **options)
    assert len(saving.paths[chosen]) > 1
    for path in saving.paths[chosen]:
        torch.rand(3)
        again, early_again, rest, _ = fit(tmp_path, resume=path, seed=9, **options)
        assert torch.equal(again, state), path.name
        assert early_again == early, path.name
        assert rest == seen[len(seen) - len(rest) :], path.name


def test_nothing_is_seen_twice_or_left_out(tmp_path):
    """Of every checkpoint the rest of the run begins with the very next batch or validation."""
    saving = SaveEverywhere(tmp_path)
    _, _, seen, _ = fit(tmp_path, [saving], epochs=1, val_check_interval=2)
    kinds = {"batch": 0, "validation": 0, "end": 0}
    for path in saving.paths:
        kind = path.stem[3:]
        if kind in kinds:
            kinds[kind] += 1
        done = sum(kinds.values()) if kind != "end" else len(seen)
        if kind not in ("start", "inside_validation") and path in saving.paths[4:8]:
            _, _, rest, _ = fit(tmp_path, resume=path, epochs=1, val_check_interval=2)
            assert len(rest) == len(seen) - done, path.name


@pytest.mark.parametrize("stop", ["time", "steps"])
def test_a_run_that_stops_within_an_epoch_is_saved_there(stop, tmp_path):
    """The validation that Lightning adds to such a stop is none of the uninterrupted run."""

    class Stop(Timer):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = trainer.global_step == 4

    state, early, seen, _ = fit(tmp_path, epochs=1, accumulate_grad_batches=1)
    last = LastCheckpoint(tmp_path)
    limits = {"epochs": 1, "callbacks": [Stop(), last]}
    if stop == "steps":
        limits = {"epochs": -1, "max_steps": 4, "callbacks": [last]}
    _, _, part, trainer = fit(tmp_path, **limits)
    assert trainer.global_step == 4 and part[-2][0] == "validation"
    path = tmp_path / "last.ckpt"
    assert torch.load(path, weights_only=True)["position"]["batches"] == 4
    again, early_again, rest, _ = fit(tmp_path, resume=path, epochs=1)
    assert torch.equal(again, state) and early_again == early and rest == seen[4:]


@pytest.mark.parametrize(
    "options",
    [{"val_check_interval": 2}, {"check_val_every_n_epoch": 3}, {"limit_val_batches": 0},
     {"accumulate_grad_batches": 50}],
)  # fmt: skip
def test_the_last_checkpoint_is_written_after_every_epoch(options, tmp_path):
    found = []

    class Read(runs.pl.Callback):
        def on_train_epoch_start(self, trainer, _module):
            if trainer.current_epoch:
                found.append(place())

    def place():
        position = torch.load(tmp_path / "last.ckpt", weights_only=True)["position"]
        return position["epoch"], position["batches"]

    runs.fit(tmp_path, unet(), 2, loaders=runs.data(2), enable_checkpointing=True,
             callbacks=[LastCheckpoint(tmp_path), Read()], **options)  # fmt: skip
    assert [*found, place()] == [(1, 0), (2, 0)]


def test_gradients_of_a_begun_update_are_kept(tmp_path):
    saving = SaveEverywhere(tmp_path)
    fit(tmp_path, [saving], epochs=1, accumulate_grad_batches=2)
    opened = {p.stem: "open_update" in torch.load(p, weights_only=True) for p in saving.paths}
    batches = [kept for name, kept in opened.items() if name.endswith("batch")]
    assert batches == [True, False, True, False, False]  # five batches: the last is an update


def test_an_older_checkpoint_tells_its_place_by_counters(tmp_path):
    """Without dropout, whose numbers older versions drew in another way, it is exact, too."""
    whole = runs.varnet()
    saving = SaveEverywhere(tmp_path)
    runs.fit(tmp_path, whole, 1, callbacks=[saving], enable_checkpointing=True)
    path = next(p for p in saving.paths if p.stem.endswith("batch"))
    state = torch.load(path, weights_only=True)
    for key in ("position", "metrics"):
        del state[key]
    torch.save(state, tmp_path / "old.ckpt")
    again = runs.varnet()
    runs.fit(tmp_path, again, 1, resume=tmp_path / "old.ckpt")
    assert runs.weights(again).equal(runs.weights(whole))


def test_steps_end_schedules(tmp_path):
    from functools import partial

    from mrirecon.training.schedules import warmup

    seen = []

    class Rates(runs.pl.Callback):
        def on_before_optimizer_step(self, _trainer, _module, optimizer):
            seen.append(optimizer.param_groups[0]["lr"])

    schedule = partial(warmup, epochs=50, warmup_epochs=0)
    module = ReconstructionModule(unet(), Supervised(), runs.adam, runs.RECIPE, schedule)
    trainer = runs.trainer(tmp_path, 50, max_steps=4, callbacks=[Rates()])
    trainer.fit(module, runs.data(5))
    (end,) = trainer.lr_scheduler_configs[0].scheduler.get_last_lr()
    assert len(seen) == 4 and seen[2] == pytest.approx(seen[0] / 2)  # half a cosine
    assert end == pytest.approx(0.0, abs=1e-12)


def test_the_best_checkpoint_is_replaced_in_a_resumed_run(tmp_path):
    best = ModelCheckpoint(
        tmp_path / "c", "best", "val/ssim", mode="max", enable_version_counter=False
    )
    saving = SaveEverywhere(tmp_path)
    fit(tmp_path, [saving, best], epochs=1)
    before = next(p for p in saving.paths if p.stem.endswith("batch"))
    again = ModelCheckpoint(
        tmp_path / "c", "best", "val/ssim", mode="max", enable_version_counter=False
    )
    fit(tmp_path, [again], resume=before, epochs=1)
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["best.ckpt"]
