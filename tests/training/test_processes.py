"""Several processes score what one scores."""

import csv

import pytest

from tests.commands import run
from tests.test_cli import PLAIN


def train(folder, name, *options):
    keys = [key for key in PLAIN if not key.startswith(("data.val", "data.train", "protocol.pre"))]
    done = run(
        "train", *keys, "trainer.max_epochs=1",
        "simulation.prescription.matrix=[24,20]", "simulation.prescription.slices=3",
        "data.train.scans.count=1", "data.val.scans.count=3", "data.batch_size=2",
        "optimizer=adam", "optimizer.lr=0", "callbacks.early_stopping=null",
        f"output={name}", *options, folder=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (metrics,) = (folder / name).glob("csv/version_0/metrics.csv")
    rows = list(csv.DictReader(metrics.read_text().splitlines()))
    scores = {
        key: value for row in rows for key, value in row.items() if key.startswith("val/") and value
    }
    return scores, done.stdout, done.stderr


def test_two_processes_score_what_one_scores(tmp_path):
    alone, _, _ = train(tmp_path, "one")
    both, shown, complaints = train(tmp_path, "two", "trainer.devices=2")
    assert set(alone) == {"val/nmse", "val/psnr", "val/ssim"}
    assert both == alone  # every digit
    assert "on 2 x CPU" in shown and shown.count("last epoch: ") == 1
    assert "Warning" not in complaints
    assert (tmp_path / "two" / "checkpoints" / "best.ckpt").is_file()
    assert {"run.json", "config.yaml"} <= {f.name for f in (tmp_path / "two").iterdir()}


@pytest.mark.parametrize("strategy", ["ddp_find_unused_parameters_true"])
def test_strategies_that_would_repeat_the_command_line_are_refused(strategy, tmp_path):
    with pytest.raises(AssertionError, match="torchrun --nproc-per-node 2"):
        train(tmp_path, "x", "trainer.devices=2", f"trainer.strategy={strategy}")
