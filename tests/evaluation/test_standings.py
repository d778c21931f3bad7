"""Scores of volumes become a ranking over patients; files tell how their volumes were made."""

import json
import shutil
import sys

import h5py
import numpy as np
import pytest
import torch

import mrirecon as mr
from mrirecon import cli
from mrirecon.errors import RawDataError
from mrirecon.evaluation.origins.origin import MUST_AGREE, SHOULD_AGREE, disagreements, read_origin
from mrirecon.evaluation.scores.protocol import Protocol, Score
from mrirecon.evaluation.tables.standings import (
    equal_methods,
    per_patient,
    ranking_lines,
    standings,
    too_few,
)
from mrirecon.networks import NoiseLevelUnet
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.reconstructors import HqsNet
from mrirecon.sampling import EquispacedLines
from mrirecon.sensitivity import Espirit
from mrirecon.simulation.raw_files import write_ismrmrd
from tests import scenes


def scores(patients=8, volumes=2, gain=0.05):
    rng = np.random.default_rng(0)
    found = []
    for patient in range(patients):
        level = rng.uniform(0.7, 0.9)
        for number in range(volumes):
            for method, ahead in (("good", gain), ("bad", 0.0)):
                ssim = level + ahead + rng.normal(0, 0.002)
                values = {"ssim": ssim, "nmse": 1 - ssim, "psnr": 30 * ssim}
                found.append(Score(method, f"p{patient}v{number}", values))
    return found


def owners(found):
    return {score.volume: score.volume[:2] for score in found}


def test_volumes_of_one_patient_count_once():
    found = scores()
    table = per_patient(found, owners(found), "ssim")
    expected = np.mean([s.values["ssim"] for s in found if s.method == "good"][:2])
    assert table["good"]["p0"] == pytest.approx(expected) and len(table["bad"]) == 8
    infos = Protocol().infos
    everywhere = standings(found, owners(found), infos)
    assert {one.metric for one in everywhere} == {"nmse", "psnr", "ssim"}
    assert all(one.ranking.methods == ("good", "bad") for one in everywhere)
    one = next(s for s in standings(found, owners(found), infos) if s.metric == "ssim")
    assert one.patients == 8 and one.ranking.letters == ("a", "b")
    assert one.text(infos["ssim"]) == "by SSIM, 8 patients: good (a), bad (b)"
    pair = json.loads(json.dumps(one.facts()))["comparisons"][0]
    assert pair["better"] == "good" and pair["difference"] == pytest.approx(0.05, abs=0.005)
    # many volumes of few patients are few
    few = scores(patients=2, volumes=6)
    assert standings(few, owners(few), infos)[0].ranking.letters == ("a", "a")
    assert standings(few, {}, infos)[0].ranking.letters == ("a", "b")


def test_orders_are_told_of_enough_patients():
    infos = Protocol().infos
    enough, few = (standings(scores(patients=n, volumes=1), {}, infos) for n in (6, 5))
    assert ranking_lines(enough, infos)[2] == "by SSIM, 6 patients: good (a), bad (b)"
    assert "share a letter" in ranking_lines(enough, infos)[-1]
    assert ranking_lines(few, infos) == [too_few(few)]
    assert too_few(few).startswith("5 patients cannot tell 2 methods apart")
    assert too_few(few).endswith("is 0.062")
    assert ranking_lines([], infos) == []


@pytest.mark.parametrize(
    ("methods", "patients", "told"), [(2, 6, True), (3, 6, False), (3, 7, True), (5, 8, False)]
)
def test_more_methods_need_more_patients(methods, patients, told):
    """Holm's correction is by the number of pairs, whose least p-value is 2 / 2^patients."""
    found = [
        Score(f"m{m}", f"v{p}", {"ssim": 0.5 + 0.1 * m + 0.001 * p})
        for m in range(methods)
        for p in range(patients)
    ]
    infos = {"ssim": Protocol().infos["ssim"]}
    (one,) = standings(found, {}, infos)
    least = min(pair.p for pair in one.ranking.comparisons)
    pairs = methods * (methods - 1) // 2
    assert least == one.smallest_p == pytest.approx(pairs * 2.0 ** (1 - patients))
    assert one.tells == told and ("(a)" in ranking_lines([one], infos)[0]) == told
    if not told:
        assert (
            f"{patients} patients cannot tell {methods} methods" in ranking_lines([one], infos)[0]
        )


def test_what_has_no_order_or_is_the_same_twice_is_told():
    found = [
        Score(s.method, s.volume, {**s.values, "psnr": np.inf if s.method == "good" else 30.0})
        for s in scores(volumes=1)
    ]
    infos = Protocol().infos
    lines = ranking_lines(standings(found, {}, infos), infos)
    assert lines[2] == "by PSNR: no order, as no patient has a finite value of every method"
    assert equal_methods(found) == []
    twin = [Score("twin", s.volume, s.values) for s in found if s.method == "bad"]
    assert "of bad and twin are equal" in equal_methods([*found, *twin[::-1]])[0]


