"""``mrirecon stress`` as a user types it."""

import json
import signal
import sys

import numpy as np
import pytest

from mrirecon import cli
from mrirecon.files import Kind, found_kind
from mrirecon.fourier import fft
from mrirecon.interruption import ask
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.robustness.study import Study
from tests.robustness.cases import coil_images

FILES = ("stress.csv", "stress.json", "stress.html")
SMALL = (
    "simulation.prescription.matrix=[32,32]", "simulation.coils=3", "sampling.acs=10",
    "sampling.acceleration=2", "subjects=1",
)  # fmt: skip


def stress(monkeypatch, capsys, *words):
    """Run the command in this process; returns its exit status or message, and what it printed."""
    monkeypatch.setattr(sys, "argv", ["mrirecon", "stress", *words])
    status = 0
    try:
        cli.main()
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    return status, printed.out + printed.err


@pytest.fixture
def measured(tmp_path):
    """Two fully sampled slices of three coils, and an undersampled one."""
    rng = np.random.default_rng(0)
    kspace = fft(coil_images((40, 32), 3)).numpy()
    noise = rng.standard_normal((2, 3, 40, 32)) + 1j * rng.standard_normal((2, 3, 40, 32))
    values = (kspace[None] + 0.2 * noise).astype(np.complex64)
    (tmp_path / "scans").mkdir()
    np.save(tmp_path / "scans" / "full.npy", values)
    values = values.copy()
    values[..., 1::3] = 0
    np.save(tmp_path / "undersampled.npy", values)
    return tmp_path


