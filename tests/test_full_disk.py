"""Full and read-only disks: one message, nothing half written, and a training that goes on."""

import math
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from mrirecon.data.packing import Packing, pack
from mrirecon.errors import OutputError
from mrirecon.figures.curve import Point, learning_curve
from mrirecon.hdf5_output import created_hdf5
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from mrirecon.training.callbacks.forgiving import forgiving
from mrirecon.training.callbacks.progress import EpochLines, LearningCurve
from mrirecon.training.callbacks.sample_pictures import SamplePictures
from mrirecon.training.checkpoint_files import AtomicCheckpoints
from tests import scenes
from tests.test_cli import TINY, mrirecon
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists"),
]
OPTIONS = AcquisitionOptions(sampling=scenes.PATTERN)
WRITERS = {
    "ismrmrd": lambda path, scan: write_ismrmrd(path, scan, OPTIONS, overwrite=True),
    "fastmri": lambda path, scan: write_fastmri(path, scan, OPTIONS, overwrite=True),
    "reference": lambda path, scan: write_reference(path, scan, overwrite=True),
    "packed": lambda path, scan: pack(scan, path, Packing(), overwrite=True),
}


@pytest.fixture
def limit():
    """Set how large files may become, which fails as a full disk does."""

    def set_limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    yield set_limit
    set_limit(resource.RLIM_INFINITY)


@pytest.mark.parametrize("name", WRITERS)
def test_hdf5_on_a_full_disk_is_an_error_and_no_crash(name, limit, tmp_path):
    path, scan = tmp_path / "scan.h5", scenes.scan(0, slices=1)
    WRITERS[name](path, scan)
    good = path.read_bytes()
    for part in (0.02, 0.3, 0.6, 0.95, 1 - 1 / len(good)):
        limit(max(200, int(part * len(good))))  # the mark beside the file is written first
        with pytest.raises(OutputError, match=r"scan.h5 cannot be written: .*File too large"):
            WRITERS[name](path, scan)
        limit(resource.RLIM_INFINITY)
        assert path.read_bytes() == good and list(tmp_path.iterdir()) == [path]


def test_what_follows_from_a_full_disk_is_told_as_a_full_disk(limit, tmp_path):
    """The library may read again what was never written, and complain about that."""
    with (
        pytest.raises(OSError, match="File too large"),
        created_hdf5(tmp_path / "a.h5") as file,
    ):
        limit(100)
        file["a"] = np.ones(100)
        file.flush()
        raise KeyError("bad object header version number")
    limit(resource.RLIM_INFINITY)
    with pytest.raises(KeyError, match="own"), created_hdf5(tmp_path / "a.h5"):
        raise KeyError("own")


@pytest.mark.parametrize("options", [["output=file/run"], ["-m", "output=file"]])
def test_train_needs_a_folder(options, tmp_path):
    (tmp_path / "file").write_text("precious")
    told = mrirecon("train", *TINY, *options, folder=tmp_path, fails=True)
    assert "mrirecon train: output: " in told and "file is a file, expected a folder" in told
    assert (tmp_path / "file").read_text() == "precious"


def test_a_full_disk_keeps_the_checkpoint_before(limit, tmp_path):
    class Filled(runs.pl.Callback):
        def on_train_epoch_start(self, trainer, _module):
            if trainer.current_epoch == 1:
                limit(1000)

    saved = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False)
    with pytest.raises(OutputError, match=r"last.ckpt cannot be written: .*File too large"):
        runs.fit(
            tmp_path, runs.varnet(), 3, callbacks=[Filled(), saved], enable_checkpointing=True,
            plugins=[AtomicCheckpoints()],
        )  # fmt: skip
    limit(resource.RLIM_INFINITY)  # pytest may write into a file, too
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 0
    assert [f.name for f in tmp_path.iterdir()] == ["last.ckpt"]


def test_pictures_and_loggers_that_fail_are_told_once(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    (tmp_path / "csv").write_text("a file where a folder should be")
    loggers = [TensorBoardLogger(tmp_path, "tb"), CSVLogger(tmp_path, "csv", version="x")]
    callbacks = [
        SamplePictures(str(tmp_path), 1),
        LearningCurve(str(tmp_path / "c.png")),
        EpochLines(),
    ]
    trainer, module = runs.fit(
        tmp_path, runs.varnet(), 2, callbacks=callbacks, logger=[forgiving(x) for x in loggers]
    )
    assert trainer.current_epoch == 2 and all(p.isfinite().all() for p in module.parameters())
    shown = capsys.readouterr()
    for name in ("SamplePictures", "LearningCurve", "TensorBoardLogger", "CSVLogger"):
        assert shown.err.count(f"WARNING {name} failed (") == 1
    assert "No space left on device" in shown.err and isinstance(loggers[0], TensorBoardLogger)
    lines = [line for line in shown.out.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2 and lines[1].startswith("epoch 2 of 2: train/loss 0.")


def test_the_learning_curve_of_a_resumed_run_begins_with_the_run(tmp_path):
    def fit(epochs, resume=None):
        curve, saved = LearningCurve(str(tmp_path / "c.png")), ModelCheckpoint(tmp_path / "c")
        runs.fit(
            tmp_path, runs.varnet(), epochs, callbacks=[curve, saved], resume=resume,
            enable_checkpointing=True,
        )  # fmt: skip
        return curve.curves, saved.best_model_path

    whole, _ = fit(2)
    _, checkpoint = fit(1)
    resumed, _ = fit(2, checkpoint)
    assert resumed == whole and (tmp_path / "c.png").is_file()
    assert [(p.epoch, p.updates) for p in whole["train/loss"]] == [(1, 3), (2, 6)]
    assert set(whole) == {"train/loss", "val/nmse", "val/psnr", "val/ssim"}


def test_the_learning_curve_has_units_and_a_legend():
    points = [Point(1, 40, 20.0), Point(2, 80, 25.0)]
    figure = learning_curve({"train/loss": points, "val/loss": points, "val/psnr": points})
    loss, psnr = figure.axes
    assert loss.get_ylabel() == "loss" and psnr.get_ylabel() == "PSNR / dB"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]
    assert psnr.lines[0].get_xydata().tolist() == [[1, 20], [2, 25]]
    assert learning_curve({"val/loss": [Point(0.5, 0, math.nan)]}).axes


def test_a_run_writes_its_files_once(tmp_path):
    path = Path(tmp_path / "deep" / "last.ckpt")
    AtomicCheckpoints().save_checkpoint({"a": torch.ones(2)}, path)
    assert torch.load(path, weights_only=True)["a"].tolist() == [1, 1]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        AtomicCheckpoints().save_checkpoint({}, tmp_path / "file" / "last.ckpt")
