"""Training from weights that are good already never hands out worse ones."""

import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from mrirecon.training.callbacks.last_checkpoint import LastCheckpoint
from mrirecon.training.callbacks.progress import LearningCurve
from mrirecon.training.callbacks.starting_scores import StartingScores
from mrirecon.training.callbacks.weight_average import WeightAverage
from mrirecon.training.checkpoint import read_checkpoint
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.ssdu import Ssdu
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
]
BETTER = "no epoch was better than the weights"


class Away(Supervised):
    """Leads away from the reference: whatever training does is worse than doing nothing."""

    def forward(self, reconstructor, sample):
        return -super().forward(reconstructor, sample)


def fit(folder, objective, *, epochs=2, learned=True, monitor="val/ssim", resume=None, more=()):
    mode = "min" if monitor == "val/loss" else "max"
    best = ModelCheckpoint(folder, "best", monitor=monitor, mode=mode, enable_version_counter=False)
    stop = EarlyStopping(monitor, mode=mode, patience=1)
    curve = LearningCurve(str(folder / "curve.png"))
    callbacks = [StartingScores(learned), *more, curve, stop, LastCheckpoint(folder), best]
    model = runs.varnet()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    trainer, module = runs.fit(
        folder, model, epochs, objective, resume, callbacks=callbacks, enable_checkpointing=True
    )
    return trainer, module, start, best, stop, curve


def kept(folder, name="best"):
    return read_checkpoint(folder / f"{name}.ckpt").weights


def same(found, expected):
    return all(found[name].equal(value) for name, value in expected.items())


@pytest.mark.parametrize("more", [(), (WeightAverage(0.5),)], ids=["plain", "averaged"])
def test_the_best_weights_are_those_of_the_start_when_training_makes_them_worse(
    tmp_path, capsys, more
):
    _, _, start, best, stop, curve = fit(tmp_path, Away(), more=more)
    told = capsys.readouterr().out
    assert same(kept(tmp_path), start) and not same(kept(tmp_path, "last"), start)
    ((first, *later),) = [curve.curves["val/ssim"]]
    assert (first.epoch, first.updates) == (0, 0) and all(p.value < first.value for p in later)
    assert float(best.best_model_score) == pytest.approx(first.value)
    assert "before training: val/nmse" in told and f"val/ssim {first.value:.4f}" in told
    assert BETTER in told
    assert len(later) == stop.patience == 1  # it counts from the start, so one epoch is enough


def test_better_weights_replace_them(tmp_path, capsys):
    _, _, start, best, _, curve = fit(tmp_path, Supervised(ssim=0, l1=1), monitor="val/psnr")
    first, *later = [point.value for point in curve.curves["val/psnr"]]
    assert len(later) == 2 and max(later) > first
    assert float(best.best_model_score) == pytest.approx(max(later))
    assert not same(kept(tmp_path), start)
    assert BETTER not in capsys.readouterr().out


def test_random_weights_are_not_validated_and_validation_changes_no_training(tmp_path, capsys):
    (learned, _), (random, curve) = [
        (fitted[1].reconstructor, fitted[-1])
        for fitted in (
            fit(tmp_path / str(learned), Away(), epochs=1, learned=learned)
            for learned in (True, False)
        )
    ]
    assert runs.weights(learned).equal(runs.weights(random))
    assert curve.curves["val/ssim"][0].epoch == 1
    assert not same(kept(tmp_path / "False"), kept(tmp_path / "True"))
    assert capsys.readouterr().out.count("before training") == 1


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_a_resumed_run_remembers_the_scores(tmp_path, capsys, checkpoint):
    _, _, start, _, _, curve = fit(tmp_path, Away(), epochs=1)
    capsys.readouterr()
    path = str(tmp_path / f"{checkpoint}.ckpt")
    _, _, _, best, _, again = fit(tmp_path, Away(), epochs=2, resume=path)
    told = capsys.readouterr().out
    assert "before training" not in told and BETTER in told
    assert same(kept(tmp_path), start)
    assert again.curves["val/ssim"][0] == curve.curves["val/ssim"][0]
    assert float(best.best_model_score) == pytest.approx(again.curves["val/ssim"][0].value)


def test_the_loss_of_self_supervision_counts_likewise(tmp_path):
    class AwayFromSamples(Ssdu):
        def forward(self, reconstructor, sample):
            loss = super().forward(reconstructor, sample)
            return -loss if torch.is_grad_enabled() else loss

    _, _, start, best, _, curve = fit(tmp_path, AwayFromSamples(center=(4, 4)), monitor="val/loss")
    first, *later = [point.value for point in curve.curves["val/loss"]]
    assert later and min(later) > first
    assert same(kept(tmp_path), start) and float(best.best_model_score) == pytest.approx(first)
