"""Phase contrast: velocities from phases, their errors, and the command that writes them."""

import csv
import math
import re
import sys

import h5py
import numpy as np
import pytest
import torch

from mrirecon import cli
from mrirecon.commands.velocity import _errors
from mrirecon.errors import ShapeError
from mrirecon.files import Kind, mark_hdf5
from mrirecon.metrics import (
    phase_difference,
    phase_error,
    velocity,
    velocity_bias,
    velocity_error,
)
from mrirecon.raw.header import parse_header
from mrirecon.raw.header_text import header_text
from mrirecon.writers.velocity_file import VelocityImages


def images(speed, venc, size=(2, 8, 6)):
    """Two encodings of an object with any phase that moves with one speed."""
    generator = torch.Generator().manual_seed(0)
    still = torch.randn(size, dtype=torch.complex64, generator=generator)
    return still * torch.exp(1j * math.pi * speed / venc * torch.ones(size)), still


@pytest.mark.parametrize(
    ("speed", "venc", "expected"),
    [(30, 100, 30), (-99, 100, -99), (130, 100, -70), (-250, 200, 150), (0, 5, 0)],
)
def test_velocities_come_from_phases_and_wrap_at_their_limit(speed, venc, expected):
    encoded, still = images(speed, venc)
    found = velocity(encoded, still, venc)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=1e-3)
    louder = velocity(3 * encoded, 0.1 * still, venc)
    torch.testing.assert_close(louder, found, rtol=0, atol=1e-3)
    radians = phase_difference(encoded, still)
    torch.testing.assert_close(radians, found * math.pi / venc, rtol=0, atol=1e-4)
    assert velocity(0 * encoded, still, venc).eq(0).all()


def test_errors_are_those_around_the_circle_and_in_the_mask():
    expected = torch.tensor([[95.0, 0.0], [-98.0, 10.0]])
    found = torch.tensor([[-99.0, 3.0], [97.0, 10.0]])  # off by 6, 3, -5, 0
    assert velocity_error(found, expected, 100.0) == pytest.approx(math.sqrt(70 / 4), rel=1e-6)
    assert velocity_bias(found, expected, 100.0) == pytest.approx(1.0, rel=1e-5)
    where = torch.tensor([[True, True], [False, False]])
    assert velocity_error(found, expected, 100.0, where) == pytest.approx(math.sqrt(45 / 2))
    radians = math.pi / 100
    error = phase_error(found * radians, expected * radians)
    assert error == pytest.approx(math.sqrt(70 / 4) * radians, rel=1e-5)
    assert phase_error(torch.tensor([0.1]), torch.tensor([0.1 + 2 * math.pi])) < 1e-5


def test_what_is_no_velocity_is_refused():
    x = torch.zeros(2, 2)
    for venc in (0.0, -5.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="venc must be a velocity above zero"):
            velocity(x + 0j, x + 0j, venc)
    with pytest.raises(ShapeError, match="must share a shape"):
        velocity_error(x, torch.zeros(2), 1.0)
    with pytest.raises(ShapeError, match="no pixel counts"):
        phase_error(x, x, x > 1)


def stored(folder, name, volume, **told):
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file.attrs.update(told)
        file["reconstruction"] = np.abs(volume)
        if np.iscomplexobj(volume):
            file["reconstruction_complex"] = volume
        mark_hdf5(file, Kind.VOLUME)


def run(monkeypatch, *words, command="velocity"):
    monkeypatch.setattr(sys, "argv", ["mrirecon", command, *map(str, words)])
    cli.main()


def test_the_command_writes_velocities_and_tells_their_errors(tmp_path, monkeypatch, capsys):
    disc = np.hypot(*np.mgrid[-16:16, -16:16]) < 10
    object_ = np.where(disc, 1.0, 0.0)[None].astype(np.complex64)
    for folder, error in (("full", 0.0), ("few", 6.0)):
        for number, speed in ((1, 0.0), (2, 40.0), (3, -145.0)):
            phase = np.pi * (speed - error * (number > 1)) / 150.0
            stored(tmp_path / folder, f"aorta_set-{number}", object_ * np.exp(1j * phase))
    few, out = f"input={tmp_path / 'few'}", f"output={tmp_path / 'out'}"
    run(monkeypatch, few, out, "venc=150", f"reference={tmp_path / 'full'}")
    told = capsys.readouterr().out
    assert re.search(r"aorta_set-2: error of the velocity 6\.00 cm/s, mean -6\.00 cm/s", told)
    assert f"{6 * math.pi / 150:.4f} rad, in {disc.sum()} voxels" in told
    assert "aorta_set-3: error of the velocity 6.00 cm/s" in told and "wrote 2 files" in told
    with h5py.File(tmp_path / "out" / "aorta_set-3_velocity.h5") as file:
        speeds = file["velocity"][0][disc]
        assert np.allclose(speeds, 149.0, atol=1e-3)  # -151 is beyond the limit
        assert file.attrs["venc_cm_s"] == 150 and np.allclose(file["reconstruction"][0], disc)
    with pytest.raises(SystemExit, match="exists already"):
        run(monkeypatch, few, out, "venc=150")
    run(monkeypatch, few, out, "venc=75", "overwrite=true", "still=2")
    assert (
        "aorta_set-1: velocities of the foreground -17.0 to -17.0 cm/s" in capsys.readouterr().out
    )


