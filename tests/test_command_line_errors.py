"""What is wrong with a command line is told in one line, whoever finds it out."""

import os
import re
import sys

import pytest

from mrirecon import cli
from mrirecon.commands.trainer_flags import check_flags
from mrirecon.errors import ConfigError, OutputError, RawDataError
from mrirecon.readers import open_scan
from mrirecon.writers.dicom import read_template
from tests.test_config import composed

BARE = ("input=nowhere.h5", "output=out", "model=zero_filled")


def told(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["mrirecon", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    text = str(end.value.code)
    assert "HYDRA_FULL_ERROR" not in text and "search path" not in text and "Traceback" not in text
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hydra/sweeper=optuna", "hydra/sweeper=optuna needs the package hydra-optuna-sweeper"),
        ("hydra/sweeper=ax", "pip install hydra-ax-sweeper"),
        ("hydra/launcher=slurm", "pip install hydra-submitit-launcher"),
        ("hydra/launcher=joblib", "pip install hydra-joblib-launcher"),
        ("hydra/launcher=slrm", "no such choice; did you mean slurm?"),
        ("hydra.foo=1", "'hydra.foo'; Key 'foo' is not in struct|Key 'foo' not in"),
        ("model=", "model=: there is no such choice; choose one of adaptive_combine"),
        ("model={a:1}", "Could not override 'model'"),
        ("model=[1]", r"model=\[1\]: expected a name; choose one of adaptive_combine"),
        ("sampling=[]", r"sampling=\[\]: expected a name"),
        ("model.iterations=[1", r"cannot read model.iterations=\[1; "),
        ("trust={a:1}", "Error merging override trust={a:1}; Cannot merge"),
        ("~sed", "'sed' does not exist"),
        ("=3", "expected key=value, got '=3'"),
        ("--multrun", "there is no option --multrun; did you mean --multirun?"),
        ("--config-name", "expected a value after --config-name"),
        ("--config-name=mine", "--config-name mine: there is no such file"),
        ("--config-dir=nowhere", "nowhere' not found"),
        ("--resolve", "--cfg"),
        ("reading=none", "nowhere.h5|reading: expected a node"),
    ],
)
def test_one_line(monkeypatch, tmp_path, word, message):
    monkeypatch.chdir(tmp_path)
    text = told(monkeypatch, "reconstruct", *BARE, word)
    assert text.startswith("mrirecon reconstruct: ")
    assert re.search(message, text), text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trainer=null", "trainer=null: this command needs one"),
        ("preprocessing=null", "preprocessing=null: this command needs one"),
        ("callbacks.early_stoping=null", "callbacks.early_stoping=null has no effect: there is no "
         "such part; there are average, best, compilation, curve, early_stopping, last"),
        ("logger.cvs=null", "there is no such part; there are csv, mlflow, tensorboard, wandb"),
        ("output=null", "output"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_away(monkeypatch, tmp_path, word, message):
    monkeypatch.chdir(tmp_path)
    text = told(monkeypatch, "train", "output=out", word)
    assert text.startswith("mrirecon train: ") and message in text
    assert not list(tmp_path.glob("out/*"))


def test_a_command_that_is_not_there(monkeypatch):
    for typed, meant in (("trian", "train"), ("Reconstruct", "reconstruct"), ("chek", "check")):
        monkeypatch.setattr(sys, "argv", ["mrirecon", typed, "--help"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert f"unknown command {typed!r}; did you mean {meant}?\n" in str(end.value.code)


def test_settings_that_are_no_nodes(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.h5").write_bytes(b"x")
    text = told(monkeypatch, "reconstruct", "input=a.h5", *BARE[1:], "reading=none")
    assert "reading: expected a node with a _target_, got 'none'" in text


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "file").write_bytes(b"x")
    return ("loop", "loop/x.h5", "dangling", "n" * 300, "~nobodyhere/x")


COMMANDS = (
    ("inspect", "{}"),
    ("check", "{}"),
    ("split", "{}", "o"),
    ("pack", "{}", "o"),
    ("convert", "{}", "o"),
    ("convert", "file", "{}"),
    ("compare", "{}"),
    ("reconstruct", "input={}", "output=o"),
    ("reconstruct", "input=file", "output={}", "model=zero_filled"),
    ("reconstruct", "input=file", "output=o", "checkpoint={}"),
    ("maps", "input={}", "output=o"),
    ("maps", "input=file", "output={}"),
    ("evaluate", "reference={}", "reconstruction=o"),
    ("train", "checkpoint={}", "output=o"),
    ("train", "data=folder", "data.train.scans.path={}", "data.val.scans.path=file", "output=o"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_paths_that_lead_nowhere(monkeypatch, capfd, paths, tmp_path, words):
    """Which error a system call gives differs between versions of Python."""
    for path in paths if words[0] != "train" else paths[::2]:
        monkeypatch.setattr(sys, "argv", ["mrirecon", *(word.format(path) for word in words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code not in (0, None), path
        captured = capfd.readouterr()
        lines = (captured.err + str(end.value.code)).strip().splitlines()
        assert len(lines) <= 3 and "Traceback" not in captured.err, path
    left = {found.name for found in tmp_path.iterdir()} - ({"o"} if words[0] == "train" else set())
    assert left == {"dangling", "file", "loop"}


def test_a_checkpoint_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "best.ckpt").write_bytes(b"")
    text = told(monkeypatch, "train", "checkpoint=~/best.ckpt", f"output={tmp_path}/o")
    assert text.endswith("best.ckpt is not a readable PyTorch checkpoint: the file is empty; "
                         "copy it again")  # fmt: skip


def test_what_needs_a_gpu_says_what_to_do_without(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "a.h5").write_bytes(b"x")
    text = told(monkeypatch, "train", "trainer=fsdp", "output=o")
    assert "trainer=default takes a GPU" in text
    assert composed("train", "trainer=all_gpus").trainer.accelerator == "gpu"
    reasons = {None: "installed without support of GPUs", "12.6": "check that nvidia-smi lists it"}
    for version, reason in reasons.items():
        monkeypatch.setattr("torch.version.cuda", version)
        for accelerator in ("gpu", "cuda"):
            with pytest.raises(ConfigError, match="trainer=default takes a GPU") as error:
                check_flags({"accelerator": accelerator})
            assert reason in str(error.value)
        text = told(monkeypatch, "reconstruct", "input=a.h5", "output=o", "device=cuda:1")
        assert reason in text and "device=auto" in text


def test_pipes_are_no_raw_files_and_no_templates(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RawDataError, match="is a pipe or a device"):
        open_scan(tmp_path / "pipe")
    with pytest.raises(OutputError, match="is not a file"):
        read_template(tmp_path / "pipe")