def test_simulated_scans_are_stressed_and_everything_is_written(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "out"
    words = (
        "model=[zero_filled]", "methods={few: {model: cg_sense, model.iterations: 3}}",
        f"output={folder}", "shift=[noise,worst_case]", "shift.noise.levels=[2]",
        "shift.worst_case.levels=[1]", "shift.worst_case.steps=1",
    )  # fmt: skip
    status, printed = stress(monkeypatch, capsys, *words, *SMALL)
    assert status == 0, printed
    assert "wrote stress.csv, stress.json, stress.html" in printed
    assert [found_kind(folder / name) for name in FILES[1:]] == [Kind.STRESS, Kind.STRESS]
    told = json.loads((folder / "stress.json").read_text())
    assert {r["shift"] for r in told["results"]} == {"nominal", "noise", "worst_case"}
    assert told["learned"] == {"zero_filled": False, "few": False}
    assert told["methods"]["few"]["method"] == "CgSense" and told["protocol"]["name"] == "whole"
    assert told["scans"] == ["subject500000_t2.h5"] and told["seed"] == 0
    assert told["shifts"]["worst_case"]["steps"] == 1
    assert str(tmp_path) not in (folder / "stress.json").read_text()
    before = {name: (folder / name).read_bytes() for name in FILES}
    status, printed = stress(monkeypatch, capsys, *words, *SMALL)
    assert "overwrite=true" in str(status)
    assert before == {name: (folder / name).read_bytes() for name in FILES}
    again = (words[0], words[2], "shift=noise", "shift.noise.levels=[2]", "overwrite=true")
    status, _ = stress(monkeypatch, capsys, *again, *SMALL)
    assert status == 0 and before["stress.csv"] != (folder / "stress.csv").read_bytes()
    (folder / "stress.csv").write_text("mine")
    status, _ = stress(monkeypatch, capsys, *again, *SMALL)
    assert "stress.csv" in str(status) and (folder / "stress.csv").read_text() == "mine"


def test_measured_scans_tell_what_cannot_be_done(measured, monkeypatch, capsys):
    folder = measured / "out"
    status, printed = stress(
        monkeypatch, capsys, "model=zero_filled", f"input={measured / 'scans'}", "slices=2",
        f"output={folder}", "shift=[noise,contrast]", "sampling=random", "sampling.acs=8",
    )  # fmt: skip
    assert status == 0, printed
    assert "contrast: left out of it: full.npy: a measured scan cannot" in printed
    told = json.loads((folder / "stress.json").read_text())
    assert {r["shift"] for r in told["results"]} == {"nominal", "noise"}
    assert "2 slices from its middle" in told["setting"][0] and "without" not in told["setting"][1]


def test_a_file_that_cannot_be_taken_does_not_stop_the_others(measured, monkeypatch, capsys):
    (measured / "undersampled.npy").rename(measured / "scans" / "undersampled.npy")
    status, printed = stress(
        monkeypatch, capsys, "model=zero_filled", f"input={measured / 'scans'}",
        f"output={measured / 'out'}", "shift=noise", "shift.noise.levels=[2]", *SMALL,
    )  # fmt: skip
    assert "1 of 2 files failed" in str(status) and "slice 0 is undersampled" in printed
    told = json.loads((measured / "out" / "stress.json").read_text())
    assert told["scans"] == ["full.npy"] and told["warnings"] == ["1 of 2 files failed"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=zero_filled", "input={}/undersampled.npy"], "slice 0 is undersampled"),
        (["model=zero_filled", "metric=beauty"], "the protocol has no beauty; choose one of nmse"),
        (
            ["model=zero_filled", "shift=[]"],
            "shift=[]: expected a name; choose one",
        ),
        (["model=zero_filled", "shift=[noise,wobble]"], "shift=wobble: there is no such choice"),
        (["model=zero_filled", "shift.noise.level=[2]"], "did you mean levels?"),
        (["model=zero_filled", "shift=noise", "shift.noise.levels=[much]"], "a level is 'much'"),
        (["model=zero_filled", "shift=noise", "shift.noise.levels=[]"], "at least one level"),
        (["model=zero_filled", "shift=worst_case", "shift.worst_case.levels=[]"], "one level"),
        (["model=zero_filled", "shift=worst_case", "shift.worst_case.levels=[0]"], "a level is 0"),
        (["model=zero_filled", "slices=0"], "slices"),
        ([], "no method: model="),
        (["model=varnet"], "VarNet is a learned method and needs checkpoint="),
        (["model=zero_filled", "input={}/scans", "output={}/scans/full.npy"], "is a file"),
    ],
)
def test_what_makes_no_sense_is_refused(words, message, measured, monkeypatch, capsys):
    words = [word.replace("{}", str(measured)) for word in words]
    if not any(word.startswith("output=") for word in words):
        words.append(f"output={measured / 'out'}")
    status, _ = stress(monkeypatch, capsys, *words, *SMALL)
    assert message in str(status)
    assert not (measured / "out").exists()


def test_weights_that_have_seen_these_people_are_refused(tmp_path, monkeypatch, capsys):
    from mrirecon.pseudonyms import patient_pseudonym

    monkeypatch.setattr(Reconstructor, "patients", frozenset({patient_pseudonym("subject500000")}))
    words = ("model=zero_filled", f"output={tmp_path / 'out'}", "shift=noise", *SMALL)
    status, _ = stress(monkeypatch, capsys, *words)
    assert "zero_filled has learned from" in str(status) and "allow_leak=true" in str(status)


def test_an_interruption_keeps_what_is_finished(tmp_path, monkeypatch, capsys):
    whole = Study.stressed

    def interrupted(self, name):
        if name == "spikes":
            ask(signal.SIGTERM)
        yield from whole(self, name)

    monkeypatch.setattr(Study, "stressed", interrupted)
    folder = tmp_path / "out"
    status, printed = stress(
        monkeypatch, capsys, "model=zero_filled", f"output={folder}", "shift=[noise,spikes]",
        "shift.noise.levels=[2]", *SMALL,
    )  # fmt: skip
    assert status == 143 and f"what was finished is in {folder}" in printed
    told = json.loads((folder / "stress.json").read_text())
    assert {r["shift"] for r in told["results"]} == {"nominal", "noise"}
    assert "ended after 2 results" in told["warnings"][0]
    assert "ended after 2 results" in (folder / "stress.html").read_text()
