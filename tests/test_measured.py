"""The measured benchmark: its scores, its search for weights, its tables, and a run at toy size."""

import json
import sys
from pathlib import Path

import h5py
import pytest
import torch

from mrirecon.data.collate import collate
from mrirecon.errors import ConfigError
from mrirecon.reconstructors.parts.estimated_noise import noise_std
from tests import scenes

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import measured
import measured_cases
import measured_methods as methods
import measured_search as search
import measured_tables as tables
import measured_variants as variants

SIZE = 48


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A scan in the layout of fastMRI; its name seeds the masks."""
    path = tmp_path_factory.mktemp("measured") / "scan.h5"
    scan = scenes.scan(matrix=(SIZE, SIZE), slices=1, coils=6, snr=40)
    with h5py.File(path, "w") as file:
        file["kspace"] = torch.stack([sample.kspace for sample in scan]).numpy()
    return path


def case_of(path, pattern="uniform 2, 12 ACS"):
    found = measured_cases.cases(measured_cases.Planes(path), [1, 2], [3.0], [12, 24])
    return next(case for case in found if case.pattern == pattern)


def result(psnr, kind="CG-SENSE", program="ours", weight=0.1, ssim=0.9, rate=4.0, case="a"):
    scores = {"psnr": psnr, "ssim": ssim, "unscaled": psnr - 1}
    every = dict.fromkeys(measured_cases.MEASURES, scores)
    return search.Result(case, rate, program, kind, "cut", weight, 1.0, every)


def test_cases_have_all_patterns_and_their_true_acceleration(file):
    found = list(measured_cases.cases(measured_cases.Planes(file, [0]), [1, 2], [3.0], [12, 24]))
    names = [case.pattern for case in found]
    assert names == ["uniform 2, 12 ACS", "uniform 2, 24 ACS", "full", "Poisson 3"]
    for case in found:
        kept = (case.undersampled.kspace[0] != 0).sum()
        assert case.acceleration == pytest.approx(SIZE**2 / int(kept))
    assert found[2].acceleration == 1
    assert found[3].acceleration == pytest.approx(3, abs=0.01)
    assert len({case.key for case in found}) == 4


def test_what_the_scanner_left_out_is_no_acceleration(file):
    whole = case_of(file)
    mask = whole.full.mask.clone()
    mask[..., : SIZE // 4] = False
    full, kept = (s.replace(kspace=s.kspace * mask, mask=s.mask & mask)
                  for s in (whole.full, whole.undersampled))  # fmt: skip
    part = measured_cases.Case("f", "c", 0, "p", full, kept)
    assert part.acceleration == pytest.approx(36 / int(kept.mask.sum()))


def test_scale_is_removed_and_only_the_object_counts_in_it(file):
    case = case_of(file)
    combined, rss, inside = case.references
    assert 0.1 < inside.float().mean() < 0.9
    scores = case.scores(torch.complex(3 * combined, 0 * combined))
    assert scores["combined"]["psnr"] > 100
    assert scores["combined"]["ssim"] == pytest.approx(1)
    error = (2 * combined).square().mean()
    expected = 20 * torch.log10(combined.max()) - 10 * torch.log10(error)
    assert scores["combined"]["unscaled"] == pytest.approx(float(expected), abs=1e-3)
    noisy = torch.where(inside, rss, rss + rss.max())
    scores = case.scores(torch.complex(noisy, 0 * noisy))
    assert scores["RSS, object"]["psnr"] > 100 > 30 > scores["RSS"]["psnr"]


def test_the_field_of_view_is_compared(file):
    whole = case_of(file)
    region = torch.tensor([SIZE // 2, SIZE])
    part = measured_cases.Case(
        "f", "c", 0, "p", whole.full.replace(region=region), whole.undersampled
    )
    assert part.references[0].shape == (1, SIZE // 2, SIZE)
    image = whole.references[0].clone()
    image[:, : SIZE // 4] = 9  # oversampling
    assert part.scores(torch.complex(image, 0 * image))["combined"]["psnr"] > 100


class Peaked(methods.Program):
    """A program whose image is the reference at one weight, and the worse the further away."""

    name = "peaked"
    kinds = ("TV",)
    release = "1"

    def __init__(self, case, peak):
        super().__init__(case)
        self.peak, self.asked = peak, []

    def version(self):
        return self.release

    def image(self, kind, maps, weight):  # noqa: ARG002
        self.asked.append(weight)
        reference = self.case.references[0]
        distance = abs(torch.log(torch.tensor(weight / self.peak)))
        ramp = torch.linspace(0, 1, SIZE) * reference.max()
        return torch.complex(reference + 0.1 * distance * ramp, 0 * reference)


@pytest.mark.parametrize("factor", [1.0, 4.0**3, 4.0**-4.5, 1.9])
def test_weights_grow_until_the_best_is_inside_and_are_refined(file, tmp_path, factor):
    peak = methods.CENTERS["TV"] * factor
    program = Peaked(case_of(file), peak)
    found = search.searched(program.case, program, "TV", "cut", search.Cache(tmp_path / "c.json"))
    top = search.best(found, "combined")
    assert 1 / 1.42 < top.weight / peak < 1.42
    assert min(program.asked) < top.weight < max(program.asked)
    assert len(set(program.asked)) == len(program.asked) <= 12


def test_known_results_are_not_computed_again(file, tmp_path):
    program, path = Peaked(case_of(file), 2e-3), tmp_path / "cache.json"

    def asked(again=False):
        program.asked.clear()
        found = search.searched(program.case, program, "TV", "cut", search.Cache(path, again))
        return len(program.asked), search.best(found, "RSS").scores

    count, scores = asked()
    assert count == 5
    assert asked() == (0, scores)
    assert asked(again=True)[0] == count
    program.release = "2"
    assert asked()[0] == count
    program.case = case_of(file, "Poisson 3")
    assert asked()[0] == 5
    assert asked()[0] == 0


def test_two_runs_may_share_a_cache(file, tmp_path):
    path = tmp_path / "cache.json"
    caches = [search.Cache(path), search.Cache(path)]
    for cache, kind in zip(caches, ("one", "two"), strict=True):
        blank = search.Result("a", 2.0, "ours", kind, "", None, 0.0, {})
        case = case_of(file)
        cache.result("1", blank, case.key, lambda case=case: methods.zero_filled(case), case)
    assert {one["kind"] for one in json.loads(path.read_text()).values()} == {"one", "two"}


def test_all_programs_agree(file):
    case = case_of(file)
    known = methods.programs(case)
    assert {"ours", "sigpy"} <= {program.name for program in known}
    for kind in ("CG-SENSE", "L1-wavelet", "TV"):
        found = {p.name: case.scores(p.image(kind, "whole", 1e-3)) for p in known}
        for scores in found.values():
            psnr, unscaled = (scores["combined, object"][key] for key in ("psnr", "unscaled"))
            best = max(one["combined, object"]["psnr"] for one in found.values())
            assert best - 1.5 < psnr <= best, f"{kind}: {found}"
            assert unscaled > psnr - 0.2  # all are in the units of the sample


def test_a_method_is_the_one_of_reconstruct(file):
    case = case_of(file)
    also = methods.Also("a name: model=cg_sense model.regularization=1e-3 'sensitivity.crop=0'")
    made = also.make(case)
    assert also.name == "a name"
    ours = methods.Ours(case).image("CG-SENSE", "whole", 1e-3)
    torch.testing.assert_close(made.image, ours.abs(), rtol=1e-4, atol=1e-5)
    assert made.seconds > 0
    assert made.warnings == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("model=modl", "needs checkpoint=FILE"),
        ("model=cg_sense model.foo=1", "no such argument"),
        ("foo=1", "no such key"),
        ("model=grappa sensitivity=walsh", "has no effect"),
        ("model=nothing", "model=nothing: there is no such choice"),
    ],
)
def test_a_wrong_method_is_refused_before_anything_is_computed(words, said):
    with pytest.raises(ConfigError, match=said):
        methods.Also(words)


def test_others_are_compared_with_the_best_of_all_but_tgv():
    classical = [
        result(20, "zero-filled", weight=None), result(30), result(33, program="BART", ssim=0.7),
        result(31, "L1-wavelet", "sigpy", ssim=0.95), result(40, "TGV"),
    ]  # fmt: skip
    rows = [
        tables.Outcome(classical, {"new": result(34.5, ssim=0.93)}),
        tables.Outcome([result(30, rate=2.0, case="b")], {"new": result(28, rate=2.0)}),
    ]
    head, cells = tables.table(rows, "combined")
    found = dict(zip(head, cells[0], strict=True))
    assert found["best of all"] == "33.00 / 0.9500"
    assert found["which"] == "BART CG-SENSE 0.1"
    assert found["ours"] == "30.00 / 0.9000"
    assert found["new"] == "34.50 / 0.9300"
    assert (found["- best"], found["- CG"]) == ("+1.50 / -0.0200", "+1.50 / +0.0300")
    assert found["unscaled"] == "33.50"
    assert dict(zip(head, cells[1], strict=True))["- best"] == "-2.00 / +0.0000"
    assert tables.summary(rows)[0] == (
        "new, combined: best -0.25 dB [-2.00, +1.50]; least over CG-SENSE -2.00; "
        "R >= 2.8: +1.50, at least 1 dB ahead in 1 of 1"
    )
    assert tables.markdown((head, cells)).splitlines()[2].count("|") == len(head) + 1


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["measured.py", *map(str, words)])
    measured.main()


def test_runs_at_toy_size(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measured, "programs", lambda case: [methods.Ours(case)])
    words = (
        "--uniform",
        "1",
        "2",
        "--acs",
        "12",
        "--poisson",
        "--only",
        "CG-SENSE",
        "--also",
        "model=cg_sense",
        "--output",
        tmp_path,
        "--pictures",
        tmp_path / "pictures",
    )
    run(monkeypatch, file, *words)
    said = capsys.readouterr().out
    assert "scan.h5 [0], uniform 2, 12 ACS" in said
    pictures = list((tmp_path / "pictures").iterdir())
    assert [picture.stat().st_size > 10_000 for picture in pictures] == [True, True]
    (row,) = json.loads((tmp_path / "table.json").read_text())
    gained = row["also"]["model=cg_sense"]["scores"]["combined"]["psnr"]
    top = row["best"]["combined"]["scores"]["combined"]["psnr"]
    assert f"model=cg_sense, combined: best {gained - top:+.2f} dB" in said
    assert (tmp_path / "table.md").read_text().count("| scan.h5 [0]") == 4


def test_undersampled_files_are_refused(file, tmp_path, monkeypatch):
    case, path = case_of(file), tmp_path / "under.h5"
    variants.write(path, [case.undersampled.kspace], "a", "b")
    with pytest.raises(SystemExit, match=r"under.h5.*undersampled.*fully sampled"):
        run(monkeypatch, file, path)
    with pytest.raises(SystemExit, match="has planes 0 to 0, not 3"):
        run(monkeypatch, file, "--slices", 3)
    path = tmp_path / "empty.h5"
    variants.write(path, [torch.zeros_like(case.full.kspace)], "a", "b")
    with pytest.raises(SystemExit, match=r"empty.h5: plane 0 is empty"):
        run(monkeypatch, path)


def test_variants(file):
    full = case_of(file).full
    before = float(noise_std(collate([full])))
    noisy = full.replace(kspace=variants.noisier(full, 4))
    assert float(noise_std(collate([noisy]))) == pytest.approx(4 * before, rel=0.1)
    assert variants.compressed(full, 3).shape == (3, SIZE, SIZE)
    assert scenes.equal(variants.smaller(full, 32), full.kspace[:, 8:40, 8:40])
