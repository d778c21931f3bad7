"""Scores by kind of scan: means, and whether methods differ alike, where the truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.origins.origin import Origin, read_origin
from mrirecon.evaluation.page.strata_section import strata_section
from mrirecon.evaluation.scores.protocol import Score
from mrirecon.evaluation.tables.standings import standings
from mrirecon.evaluation.tables.stratified import stratified
from mrirecon.metrics import METRICS
from mrirecon.reconstruction import Provenance, Reconstruction
from mrirecon.writers import write_hdf5
from tests import scenes

INFOS = {"ssim": METRICS["ssim"].info}


def study(gain, patients=12, **facts):
    """Two methods on a T1 and a T2 scan of each patient; ``a`` is better by ``gain``."""
    rng = np.random.default_rng(0)
    scores, origins, people = [], {"a": {}, "b": {}}, {}
    for number in range(patients):
        for contrast in ("t1", "t2"):
            volume = f"{contrast}_{number}"
            people[volume] = f"p{number}"
            own = rng.normal(0.8, 0.05)
            for method, more in (("a", gain[contrast] + rng.normal(0, 0.002)), ("b", 0.0)):
                scores.append(Score(method, volume, {"ssim": own + more}))
                r = 4.1 if number % 2 else 8.02
                told = {"contrast": contrast, "vendor": "GE", "acceleration": r, **facts}
                origins[method][volume] = Origin(method=method, patient=f"p{number}", **told)
    return scores, Makings(origins, people)


def found(scores, makings):
    return stratified(scores, makings, standings(scores, makings.patients, INFOS), INFOS)


def test_a_difference_that_depends_on_the_contrast_is_told():
    scores, makings = study({"t1": 0.01, "t2": 0.05})
    contrast, rate = found(scores, makings)
    assert contrast.fact == "contrast" and contrast.volumes == {"t1": 12, "t2": 12}
    (pair,) = contrast.pairs
    assert (pair.one, pair.other) == ("a", "b") and pair.found.crossed and pair.p < 0.01
    assert pair.found.differences["t2"].mean == pytest.approx(0.05, abs=0.002)
    assert contrast.means["b"]["t1"] == pytest.approx(
        np.mean([s.ssim for s in scores if s.method == "b" and s.volume.startswith("t1")])
    )
    assert rate.fact == "acceleration R" and list(rate.volumes) == ["4.0", "8.0"]
    assert not rate.pairs[0].found.crossed and rate.pairs[0].p > 0.05
    text = strata_section([contrast, rate], INFOS["ssim"])
    assert "a − b" in text and "t1: +0.01" in text and " *" in text
    told = contrast.facts()["pairs"][0]
    assert told["p_interaction_corrected"] == pair.p
    assert told["differences"]["t1"]["patients"] == 12


def test_one_that_does_not_is_not():
    contrast, _ = found(*study({"t1": 0.02, "t2": 0.02}))
    assert contrast.pairs[0].p > 0.05


def test_what_files_do_not_tell_is_no_stratum():
    scores, makings = study({"t1": 0.0, "t2": 0.0}, contrast="", acceleration=0.0)
    assert found(scores, makings) == () and strata_section((), INFOS["ssim"]) == ""
    scores, makings = study({"t1": 0.0, "t2": 0.0})
    makings.origins["b"]["t1_0"] = replace(makings.origins["b"]["t1_0"], acceleration=2.0)
    assert [one.fact for one in found(scores, makings)] == ["contrast"]  # R is not that of both


def test_one_method_has_no_strata():
    scores, makings = study({"t1": 0.0, "t2": 0.0})
    assert found([s for s in scores if s.method == "a"], makings) == ()


def test_our_files_tell_the_kind_of_scan(tmp_path):
    scan = scenes.scan()
    header = replace(scan.header, vendor="GE")
    result = Reconstruction(torch.rand(1, 2, 40, 36), header, Provenance("a.h5", "CgSense"))
    write_hdf5(tmp_path / "a.h5", result)
    origin = read_origin(tmp_path / "a.h5")
    assert origin.vendor == "GE" and origin.field_strength == header.sequence.field_strength > 0
    assert origin.contrast == header.acquisition and origin.patient == header.subject
