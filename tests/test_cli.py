"""The program as a user runs it: every command in a process of its own."""

import csv
import hashlib
import json
import os
import shlex

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import torch

from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from tests import scenes
from tests.commands import mrirecon


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Two prospectively undersampled raw files of different people, and their references."""
    folder = tmp_path_factory.mktemp("scans")
    options = AcquisitionOptions(sampling=scenes.PATTERN)
    for subject in (0, 1):
        scan = scenes.scan(subject)
        write_ismrmrd(folder / "raw" / scan.header.name, scan, options)
        write_reference(folder / "reference" / scan.header.name, scan)
    return folder


TINY = [
    "simulation.prescription.matrix=[40,36]",
    "simulation.prescription.slices=1",
    "simulation.coils=3",
    "sampling=equispaced",
    "sampling.acs=12",
    "model.cascades=1",
    "model.channels=4",
    "model.pools=2",
    "model.sensitivity.channels=2",
    "model.sensitivity.pools=2",
    "data.workers=0",
    "data.train.scans.count=2",
    "data.val.scans.count=1",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
]
PLAIN = [*TINY, "callbacks.pictures=null", "logger=csv"]
"""What is drawn takes longer than the training."""


def test_help_names_the_commands(tmp_path):
    shown = mrirecon("--help", folder=tmp_path)
    assert all(name in shown for name in ("train", "reconstruct", "evaluate", "simulate"))
    assert "unknown command 'recon'" in mrirecon("recon", folder=tmp_path, fails=True)


def test_reconstruct_and_evaluate(raw, tmp_path):
    for model, *formats in (("zero_filled", "formats=[hdf5]"), ("cg_sense",)):
        shown = mrirecon(
            "reconstruct", f"input={raw / 'raw'}", f"output={model}", f"model={model}", *formats,
            folder=tmp_path,
        )  # fmt: skip
        assert "ISMRMRD, 2 slices, 4 coils" in shown and "R = 1.5" in shown
    with h5py.File(tmp_path / "cg_sense" / "subject0000_t2.h5") as file:
        volume = file["reconstruction"][()]
        assert volume.shape == (2, 40, 36) and volume.dtype == np.float32
        assert file["provenance"].attrs["acceleration"] == pytest.approx(1.5, abs=0.1)
        assert "CgSense" in file["provenance"].attrs["config"]
    image = nibabel.load(tmp_path / "cg_sense" / "subject0000_t2.nii.gz")
    np.testing.assert_array_equal(image.get_fdata().transpose(2, 1, 0), volume)
    np.testing.assert_allclose(image.affine, scenes.scan().header.affine(), atol=1e-4)
    assert image.header["qform_code"] == image.header["sform_code"] == 1
    assert (tmp_path / "cg_sense" / "subject0000_t2.png").stat().st_size > 10_000
    told = json.loads((tmp_path / "cg_sense" / "subject0000_t2.json").read_text())
    assert told["EchoTime"] == 0.095 and "output=FOLDER" in told["mrirecon"]["Command"]
    page = (tmp_path / "cg_sense" / "subject0000_t2_qc.html").read_text(encoding="utf-8")
    assert "median SNR" in page and "ESPIRiT" in page and "reading" in page

    shown = mrirecon(
        "evaluate", f"reference={raw / 'reference'}", "reconstruction=[zero_filled,cg_sense]",
        "output=scores", folder=tmp_path,
    )  # fmt: skip
    assert "cg_sense" in shown
    rows = list(csv.DictReader((tmp_path / "scores" / "summary.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == ["zero_filled", "cg_sense"]
    assert float(rows[1]["psnr"]) > float(rows[0]["psnr"]) + 3
    report = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert len(report["scores"]) == 4 and report["summary"][0]["volumes"] == 2
    assert len(list((tmp_path / "scores").glob("comparison_*.png"))) == 2

    error = mrirecon(
        "evaluate", f"reference={raw / 'reference'}", "reconstruction=cg_sense", "output=scores",
        folder=tmp_path, fails=True,
    )  # fmt: skip
    assert "exists already; choose another output or set overwrite=true" in error


def test_partial_fourier_and_dicom(tmp_path):
    scan = scenes.scan(matrix=(48, 48), snr=200.0)
    write_ismrmrd(tmp_path / "a.h5", scan, AcquisitionOptions(partial_fourier=0.625))
    write_reference(tmp_path / "reference" / "a.h5", scan)
    mrirecon("reconstruct", "input=a.h5", "output=zero_fill", "formats=[hdf5]", folder=tmp_path)
    mrirecon(
        "reconstruct", "input=a.h5", "output=pocs", "partial_fourier=pocs",
        "formats=[hdf5,dicom,mrd]", folder=tmp_path,
    )  # fmt: skip
    assert {f.name for f in (tmp_path / "pocs").iterdir()} == {"a.h5", "a_dicom", "a_images.h5"}
    files = sorted((tmp_path / "pocs" / "a_dicom").glob("*.dcm"))
    assert len(files) == 2
    mrirecon(
        "reconstruct", "input=a.h5", "output=template", "formats=[dicom]",
        f"dicom_template={files[0]}", folder=tmp_path,
    )  # fmt: skip
    again = pydicom.dcmread(tmp_path / "template" / "a_dicom" / "0001.dcm")
    assert again.StudyInstanceUID == pydicom.dcmread(files[0]).StudyInstanceUID
    assert again.SeriesInstanceUID != pydicom.dcmread(files[0]).SeriesInstanceUID
    mrirecon(
        "evaluate", "reference=reference", "reconstruction=[zero_fill,pocs]", "output=scores",
        folder=tmp_path,
    )  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "scores" / "summary.csv").read_text().splitlines()))
    assert float(rows[1]["nmse"]) < 0.5 * float(rows[0]["nmse"])
    error = mrirecon(
        "reconstruct", "input=a.h5", "output=x", "partial_fourier=pocs", "model=zero_filled",
        folder=tmp_path, fails=True,
    )  # fmt: skip
    assert "returns magnitudes" in error
    error = mrirecon("reconstruct", "input=a.h5", "output=x", "formats=[jpg]", folder=tmp_path,
                     fails=True)  # fmt: skip
    assert "formats: expected some of hdf5, nifti, dicom, mrd, png, qc, got jpg" in error


def test_methods_are_compared_on_the_same_volumes(raw, tmp_path):
    for method in ("a", "b"):
        (tmp_path / method).mkdir()
        for file in (raw / "reference").iterdir():
            (tmp_path / method / file.name).write_bytes(file.read_bytes())
    (tmp_path / "b" / "subject0001_t2.h5").rename(tmp_path / "b" / "other.h5")
    error = mrirecon(
        "evaluate", f"reference={raw / 'reference'}", "reconstruction=[a,b]", folder=tmp_path,
        fails=True,
    )  # fmt: skip
    for problem in ("no reference for other", "a lacks other", "b lacks subject0001_t2"):
        assert problem in error
    shown = mrirecon(
        "evaluate", f"reference={raw / 'reference'}", "reconstruction={perfect: a}",
        folder=tmp_path,
    )  # fmt: skip
    assert "perfect" in shown and "1.0000" in shown


def test_bad_files_fail_one_by_one_and_nothing_is_overwritten(raw, tmp_path):
    folder = tmp_path / "mixed (1), a=b"
    folder.mkdir()
    good = raw / "raw" / "subject0000_t2.h5"
    (folder / "good.h5").write_bytes(good.read_bytes())
    (folder / "text.h5").write_text("this is not HDF5")
    (folder / "cut.h5").write_bytes(good.read_bytes()[:5000])
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    error = mrirecon("reconstruct", f"input={folder}", "output=out", folder=tmp_path, fails=True)
    assert error.count("FAILED") == 2 and "text.h5: is a text" in error and "cut.h5: " in error
    assert "2 of 3 files failed" in error
    endings = (".h5", ".nii.gz", ".json", ".png", "_qc.html")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {f"good{e}" for e in endings}
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    error = mrirecon(
        "reconstruct", f"input={folder / 'good.h5'}", "output=out", folder=tmp_path, fails=True
    )
    assert "exists already" in error
    for pattern in ("*", "good*"):
        error = mrirecon(
            "reconstruct", f"input={folder}", f"output={folder}", "overwrite=true",
            f"pattern={pattern}", folder=tmp_path, fails=True,
        )  # fmt: skip
        assert "would replace an input" in error
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    mrirecon(
        "reconstruct", f"input={folder / 'good.h5'}", "output=out", "overwrite=true",
        "formats=[hdf5]", folder=tmp_path,
    )  # fmt: skip


def test_headerless_file_with_a_mask_is_prospectively_undersampled(tmp_path):
    scan = scenes.scan()
    mask = np.zeros(36, bool)
    mask[::2] = mask[12:24] = True
    kspace = np.stack([sample.kspace.numpy() for sample in scan]) * mask
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["kspace"], file["mask"] = kspace, mask
    with h5py.File(tmp_path / "full.h5", "w") as file:
        file["kspace"] = np.stack([sample.kspace.numpy() for sample in scan])
    shown = mrirecon("reconstruct", "input=own.h5", "output=a", "formats=[hdf5]", folder=tmp_path)
    assert "R = 1.50" in shown
    shown = mrirecon(
        "reconstruct", "input=full.h5", "output=a", "formats=[hdf5]",
        "sampling=equispaced_fraction", "sampling.acs=12", "sampling.acceleration=2",
        folder=tmp_path,
    )  # fmt: skip
    assert "R = 2.12" in shown  # 17 of 36 lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reconstruct"], "input is missing; usage: mrirecon reconstruct input="),
        (["reconstruct", "scan.h5"], "expected key=value, got 'scan.h5'"),
        (
            ["reconstruct", "inptu=a", "output=o"],
            "inptu: there is no such key; did you mean input?",
        ),
        (["reconstruct", "input=.", "output=o", "modle.iterations=3"], "did you mean model?"),
        (["reconstruct", "input=.", "output=o", "overwrite=no"], "overwrite: expected bool"),
        (["reconstruct", "input=.", "output=a.txt"], "a.txt is a file, expected a folder"),
        (["reconstruct", "input=.", "output=o", "model=null"], "model: expected a node"),
        (["evaluate", "reference=."], "reconstruction is missing; usage: mrirecon evaluate"),
        (["reconstruct", "input=nowhere.h5", "output=o"], "nowhere.h5: no such file"),
        (["reconstruct", "input=.", "output=o", "model.iteration=3"], "did you mean iterations?"),
        (
            ["reconstruct", "input=.", "output=o", "model=cgsense"],
            "did you mean cg_sense?",
        ),
        (["reconstruct", "input=.", "output=o", "dicom_template=a.txt"], "formats lacks dicom"),
        (
            ["reconstruct", "input=.", "output=o", "formats=[dicom]", "dicom_template=a.txt"],
            "DICOM template a.txt cannot be read",
        ),
        (["reconstruct", "input=.", "output=o", "model=varnet"], "needs checkpoint=FILE"),
        (["reconstruct", "input=.", "output=o", "adaptation=zs_ssl"], "has no parameters to adapt"),
        (["reconstruct", "input=.", "output=o", "checkpoint=no.ckpt"], "no.ckpt is not a file"),
        (["reconstruct", "input=.", "output=o", "device=quantum"], "'quantum' cannot be used"),
        (["reconstruct", "input=.", "output=o", "device=meta"], "'meta' cannot be used; use auto"),
        (["reconstruct", "input=.", "output=o", "image=phase"], "image=complex"),
        (["reconstruct", "input=.", "output=o", "checkpoint=loop"], "loop is not a file"),
        (["reconstruct", "input=.", "output=o", "reading.noise=a (1),b=.h5"], "a text that"),
        (
            ["reconstruct", "input=.", "output=o", "formats=[dicom]", "dicom_template=pipe (1)"],
            "pipe (1) is not a file",
        ),
        (["evaluate", "reference=.", "reconstruction=."], "holds no .h5 file"),
        (["simulate", "output=o", "format=dicom"], "expected one of ismrmrd, fastmri"),
        (["simulate", "output=o", "contrasts=[t3]"], "contrasts has 't3'"),
        (["train", "model=cg_sense", *TINY[:5]], "CgSense has nothing to train"),
        (["train", "resume=no.ckpt"], "no.ckpt is not a file"),
        (["train", "data=folder", "data.train.scans.path=x"], "data.val.scans.path must be given"),
        (["train", "trainer.max_epoch=3"], "did you mean max_epochs?"),
        (["train", "trainer.accelerator=gpu", *TINY[:5]], "trainer.accelerator=gpu cannot be used"),
        (["train", "trainer.precision=64-true"], "trainer.precision: expected one of"),
        (["train", "data.batch_size=0", *TINY[:5]], "batch_size must be at least 1"),
    ],
    ids=lambda v: " ".join(v)[:60] if isinstance(v, list) else "",
)
def test_mistakes_are_explained(arguments, message, tmp_path):
    (tmp_path / "a.txt").write_text("nothing")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe (1)")
    said = mrirecon(*arguments, folder=tmp_path, fails=True)
    assert message in said and "Traceback" not in said


def test_train_resume_and_reconstruct(raw, tmp_path):
    first = ["train", *TINY, "output=run"]
    shown = mrirecon(*first, "trainer.max_epochs=1", folder=tmp_path)
    run = tmp_path / "run"
    last, best = (run / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    assert " parameters) on the CPU, everything goes to run\n" in shown
    assert "checkpoint: run/checkpoints/best.ckpt\n" in shown and "GPU available" not in shown
    expected = "config.yaml run.json csv pictures tensorboard checkpoints learning_curve.png"
    assert {f.name for f in run.iterdir()} == set(expected.split())
    assert list((run / "pictures").glob("*.png")) and list(run.glob("tensorboard/events*"))
    typed = json.loads((run / "run.json").read_text())["command"]
    assert typed == shlex.join(["mrirecon", *first, "trainer.max_epochs=1"])

    again = mrirecon(*first, folder=tmp_path, fails=True)
    assert "holds the checkpoints of an earlier run; continue it with resume=" in again
    wrong = mrirecon(*first, "model.channels=5", f"resume={last}", folder=tmp_path, fails=True)
    assert "model.channels: 4 in that run, 5 in this one" in wrong
    wrong = mrirecon(*first, "scheduler=cosine", f"resume={last}", folder=tmp_path, fails=True)
    assert "scheduler: None in that run, (nothing) in this one" in wrong
    wrong = mrirecon(*first, "optimizer.lr=0.01", f"resume={last}", folder=tmp_path, fails=True)
    assert "optimizer.lr: 0.001 in that run, 0.01 in this one" in wrong
    (tmp_path / "text.ckpt").write_text("text")
    wrong = mrirecon(*first, "resume=text.ckpt", folder=tmp_path, fails=True)
    assert "text.ckpt is not a readable PyTorch checkpoint" in wrong
    mrirecon(*first, "trainer.max_epochs=2", f"resume={last}", folder=tmp_path)
    assert torch.load(last, weights_only=True)["epoch"] == 1  # counted from zero
    histories = sorted(run.glob("csv/version_*/metrics.csv"))
    assert len(histories) == 2 and (run / "run_1.json").exists()

    mrirecon(
        "reconstruct", f"input={raw / 'raw'}", "output=varnet", f"checkpoint={best}",
        "formats=[hdf5]", folder=tmp_path,
    )  # fmt: skip
    with h5py.File(tmp_path / "varnet" / "subject0000_t2.h5") as file:
        made = dict(file["provenance"].attrs)
    digest = hashlib.sha256(best.read_bytes()).hexdigest()[:16]
    assert made["checkpoint"] == f"best.ckpt (SHA-256 {digest})" and made["method"] == "VarNet"
    assert "VarNet" in made["config"] and "CgSense" not in made["config"]
    for other in ("model=unet", "sensitivity=given", "model.cascades=2",
                  "regularizer@model.regularizer=restormer"):  # fmt: skip
        error = mrirecon(
            "reconstruct", f"input={raw / 'raw'}", "output=x", f"checkpoint={best}",
            f"+{other}" if "@" in other else other, folder=tmp_path, fails=True,
        )  # fmt: skip
        assert f"brings its own model and preprocessing; leave out {other}" in error
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    state = torch.load(best, weights_only=True)
    state["recipe"]["model"] = {"_target_": "os.system", "command": "touch pwned"}
    torch.save(state, tmp_path / "evil.ckpt")
    for file, options, message in (
        ("other.pt", ["model=varnet"], "other.pt"),
        ("evil.ckpt", [], "os.system is not a class of mrirecon"),
    ):
        error = mrirecon(
            "reconstruct", f"input={raw / 'raw'}", "output=x", f"checkpoint={file}", *options,
            folder=tmp_path, fails=True,
        )  # fmt: skip
        assert message in error
    assert not (tmp_path / "pwned").exists()


def test_a_network_is_fitted_to_each_scan(raw, tmp_path):
    shown = mrirecon(
        "reconstruct", f"input={raw / 'raw'}", "output=out", "model=varnet",
        "model.combination=sense", *[key for key in TINY if key.startswith("model.")],
        "adaptation=zs_ssl", "adaptation.steps=4", "adaptation.interval=2",
        "formats=[hdf5,nifti,qc]", folder=tmp_path,
    )  # fmt: skip
    assert "VarNet fitted to the scan" in shown and shown.count("of 4 steps") == 2
    with h5py.File(tmp_path / "out" / "subject0000_t2.h5") as file:
        told = file["provenance"].attrs["adaptation"].splitlines()
    assert "self-validation loss" in told[0] and [t.split(":")[0] for t in told[1:]] == [
        "step 0", "step 2", "step 4"
    ]  # fmt: skip
    sidecar = json.loads((tmp_path / "out" / "subject0000_t2.json").read_text())
    assert sidecar["mrirecon"]["Adaptation"] == told
    assert told[0] in (tmp_path / "out" / "subject0000_t2_qc.html").read_text(encoding="utf-8")


def test_the_last_checkpoint_is_the_last(tmp_path):
    """Also when the run gets worse and the best checkpoint stays behind."""
    mrirecon("train", *PLAIN, "trainer.max_epochs=3", "output=run", "optimizer.lr=100",
             folder=tmp_path)  # fmt: skip
    checkpoints = tmp_path / "run" / "checkpoints"
    assert {f.name for f in checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}
    assert torch.load(checkpoints / "last.ckpt", weights_only=True)["epoch"] == 2


def test_train_on_a_folder_of_raw_files(tmp_path):
    for subject, split in ((0, "train"), (1, "val")):
        write_fastmri(tmp_path / split / f"file{subject}.h5", scenes.scan(subject, slices=1))
    model = [k for k in PLAIN if not k.startswith(("simulation", "data.train", "data.val"))]
    model.remove("model.cascades=1")
    common = ["train", "data=folder", *model, "model.cascades=1", "trainer.max_epochs=1"]
    shown = mrirecon(
        *common, "data.train.scans.path=train", "data.val.scans.path=val", "objective=ssim_l1",
        folder=tmp_path,
    )  # fmt: skip
    assert "val/ssim" in shown
    error = mrirecon(
        *common, "data.train.scans.path=train", "data.val.scans.path=train", "output=refused",
        folder=tmp_path, fails=True,
    )  # fmt: skip
    assert "share the subjects subject0000" in error and "split by patient" in error


def test_every_job_of_a_sweep_has_a_folder_of_its_own(raw, tmp_path):
    given = "reconstruct", "-m", f"input={raw / 'raw'}/*_t*.h5", "formats=[hdf5]"
    models = "model=zero_filled,adaptive_combine"
    mrirecon(*given, models, "output=out/${hydra:runtime.choices.model}", folder=tmp_path)
    found = {str(f.relative_to(tmp_path)) for f in tmp_path.glob("out/**/*.h5")}
    names = [f.name for f in (raw / "raw").iterdir()]
    jobs = ("zero_filled/0", "adaptive_combine/1")
    assert found == {f"out/{job}/{name}" for job in jobs for name in names} and len(names) == 2
    for output, reason in (
        ("o/${model}", "refers to a whole group"), ("o/${nix}", "'nix' not found"),
    ):  # fmt: skip
        error = mrirecon(*given, models, f"output={output}", folder=tmp_path, fails=True)
        assert reason in error and not list(tmp_path.glob("o/*"))
    # after an interruption what is there stays, and what is missing is made
    lost = tmp_path / "out" / "zero_filled" / "0" / names[0]
    kept = tmp_path / "out" / "zero_filled" / "0" / names[1]
    lost.unlink()
    before = kept.stat().st_mtime_ns
    shown = mrirecon(
        "reconstruct", f"input=[{raw}/raw/{names[0]},{raw}/raw/{names[1]}]", "formats=[hdf5]",
        "model=zero_filled", "existing=skip", "output=out/zero_filled/0", folder=tmp_path,
    )  # fmt: skip
    assert f"{names[1]}: all outputs are there" in shown
    assert lost.is_file() and kept.stat().st_mtime_ns == before


def test_devices_without_complex_numbers_are_refused(raw, tmp_path):
    error = mrirecon(
        "reconstruct", f"input={raw / 'raw'}", "output=o", "device=mps", folder=tmp_path, fails=True
    )
    assert error.count("\n") == 1 and "lacks complex" in error
