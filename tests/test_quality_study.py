"""The quality study: its statistics against other formulas, its set-up, and a run at toy size."""

import json
import pickle
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from scipy import stats

from mrirecon.config import build
from mrirecon.grammar import adapt
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.simulation import Prescription, SimulationProtocol, simulated_scans
from tests.scenes import equal

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import quality  # noqa: E402
import quality_scans  # noqa: E402
import quality_statistics as statistics  # noqa: E402
import quality_study as study  # noqa: E402


def row(label, *ssim, **others):
    scores = {"R = 4": {"ssim": list(ssim), "psnr": [30.0] * len(ssim), "nmse": [0.1] * len(ssim)}}
    scores |= {name: {"ssim": values} for name, values in others.items()}
    return statistics.Row(label, 7, 1e-3, {}, 1.0, scores)


def test_mean_interval_and_test_agree_with_scipy():
    values = np.random.default_rng(3).normal(0.05, 0.1, 9)
    found = statistics.estimate(values)
    assert found.mean == pytest.approx(values.mean())
    error = stats.sem(values)
    expected = stats.t.interval(0.95, len(values) - 1, values.mean(), error)
    np.testing.assert_allclose(found.interval, expected, atol=0.4 * error)
    assert statistics.estimate(values[:1]).interval is None
    exact = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert found.p == pytest.approx(exact.pvalue)


def test_many_patients_are_tested_by_random_signs():
    values = np.random.default_rng(4).normal(0.05, 0.1, 30)
    assert statistics.estimate(values).p == pytest.approx(
        stats.ttest_1samp(values, 0).pvalue, abs=0.01
    )
    assert statistics.estimate(np.ones(30)).p == pytest.approx(1 / 10_001)  # never zero


def test_verdicts():
    low = [0.50, 0.61, 0.55, 0.70, 0.66, 0.58]
    rows = [row("a", *low), row("b", *(v + 0.02 for v in low)), row("c", *low[::-1])]
    claims = [statistics.Claim(*pair) for pair in (("b", "a"), ("a", "b"), ("a", "c"), ("a", "d"))]
    lines = statistics.claims_table(rows, claims).splitlines()[2:]
    assert [line.split(" | ")[-1].strip(" |") for line in lines] == ["yes", "**no**", "undecided"]
    assert "+0.020 [+0.020, +0.020]" in lines[0] and "0.0312" in lines[0]  # 2 of 64 signs


def test_falls_with_acceleration_only_if_every_step_does():
    others = {"R = 2": [0.9, 0.8, 0.9], "R = 6": [0.6, 0.5, 0.6], "R = 8": [0.4, 0.4, 0.4]}
    good = row("good", 0.7, 0.7, 0.7, **others)
    bad = row("bad", 0.7, 0.7, 0.7, **others | {"R = 8": [0.7, 0.5, 0.4]})
    lines = statistics.acceleration_table([good, bad]).splitlines()[2:]
    assert lines == [
        "| good | 0.867 | 0.700 | 0.567 | 0.400 | yes |",
        "| bad | 0.867 | 0.700 | 0.567 | 0.533 | **no** |",
    ]


def test_drop_is_paired():
    table = statistics.drop_table([row("a", 0.5, 0.9, noise=[0.4, 0.8])])
    assert table.splitlines()[-1] == "| a | -0.100 [-0.100, -0.100] |"


def test_networks_have_equal_budgets_and_patients_are_in_one_set():
    scale = study.Scale()
    groups = {path.name for path in (BENCHMARKS.parent / "conf").iterdir() if path.is_dir()}
    with initialize_config_dir(str(BENCHMARKS.parent / "conf"), version_base="1.3"):
        for method in study.METHODS:
            settings = [
                *study.common(scale, 1.0, 1e-3, Path("scans")),
                *(study.sensitivity(Path("maps"), method.phased) if method.maps else []),
                *method.overrides,
            ]
            config = compose("train", [adapt(setting, groups) for setting in settings])
            model = build(config.model, Reconstructor, "model")
            count = sum(parameter.numel() for parameter in model.parameters())
            assert 0.9 < count / study.PARAMETERS < 1.1, f"{method.label}: {count}"
    counts = {"train": scale.patients, "val": scale.val, "test": scale.test}
    sets = [set(range(f, f + counts[name])) for name, f in study.FIRST.items()]
    assert not any(a & b for a, b in combinations(sets, 2))


TOY = ("--size", "32", "--patients", "2", "--val", "1", "--test", "1", "--steps", "2", "--rates",
       "0.001", "--only", "zero-filled", "U-Net")  # fmt: skip


def test_runs_and_goes_on_at_toy_size(tmp_path, monkeypatch, capsys):
    def run(*more):
        places = ("--work", str(tmp_path / "work"), "--output", str(tmp_path / "toy.json"))
        monkeypatch.setattr(sys, "argv", ["quality.py", *TOY, *more, *places])
        quality.main()
        return capsys.readouterr().out

    first = run("--slices", "1")
    assert "| U-Net > zero-filled |" in first and "T2* contrast" in first
    rows = json.loads((tmp_path / "toy.json").read_text())["rows"]
    assert [row["label"] for row in rows] == ["zero-filled", "U-Net"]
    assert rows[1]["parameters"] == 152209 and rows[1]["setting"] == 0.001
    assert all(len(s["ssim"]) == 1 for row in rows for s in row["scores"].values())
    assert run("--slices", "1").strip() == first.partition("\n\n")[2].strip()  # only the tables
    with pytest.raises(SystemExit, match="holds a study of"):
        run("--slices", "2")


def test_what_was_trained_with_other_settings_is_not_taken_for_this(tmp_path):
    weights = tmp_path / "run" / "weights"
    for settings, kept in ((["a=1"], False), (["a=1"], True), (["a=2"], False)):
        quality._claim(tmp_path / "run", settings)
        assert weights.exists() == kept
        weights.touch()


def test_stored_scans_are_read_without_running_anything(tmp_path, monkeypatch):
    protocol = SimulationProtocol(coils=2, prescription=Prescription(matrix=(32, 32), slices=2))
    first = quality_scans.stored_scans(str(tmp_path), 3, 1, protocol)
    (file,) = tmp_path.glob("*.pt")
    for one in torch.load(file, weights_only=True):
        assert isinstance(one["header"], str)
    monkeypatch.setattr(quality_scans, "simulated_scans", None)
    again = quality_scans.stored_scans(str(tmp_path), 3, 1, protocol)
    (simulated,) = simulated_scans(3, 1, protocol)
    for scans in (first, again):
        assert scans[0].header == simulated.header
        for found, wanted in zip(scans[0], simulated, strict=True):
            assert found.key == wanted.key and found.tensors().keys() == wanted.tensors().keys()
            for name, tensor in wanted.tensors().items():
                assert equal(found.tensors()[name], tensor), name
    torch.save([Path("/")], file)
    with pytest.raises(pickle.UnpicklingError):
        quality_scans.stored_scans(str(tmp_path), 3, 1, protocol)
