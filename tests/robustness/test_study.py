"""A study runs, tells where methods fall, and shows it."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
import torch

from mrirecon.data.transforms import Compose, Normalize
from mrirecon.evaluation import Protocol
from mrirecon.files import Kind, mark
from mrirecon.metrics.fastmri import METRICS
from mrirecon.pipeline import Method
from mrirecon.reconstructors import ZeroFilled
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.robustness import AddedNoise, MaskFamily, OtherContrast, SmallFeatures, WorstCase
from mrirecon.robustness.findings import Findings, Spread
from mrirecon.robustness.page import Told, as_page
from mrirecon.robustness.result import NOMINAL
from mrirecon.robustness.study import Study
from mrirecon.robustness.tables import exceeds, falls_text, findings_json, results_csv
from mrirecon.sensitivity.base import CalibrationError
from tests.robustness.cases import smooth_case


class Fragile(Reconstructor):
    """As good as zero-filling until there is noise, and does not know points."""

    def forward(self, sample):
        if sample.mask.shape[-2] > 1:
            raise CalibrationError("knows lines only")
        image = ZeroFilled()(sample)
        noisy = sample.noise is not None and float((sample.noise * sample.scale).detach()) > 0.5
        return image * 0.5 if noisy else image


@pytest.fixture(scope="module")
def study():
    cases = [smooth_case(noise=0.3, name=f"case{n}.h5") for n in range(2)]
    transform = Compose([Normalize()])
    methods = {"fragile": Method(Fragile(), transform, checkpoint="some weights"),
               "zero_filled": Method(ZeroFilled(), transform)}  # fmt: skip
    shifts = {
        "noise": AddedNoise(levels=(0.5, 2.0)),
        "mask": MaskFamily(levels=("random", "poisson_disc")),
        "features": SmallFeatures(levels=(4.0,)),
        "contrast": OtherContrast(),
        "worst": WorstCase(levels=(1.0,), steps=1),
    }
    return Study(methods, cases, shifts, Protocol())


@pytest.fixture(scope="module")
def findings(study):
    found = Findings(METRICS["psnr"].info, {m: study.learned(m) for m in study.methods})
    for outcome in study.nominal():
        found.add(outcome)
    for name in study.shifts:
        for outcome in study.stressed(name):
            found.add(outcome)
    return found


def test_what_cannot_be_done_is_told(study):
    cases, reasons = study.suited("contrast")
    assert not cases and reasons[0] == "case0.h5: a measured scan cannot be measured otherwise"
    assert study.suited("noise") == (study.cases, ())


def test_a_method_falls_where_it_does(findings):
    fragile, plain = findings.falls("noise")
    assert (fragile.method, fragile.level, fragile.rival) == ("fragile", 2.0, "zero_filled")
    assert fragile.rival_level == 2.0 and exceeds(fragile, 10.0) and not exceeds(plain, 10.0)
    own = {(r.level, r.scan): r.values["psnr"] for r in findings.of("noise", "fragile")}
    nominal = {r.scan: r.values["psnr"] for r in findings.of(NOMINAL, "fragile")}
    change = [nominal[scan] - own[2.0, scan] for scan in nominal]
    assert fragile.fall.mean == pytest.approx(sum(change) / 2)
    assert (fragile.fall.low, fragile.fall.high) == (min(change), max(change))
    assert not fragile.fall.interval and fragile.fall.scans == 2
    other = {(r.level, r.scan): r.values["psnr"] for r in findings.of("noise", "zero_filled")}
    behind = [other[2.0, scan] - own[2.0, scan] for scan in nominal]
    assert fragile.behind.mean == pytest.approx(sum(behind) / 2)
    assert plain.rival is None  # there is no other classical method


def test_an_image_that_fails_is_counted_and_the_others_go_on(findings):
    fragile, plain = findings.falls("mask")
    assert (fragile.failures, plain.failures) == (2, 0)
    failed = [r for r in findings.of("mask", "fragile") if r.failure]
    assert {r.level for r in failed} == {"poisson_disc"} and failed[0].failure == "knows lines only"
    assert fragile.level == "random" and plain.level is not None


def test_attacks_tell_how_much_worse_than_chance_they_are(findings):
    for method in findings.learned:
        for one in findings.of("worst", method):
            assert one.measured["ratio"] > 1 and one.values["psnr"] < one.measured["random_psnr"]
            assert one.measured["norm_of_noise"] == pytest.approx(1.0)
            assert one.remark == "found by gradient, 1 steps"


def test_pictures_are_of_the_worst_slice(findings):
    shown = findings.pictures["noise"]
    assert shown.level == 2.0 and set(shown.images) == {"fragile", "zero_filled"}
    values = {r.scan: r.values["psnr"] for r in findings.of("noise", "fragile") if r.level == 2.0}
    assert shown.values["fragile"] == values[shown.scan]


def test_an_interval_needs_six_scans():
    assert Spread.of([1.0, 2.0, 3.0]) == Spread(2.0, 1.0, 3.0, 3, False)
    six = Spread.of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, float("inf")])
    assert six is not None and six.interval and six.scans == 6 and 1 < six.low < 3.5 < six.high
    assert Spread.of([float("nan")]) is None


def test_tables_hold_every_result(findings):
    rows = list(csv.DictReader(io.StringIO(results_csv(findings))))
    assert len(rows) == len(findings.results) == 2 * 2 * (1 + 2 + 2 + 1 + 1)
    assert {row["learned"] for row in rows if row["method"] == "fragile"} == {"True"}
    told = json.loads(findings_json(findings, ["noise", "mask"], seed=3))
    assert told["seed"] == 3 and len(told["results"]) == len(rows) and len(told["falls"]) == 4
    text = falls_text(findings, ["noise", "mask", "contrast"], 10.0)
    assert re.search(r"^noise +-\d+\.\d\d dB at 2 !\s+-\d\.\d\d dB at 2$", text, re.M)
    assert re.search(r"^mask .* 2 failed", text, re.M) and re.search(
        r"^contrast +- +-$", text, re.M
    )


def test_the_page_shows_curves_pictures_and_what_is_missing(study, findings):
    shifts = {name: study.shifts[name] for name in ("mask", "worst", "contrast")}
    told = Told(
        shifts, {"mask": "equispaced_fraction"}, study.protocol, study.made, ["Said."], 0.05,
        ["contrast: left out"], "mrirecon stress <b>", ("mrirecon 1",),
    )  # fmt: skip
    page = re.sub(r"base64,[^\"]*", "", as_page(findings, told))
    assert mark(Kind.STRESS) in page and "mrirecon stress &lt;b&gt;" in page
    assert page.count("<figure") == 2 * 2  # curves and the worst slice of all but the contrast
    for words in ('class="problem"', "contrast: left out", "knows lines only", "found by gradient"):
        assert words in page
    assert "<script" not in page and "nan" not in page
    only = Findings(findings.info, findings.learned, findings.results[:4])
    assert "<figure" not in as_page(only, replace(told, shifts={}))


def test_results_do_not_depend_on_what_was_tried_before(study, findings):
    alone = Study(study.methods, study.cases, {"noise": study.shifts["noise"]}, study.protocol)
    list(alone.nominal())
    again = [r for outcome in alone.stressed("noise") for r in outcome.results]
    before = [r for r in findings.results if r.shift == "noise"]
    key = lambda r: (r.level, r.scan, r.method)  # noqa: E731
    assert [r.values for r in sorted(again, key=key)] == [r.values for r in sorted(before, key=key)]
    assert torch.isfinite(torch.tensor([r.acceleration for r in again])).all()