def test_what_is_infinite_is_left_out_for_all_methods():
    found = scores(volumes=1)
    found[0] = Score("good", found[0].volume, {**found[0].values, "psnr": np.inf})
    infos = Protocol().infos
    by_name = {one.metric: one for one in standings(found, {}, infos)}
    assert (by_name["psnr"].patients, by_name["psnr"].left_out) == (7, 1)
    assert by_name["psnr"].text(infos["psnr"]).endswith("(1 patients left out)")
    assert by_name["ssim"].left_out == 0
    assert standings([s for s in found if s.method == "bad"], {}, infos) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two methods on the same scan, and one with fewer samples."""
    folder = tmp_path_factory.mktemp("made")
    raw = folder / "a.h5"
    write_ismrmrd(raw, scenes.scan(slices=1, snr=30.0))
    origins = {}
    for name, (model, sampling) in {
        "cg": ("cg_sense", None),
        "zero": ("zero_filled", None),
        "fewer": ("cg_sense", EquispacedLines(2, acs=12)),
    }.items():
        (series,) = mr.reconstruct_series(raw, model, sampling=sampling)
        series.save(folder / f"{name}.h5")
        origins[name] = {"v": read_origin(folder / f"{name}.h5")}
    return folder, origins


def test_files_tell_how_they_were_made(made):
    _, origins = made
    cg = origins["cg"]["v"]
    assert (cg.method, cg.maps[:8], cg.preprocessing[:9]) == ("CgSense", "Espirit(", "Normalize")
    assert cg.acceleration >= 1 and min(cg.acs) > 0 and cg.pattern and cg.fingerprint
    assert cg.seconds_per_plane > 0 and cg.memory > 10 and "torch" in cg.versions and cg.patient
    assert disagreements({name: origins[name] for name in ("cg", "zero")}) == []
    told = disagreements(origins)
    assert [sentence.split()[0] for sentence in told] == ["acceleration", "acs"][: len(told)]
    assert "cg 1.000" in told[0] and "fewer" in told[0]


def test_other_facts_are_told_apart_from_the_task(made):
    _, origins = made
    cut = {**origins, "other": {"v": origins["cg"]["v"].__class__(maps="LowResolution()")}}
    assert disagreements(cut, SHOULD_AGREE)[0].startswith("maps differs in 1 volumes, as in v: cg")
    nothing = {"a": {"v": origins["cg"]["v"].__class__()}, "b": origins["cg"]}
    assert disagreements(nothing, MUST_AGREE) == []  # what is not told differs from nothing


def test_files_of_others_tell_little(tmp_path):
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["reconstruction"] = np.ones((1, 4, 4), np.float32)
        file.attrs["patient_id"] = "P7"
    assert read_origin(path).patient == "P7" and read_origin(path).method == ""
    with h5py.File(path, "a") as file:
        group = file.create_group("provenance")
        group.attrs["config"] = "!!python/object/apply:os.system ['touch boom']"
        group.attrs["acceleration"], group.attrs["acs"] = "many", [1.5, 2]
    assert read_origin(path).acceleration == 0 and read_origin(path).acs is None
    path.write_bytes(b"no file")
    with pytest.raises(RawDataError, match=r"v\.h5"):
        read_origin(path)


def test_the_command_warns_of_different_tasks_and_ranks(made, tmp_path, monkeypatch, capsys):
    folder, _ = made
    for name in ("cg", "zero", "fewer", "reference"):
        (tmp_path / name).mkdir()
        source = folder / ("cg.h5" if name == "reference" else f"{name}.h5")
        shutil.copy(source, tmp_path / name / "a.h5")
    words = [
        "evaluate", f"reference={tmp_path}/reference", f"output={tmp_path}/out",
        f"reconstruction=[{tmp_path}/cg,{tmp_path}/zero,{tmp_path}/fewer]", "pictures=0",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["mrirecon", *words])
    cli.main()
    told = capsys.readouterr()
    assert "WARNING: acceleration differs in 1 volumes" in told.err
    assert "1 patients cannot tell 3 methods apart" in told.out
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (
        report["made"]["patients"] == 1 and report["made"]["methods"]["cg"]["method"] == "CgSense"
    )
    assert report["made"]["methods"]["fewer"]["acceleration"] > 1.4
    assert {one["metric"] for one in report["standings"]} == {"nmse", "ssim"}  # PSNR is infinite


def test_scores_on_patients_of_the_training_are_refused(made, tmp_path, monkeypatch, capsys):
    """The checkpoint tells whom it has learned from; so does the volume of one of them."""
    folder, _ = made
    person = patient_pseudonym(mr.open_scan(folder / "a.h5").header.subject)
    model = HqsNet(Espirit(), NoiseLevelUnet((4, 6), 1, images=2), iterations=1)
    nodes = {
        "model": {
            "_target_": "mrirecon.reconstructors.HqsNet",
            "sensitivity": {"_target_": "mrirecon.sensitivity.Espirit"},
            "denoiser": {
                "_target_": "mrirecon.networks.NoiseLevelUnet",
                "channels": [4, 6], "blocks": 1, "images": 2,
            },
            "iterations": 1,
        },
        "preprocessing": {"_target_": "mrirecon.data.Normalize"},
    }  # fmt: skip
    for name, patients in {"seen": [person, "patient-0"], "new": ["patient-0"], "odd": 3}.items():
        weights = {f"reconstructor.{key}": value for key, value in model.state_dict().items()}
        state = {"recipe": nodes, "state_dict": weights, "patients": patients, "global_step": 40}
        torch.save(state, tmp_path / f"{name}.ckpt")
        (series,) = mr.reconstruct_series(folder / "a.h5", tmp_path / f"{name}.ckpt")
        series.save(tmp_path / name / "a.h5")
        origin = read_origin(tmp_path / name / "a.h5")
        assert origin.seen == (name == "seen")
        people = {"seen": "2 patients, ", "new": "1 patients, ", "odd": ""}[name]
        assert origin.training == f"{people}40 steps"
    words = ["mrirecon", "evaluate", f"reference={tmp_path}/new", f"reconstruction={tmp_path}/seen"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="seen has learned from the patients of a, so its scores"):
        cli.main()
    monkeypatch.setattr(sys, "argv", [*words, "allow_leak=true"])
    cli.main()
    assert "seen" in capsys.readouterr().out