def test_the_command_says_what_it_lacks(tmp_path, monkeypatch):
    full = np.ones((1, 8, 8), np.complex64)
    stored(tmp_path / "one", "scan", full)
    stored(tmp_path / "real", "scan_set-1", full.real)
    stored(tmp_path / "real", "scan_set-2", full.real)
    stored(tmp_path / "odd", "scan_set-1", full)
    stored(tmp_path / "odd", "scan_set-2", full[:, :4])
    out = f"output={tmp_path / 'out'}"
    for folder, words, told in (
        ("one", ("venc=9",), "found no series of several sets"),
        ("real", ("venc=9", "still=3"), "of which one is set 3"),
        ("real", ("venc=9",), "reconstruct with image=complex"),
        ("odd", ("venc=9",), "expected the same slices and frames"),
        ("odd", ("venc=0",), "venc must be a velocity above zero"),
        ("odd", (), "venc"),
        ("odd", ("venc=9", f"reference={tmp_path / 'one'}"), "holds no scan_set-2"),
    ):
        with pytest.raises(SystemExit, match=told):
            run(monkeypatch, f"input={tmp_path / folder}", out, *words)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def flows(folder, errors=None, venc=150.0, **told):
    """Store a disc with a vessel in it, at rest and moving, as each method has it."""
    disc, vessel = (np.hypot(*np.mgrid[-16:16, -16:16]) < radius for radius in (10, 4))
    noise = np.random.default_rng(0).uniform(-np.pi, np.pi, disc.shape)  # phase of the background
    for method, error in (errors or {"full": 0.0, "few": 6.0}).items():
        for number in (1, 2):
            speed = (number == 2) * (40.0 * vessel - error * disc)
            phase = np.where(disc, np.pi * speed / venc, noise * (number + error))
            image = np.where(disc, 1.0, 1e-3)[None] * np.exp(1j * phase)
            stored(folder / method, f"aorta_set-{number}", image.astype(np.complex64), **told)
    return [f"reference={folder / 'full'}", f"reconstruction={folder / 'few'}"]


def test_evaluate_scores_velocities_beside_magnitudes(tmp_path, monkeypatch, capsys):
    words = flows(tmp_path)
    stored(tmp_path / "full", "knee", np.ones((1, 32, 32), np.complex64))
    stored(tmp_path / "few", "knee", np.ones((1, 32, 32), np.complex64))
    out = tmp_path / "scores"
    run(monkeypatch, *words, f"output={out}", "venc=150", "pictures=0", command="evaluate")
    told = capsys.readouterr().out
    assert "velocities up to 150 cm/s, in the foreground" in told
    (row,) = csv.DictReader((out / "scores.csv").read_text().splitlines())
    assert row["volume"] == "aorta_set-2" and float(row["ssim"]) == pytest.approx(1, abs=1e-6)
    assert float(row["velocity_error"]) == pytest.approx(6, rel=1e-4)
    assert float(row["velocity_bias"]) == pytest.approx(-6, rel=1e-4)
    assert float(row["phase_error"]) == pytest.approx(6 * math.pi / 150, rel=1e-4)
    run(monkeypatch, *words, command="evaluate")
    assert "velocity" not in capsys.readouterr().out


def test_the_velocity_of_an_encoding_is_found_in_the_files(tmp_path, monkeypatch, capsys):
    words = flows(tmp_path / "told", venc=80.0, sequence_velocity_encoding=80.0)
    run(monkeypatch, *words, "venc=file", "metrics=nmse", command="evaluate")
    assert "velocities up to 80 cm/s" in capsys.readouterr().out
    folders = f"input={tmp_path / 'told/few'}", f"output={tmp_path / 'out'}"
    run(monkeypatch, *folders, f"reference={tmp_path / 'told/full'}")
    assert "error of the velocity 6.00 cm/s" in capsys.readouterr().out
    words = flows(tmp_path / "silent")
    for more, message in (
        (["venc=file"], "does not tell the velocity"),
        (["venc=0"], "venc must be a velocity above zero"),
        (["venc=80", "still=3"], "found no series of several sets"),
    ):
        with pytest.raises(SystemExit, match=message):
            run(monkeypatch, *words, *more, command="evaluate")


def test_user_parameters_tell_the_velocity_of_an_encoding():
    one = "<userParameter{0}><name>{1}</name><value>{2}</value></userParameter{0}>"
    text = "<ismrmrdHeader><encoding/><userParameters>{}</userParameters></ismrmrdHeader>"
    for kind, name, value, venc in (
        ("Double", "venc", "150.0", 150.0), ("Long", "VENC", "80", 80.0),
        ("String", "FlowVenc", "60", 60.0), ("Long", "venc", "0", None),
        ("Double", "other", "1", None),
    ):  # fmt: skip
        header = parse_header(text.format(one.format(kind, name, value)))
        assert header.sequence.velocity_encoding == venc
        assert parse_header(header_text(header)).velocity_encoding == venc


def test_velocities_of_large_series_are_told():
    speed = torch.zeros(1, 4200, 4200)  # more numbers than torch.quantile takes
    speed[..., :100] = 7.0
    told = _errors(VelocityImages(speed, torch.ones_like(speed), 150.0), None)
    assert told.startswith("velocities of the foreground 0.0 to 7.0 cm/s")
