"""Sweeps, and combinations that cannot be trained: refused with a reason, as a user sees it."""

import re
import sys

import pytest

from mrirecon.cli import main
from mrirecon.grammar import adapt
from tests.test_cli import TINY

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]
PLAIN = [key for key in TINY if not key.startswith(("model.", "sampling"))]
UNET = ["model=unet", "model.channels=4", "model.pools=2"]


def refusal(monkeypatch, folder, *options, sweep=()):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["mrirecon", "train", *sweep, *PLAIN, *options])
    with pytest.raises(SystemExit) as stop:
        main()
    return str(stop.value.code)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["model=cg_sense"], "CgSense has nothing to train"),
        (["model=locally_low_rank"], "LocallyLowRank has nothing to train"),
        (["model=unet", "sensitivity=walsh"], "sensitivity=walsh has no effect: this model does"),
        (["model=varnet", "sensitivity=walsh"], "sensitivity=walsh has no effect"),
        (["data=folder", "simulation=brain"], "simulation=brain.* has no effect: this data does"),
        (["sampling=gaussian_2d", "sampling.acceleration=2", "preprocessing=compress_geometric",
          *UNET],
         "geometric coil compression needs a fully sampled readout"),
        ([*UNET, "objective=ssdu"], "objective: UNet has no coil sensitivities"),
        (["model.cascades=1", "model.combination=rss", "objective=equivariant"],
         "returned a magnitude"),
        (["objective=weighted_ssdu", "sampling=curriculum"], "a Curriculum changes"),
        (["trainer.precision=64-true"], "trainer.precision: expected one of"),
        (["trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2", *UNET],
         "ShardedSteps needs one process per device; start them with `torchrun"),
        (["scheduler=warmup_cosine", "trainer.max_epochs=1", *UNET],
         "scheduler: warmup_epochs is 1.0, that is 2 updates, expected less than the 2 updates"),
        (["optimizer.lr=-1", *UNET], "optimizer: Invalid learning rate: -1"),
        (["data/transforms@data.train.transform=train_augmented", "trainer.max_epochs=-1"],
         "growth and epochs must be positive"),
    ],
)  # fmt: skip
def test_wrong_combinations_are_refused_with_a_reason(options, reason, monkeypatch, tmp_path):
    message = refusal(monkeypatch, tmp_path, *options)
    assert message.startswith("mrirecon train: ") and re.search(reason, message), message


def test_a_sweep_goes_on_after_a_refused_job(monkeypatch, tmp_path, capsys):
    message = refusal(
        monkeypatch, tmp_path, "model=cg_sense,varnet", "objective=ssdu,l1",
        "++model.pools=2", "++model.cascades=1", "trainer.max_epochs=1", "output=sweep",
        "callbacks=null", "logger=null", "model.combination=rss", "model.channels=4", sweep=["-m"],
    )  # fmt: skip
    first, *jobs = (line for line in message.splitlines() if not line.startswith("  model."))
    assert first == "mrirecon train: 3 of 4 jobs were refused"
    assert re.match(r"  job 0 \(model=cg_sense objective=ssdu\): the configuration", jobs[0])
    assert re.match(r"  job 2 \(model=varnet objective=ssdu\): .*magnitude", jobs[2]), jobs
    shown = capsys.readouterr()
    assert shown.out.count("last epoch: ") == 1 and "job 2 refused: " in shown.err
    assert (tmp_path / "sweep" / "3" / "config.yaml").is_file()
    # Lightning's own checkpoint, where no callback makes one
    assert [f.parts[-4:-1] for f in tmp_path.rglob("*.ckpt")] == [("sweep", "3", "checkpoints")]


def test_a_sweep_goes_on_after_a_bad_file(monkeypatch, tmp_path):
    (tmp_path / "bad.h5").write_text("no raw data")
    monkeypatch.chdir(tmp_path)
    command = "reconstruct -m input=bad.h5 output=${hydra:job.num} model=zero_filled,cg_sense"
    monkeypatch.setattr(sys, "argv", ["mrirecon", *command.split()])
    with pytest.raises(SystemExit, match="2 of 2 jobs were refused"):
        main()


def test_several_files_are_a_job_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.h5").touch()
    assert adapt("input=a.h5,it's.h5", (), sweep=True) == r"++input='a.h5','it\'s.h5'"
    assert adapt("checkpoint=a,${b}", (), sweep=True) == r"++checkpoint='a','\${b}'"
    assert adapt("input=a,b.h5", (), sweep=True) == "++input='a,b.h5'"  # there is this file
    assert adapt("input=c,d.h5", ()) == "++input='c,d.h5'"
    for whole in ("output=o/${f:a,b}", "pattern={a,b}.h5"):
        assert "','" not in adapt(whole, (), sweep=True)
