"""Several processes score as one does, in order; what breaks is named."""

import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError, RawDataError
from mrirecon.evaluation import Protocol
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import score
from mrirecon.evaluation.scores.scoring import Case, Rules, score_cases, workers_for
from mrirecon.files import Kind, mark, stamped
from mrirecon.metrics import KNOWN
from mrirecon.metrics.own import OwnMetric

METRICS = {name: KNOWN[name] for name in ("nmse", "psnr", "ssim", "haarpsi")}
RULES = Rules(Protocol(metrics=METRICS))


@pytest.fixture
def cases(tmp_path):
    rng, found = np.random.RandomState(0), []
    for number in range(5):
        reference = rng.rand(2, 24, 20).astype(np.float32)
        paths = [tmp_path / f"{number}_{kind}.h5" for kind in ("reference", "a", "b")]
        for path, error in zip(paths, (0, 0.1, 0.2), strict=True):
            with h5py.File(path, "w") as file:
                file["reconstruction"] = reference + error * rng.rand(2, 24, 20)
            told = {"misfit": error, "unmeasured": 2 * error}
            if error > 0.1:
                told["unmeasured-error"] = 0.5
            metas = "".join(f'<meta name="{k}" content="{v:.6f}">' for k, v in told.items())
            head = f"{mark(Kind.PAGE)}{metas}<title>"
            page = path.with_name(f"{path.stem}_qc.html")
            page.write_bytes(stamped(head.encode(), Kind.PAGE))
        found.append(Case(f"v{number}", paths[0], {"a": paths[1], "b": paths[2]}))
    return found


def test_two_processes_give_the_same_in_the_same_order_and_name_what_is_broken(cases):
    cases[4].images["b"].write_text("no volume")
    outcomes = []
    for workers in (1, 2):
        found = score_cases(cases, RULES, workers)
        outcomes.append([next(found) for _ in range(4)])
        with pytest.raises(RawDataError, match=r"4_b\.h5"):
            next(found)
    one, two = outcomes
    scores = [[outcome.scores for outcome in each] for each in outcomes]
    assert scores[0] == scores[1]
    flat = [s for each in scores[0] for s in each]
    assert [(s.volume, s.method) for s in flat[:4]] == [
        ("v0", "a"), ("v0", "b"), ("v1", "a"), ("v1", "b"),
    ]  # fmt: skip
    seen = one[0].seen
    for each, other in zip(one[1:], two[1:], strict=True):
        seen.add(each.seen)
        two[0].seen.add(other.seen)
    facts = seen.facts(RULES.protocol)
    assert facts == two[0].seen.facts(RULES.protocol)
    assert facts["datasets"]["a"] == ["reconstruction"] and facts["matrices"] == [[24, 20]]
    assert facts["quality"] == {
        "misfit": {"a": pytest.approx(0.1), "b": pytest.approx(0.2)},
        "unmeasured": {"a": pytest.approx(0.2), "b": pytest.approx(0.4)},
        "unmeasured_error": {"b": pytest.approx(0.5)},
    }
    misfit, unmeasured, error = seen.judged()
    assert "neither by image, coil maps nor noise" in misfit
    assert misfit.endswith("looked at: a 10.0%, b 20.0%")
    assert unmeasured.endswith("a 20.0%, b 40.0%") and error.endswith("looked at: b 50.0%")


def test_threads_do_not_change_the_scores(cases):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (outcome,) = score_cases(cases[:1], RULES)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    (alone,) = score_cases(cases[:1], RULES)
    assert outcome.scores == alone.scores


def test_scores_travel_between_processes():
    reference = torch.rand(2, 9, 9)
    found = score("m", "v", reference, reference)
    assert pickle.loads(pickle.dumps(found)) == found
    assert replace(found, region="x").region == "x"


def test_processes_are_as_many_as_are_worth_it():
    assert workers_for(4, None) == 1 and workers_for(4, 3) == 3 and workers_for(2, 3) == 2
    with pytest.raises(ConfigError, match="workers: expected at least 1, got 0"):
        workers_for(4, 0)


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_what_is_no_number_is_refused_and_named(cases, value):
    """In a file of scores it would become what a perfect image has."""
    own = OwnMetric(lambda *_: value, "odd")
    with pytest.raises(RawDataError, match=f"v0, a: odd is {value}, expected a number"):
        list(score_cases(cases, Rules(Protocol(metrics={"odd": own}))))


def test_a_copy_of_the_reference_is_told(cases):
    copies = [
        replace(case, images={"copy": case.reference, "a": case.images["a"]}) for case in cases
    ]
    seen = Observed()
    for outcome in score_cases(copies, RULES):
        seen.add(outcome.seen)
    (told,) = (one for one in seen.warnings(RULES.protocol) if "its reference" in one)
    assert told.startswith("copy: in 5 of 5 volumes, the image equals its reference")
    assert seen.facts(RULES.protocol)["identical"] == {"copy": 5}


def test_a_metric_that_cannot_be_sent_to_other_processes_is_told():
    metrics = {"mine": OwnMetric(lambda *_: 1.0, "mine")}
    rules = Rules(Protocol(metrics=metrics))
    with pytest.raises(ConfigError, match=r"cannot be sent to other processes .*workers=1"):
        next(score_cases([Case("a", Path("a"), {})], rules, workers=2))
