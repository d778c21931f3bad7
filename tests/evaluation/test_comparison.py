"""Scores of several evaluations become one table, or are refused with the field that differs."""

import json
import sys

import h5py
import numpy as np
import pytest

from mrirecon import cli
from mrirecon.evaluation.origins.makings import stored_origins
from mrirecon.evaluation.origins.origin import Origin, differing_facts, read_origin, shown_apart
from mrirecon.evaluation.scores.observed import signature
from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.evaluation.statistics.paired import difference
from mrirecon.evaluation.stored.scored import read_scores
from mrirecon.files import Kind, found_kind, mark, stamped

CONFIG = (
    "sampling: {_target_: a.Lines, seed: 0}\nsensitivity: {_target_: c.Unused}\n"
    "model: {_target_: d.Cg, sensitivity: {_target_: b.Maps, crop: 0.8}}\n"
)


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["mrirecon", *map(str, words)])
    cli.main()


def write(folder, noise):
    """Write volumes of seven patients, one of whom has two."""
    rng = np.random.default_rng(round(100 * noise))
    folder.mkdir()
    for number in range(8):
        volume = np.random.default_rng(number).random((2, 16, 16)).astype(np.float32)
        image = (volume + noise * rng.standard_normal(volume.shape)).astype(np.float32)
        with h5py.File(folder / f"v{number}.h5", "w") as file:
            file["reconstruction"] = image
            file.attrs["patient_id"] = f"Jane Doe {min(number, 6)}"
            told = file.create_group("provenance")
            told.attrs.update(
                method="Rss", acceleration=4 + number / 100, acs=[16, 8], whitened=True,
                fingerprint=f"{number:064d}", config=CONFIG, versions="torch 2",
            )  # fmt: skip


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """What two evaluations have written, as trees: good and bad; bad and worse."""
    folder = tmp_path_factory.mktemp("scored")
    for name, noise in {"reference": 0.0, "good": 0.02, "bad": 0.05, "worse": 0.1}.items():
        write(folder / name, noise)
    trees = []
    with pytest.MonkeyPatch.context() as patch:
        for output, methods in {"A": ("good", "bad"), "B": ("worse", "bad")}.items():
            folders = ",".join(str(folder / one) for one in methods)
            run(patch, "evaluate", f"reference={folder}/reference", f"reconstruction=[{folders}]",
                f"output={folder / output}", "pictures=0")  # fmt: skip
            trees.append(json.loads((folder / output / "scores.json").read_text()))
    return trees


def stored(path, tree, change=None):
    """Write a tree as an evaluation does, with something changed."""
    tree = json.loads(json.dumps(tree))
    if change:
        change(tree)
    path.parent.mkdir(parents=True, exist_ok=True)
    tree["output"] = mark(Kind.SCORES)
    path.write_bytes(stamped(json.dumps(tree).encode(), Kind.SCORES))
    return path


@pytest.fixture
def compare(scored, tmp_path, monkeypatch, capsys):
    """Compare A with a changed B; returns the exit status, the output, and errors."""

    def told(change, *words):
        stored(tmp_path / "A" / "scores.json", scored[0])
        stored(tmp_path / "B" / "scores.json", scored[1], change)
        try:
            run(monkeypatch, "compare", tmp_path / "A", *words, tmp_path / "B")
        except SystemExit as end:
            return 1, capsys.readouterr().out, str(end.code)
        return 0, *capsys.readouterr()

    return told


def test_all_methods_come_into_one_table(scored, compare, tmp_path):
    output = tmp_path / "out" / "both.json"
    status, text, told = compare(None, "--output", output)
    assert status == 0 and text.startswith("8 volumes of 7 patients, from A, B; scored: whole")
    assert text.splitlines()[0].endswith("; mean over volumes")
    assert "scores of bad (A) and bad (B) are equal" in told and told.count("WARNING") == 1
    tree = json.loads(output.read_text())
    assert [one["method"] for one in tree["summary"]] == ["good", "bad (A)", "worse", "bad (B)"]
    rows = [row for part in scored for row in part["scores"]]
    values = {
        name: np.array([r["ssim"] for r in rows if r["method"] == name][:8])
        for name in ("good", "worse")
    }
    assert tree["summary"][0]["mean"]["ssim"] == pytest.approx(values["good"].mean(), abs=1e-12)
    over = {n: np.append(v[:6], v[6:].mean()) for n, v in values.items()}  # v6 and v7 are of one
    assert tree["summary"][0]["interval"]["ssim"] == pytest.approx(bootstrap_interval(over["good"]))
    pair = next(
        pair
        for one in tree["standings"] if one["metric"] == "ssim"
        for pair in one["comparisons"] if (pair["better"], pair["worse"]) == ("good", "worse")
    )  # fmt: skip
    expected = difference(over["good"], over["worse"])
    assert pair["difference"] == pytest.approx(expected.mean) and pair["p"] == expected.p
    assert tree["patients"] == 7
    first = next(line for line in text.splitlines() if line.startswith("good"))
    assert f"{values['good'].mean():.4f} [" in first and first.endswith("]")
    assert "7 patients cannot tell 4 methods apart" in text  # of 6 pairs, none has p < 6 * 2 / 2^7
    assert "Jane" not in text + output.read_text() + json.dumps(scored)


def test_one_file_with_several_methods_counts(scored, tmp_path, monkeypatch, capsys):
    path = stored(tmp_path / "x.json", scored[0])
    output = tmp_path / "x.md"
    run(monkeypatch, "compare", path, "--output", output)
    assert "good" in capsys.readouterr().out
    assert output.read_text().count("| good |") == 4 and found_kind(output) is Kind.COMPARISON


def metric(tree, name, **changes):
    tree["protocol"]["metrics"][name].update(changes)


def fact(tree, name, value, method="worse"):
    """Let the third volume of a method have been made otherwise."""
    common = tree["made"]["methods"][method].get(name)
    told = tree["made"]["varying"][method].setdefault(name, {f"v{k}": common for k in range(8)})
    told["v2"] = value


def drop(tree, volume):
    tree["scores"] = [row for row in tree["scores"] if row["volume"] != volume]


REFUSED = {
    "region": (lambda t: t["protocol"].update(region="square"), "A: whole; B: square"),
    "scale": (lambda t: t["protocol"].update(scale="least_squares"), "A: none; B: least_squares"),
    "ends": (lambda t: t["protocol"].update(ends=50), "A: 0; B: 50"),
    "per": (lambda t: t["protocol"].update(per="slice"), "A: volume; B: slice"),
    "normalize": (lambda t: t["protocol"].update(normalize="maximum"), "A: none; B: maximum"),
    "swapped": (lambda t: t["protocol"].update(swapped="frames"), "A: never; B: frames"),
    "foreground": (lambda t: t["protocol"].update(foreground=True), "A: False; B: True"),
    "metrics.ssim.window": (lambda t: metric(t, "ssim", window=11), "A: uniform; B: 11"),
    "metrics.psnr.peak": (lambda t: metric(t, "psnr", peak="both"), "A: reference; B: both"),
    "metrics.nmse.kind": (lambda t: metric(t, "nmse", kind="own.f"), "B: own.f"),
    "metrics.psnr.higher_is_better": (
        lambda t: t["metrics"]["psnr"].update(higher_is_better=False), "A: True; B: False",
    ),
    "target": (
        lambda t: t["protocol"]["datasets"].update(reference=["reconstruction_esc"]),
        "A: reconstruction, made by Rss; B: reconstruction_esc, made by Rss",
    ),
    "references": (
        lambda t: t["protocol"]["references"].update(v3=[1.0, 0.5, 0.5, 0.5]),
        "1 of 8 volumes have other reference images, as v3",
    ),
    "matrices": (lambda t: t["protocol"].update(matrices=[[20, 16]]), "A: 16 x 16; B: 20 x 16"),
    "volumes": (lambda t: drop(t, "v5"), "7 are in all files; A 1 others, as v5; B 0 others"),
    "mask": (
        lambda t: fact(t, "mask", "Lines(seed=1)"),
        "in 1 volumes, as in v2: good Lines(seed=0); bad (A) Lines(seed=0); worse Lines(seed=1)",
    ),
    "acceleration": (
        lambda t: fact(t, "acceleration", 8.0), "good 4.020; bad (A) 4.020; worse 8.0",
    ),
    "acs": (lambda t: fact(t, "acs", [0, 0]), "worse 0 x 0"),
    "fingerprint": (lambda t: fact(t, "fingerprint", "f" * 64), "as in v2: good 0000"),
}  # fmt: skip


@pytest.mark.parametrize("field", REFUSED)
def test_scores_that_would_mislead_are_refused(compare, field):
    change, both = REFUSED[field]
    status, text, told = compare(change)
    lines = told.splitlines()
    assert status == 1 and not text and len(lines) == 2
    assert lines[1].startswith(f"  {field} differs") and both in lines[1]
    assert lines[1].endswith(f"or --allow {field} to compare nevertheless")
    status, text, told = compare(change, "--allow", field)
    assert status == 0 and "good" in text and f"WARNING: {field} differs" in told
    assert "(allowed)" in told


def test_fields_are_allowed_one_by_one(compare):
    def both(tree):
        tree["protocol"].update(region="square", scale="least_squares")
        metric(tree, "ssim", window=11)

    status, _, told = compare(both, "--allow", "region", "--allow", "metrics.ssim")
    assert status == 1 and "  scale differs" in told and "  region" not in told
    assert compare(both, "--allow", "region", "--allow", "metrics", "--allow", "scale")[0] == 0
    words = "scored: the central square of reconstruction"
    changed = compare(
        lambda t: t["protocol"].update(region="square", definition=words), "--allow", "region"
    )
    assert "; scored in different ways, see the warnings\n" in changed[1]
    status, _, told = compare(None, "--allow", "regoin")
    assert status == 1 and "--allow: there is no field regoin; there are region, scale" in told


WARNED = {
    "maps": lambda t: fact(t, "maps", "Walsh()"),
    "preprocessing": lambda t: [fact(t, "preprocessing", f"{m}()", m) for m in ("worse", "bad")],
    "whitened": lambda t: fact(t, "whitened", False),
    "versions": lambda t: fact(t, "versions", "torch 3"),
    "versions of what scored": lambda t: t.update(versions=["mrirecon 0"]),
    "protocol": lambda t: t["protocol"].update(name="ours"),
}  # fmt: skip


@pytest.mark.parametrize("field", WARNED)
def test_other_facts_are_warned_of(compare, field):
    status, text, told = compare(WARNED[field])
    assert status == 0 and "good" in text and f"WARNING: {field} differs" in told


def test_units_places_and_borders_are_warned_of(compare):
    def change(tree):
        tree["protocol"]["intensity_factors"]["worse"] = 1e6
        tree["protocol"]["misplaced"]["worse"] = {"turned": 5}
        tree["protocol"]["error_in_background"]["worse"] = 0.5

    status, _, told = compare(change)
    assert status == 0 and "B: worse: multiplied by 1e+06" in told
    assert "in 5 of 8 volumes" in told and "B: worse: 50% of the squared error" in told


def test_older_files_are_compared_with_a_warning(compare):
    def older(tree):
        for name in ("made", "standings", "metrics"):
            del tree[name]
        tree["protocol"] = {"region": "whole", "scale": "none"}

    status, text, told = compare(older)
    assert status == 0 and "worse" in text and "8 volumes of 7 patients" in text
    assert "B does not tell the settings of its metrics, its references" in told
    status, _, told = compare(lambda t: (older(t), t["protocol"].update(scale="least_squares")))
    assert status == 1 and "scale differs: A: none; B: least_squares" in told


def test_files_that_told_ranges_only_are_read(scored):
    made = json.loads(json.dumps(scored[1]["made"]))
    del made["varying"]
    made["methods"]["worse"]["maps"] = "2 different ones"
    origin = stored_origins(made, {"worse": ["v0"]})["worse"]["v0"]
    assert origin.acceleration == 0 and origin.maps == "" and origin.acs == (16, 8)
    whole = stored_origins(scored[1]["made"], {"worse": ["v0", "v7"]})["worse"]
    assert whole["v7"].acceleration == pytest.approx(4.07) and whole["v0"].whitened is True


def test_volumes_without_a_record_are_told(compare):
    def foreign(tree):
        empty = {"acceleration": 0.0, "acs": None, "mask": "", "whitened": None}
        tree["made"]["methods"]["worse"] = empty
        tree["made"]["varying"]["worse"] = {}

    status, _, told = compare(foreign)
    assert status == 0 and "the volumes of worse do not tell how they were made" in told


def test_patients_are_those_of_any_file(compare):
    def regroup(tree):
        tree["made"]["patient_of"]["v0"] = tree["made"]["patient_of"]["v1"]

    status, text, told = compare(regroup)
    assert status == 0 and "8 volumes of 6 patients" in text
    assert "patients differ: A 7; B 6 for the same 8 volumes" in told
    renamed = compare(lambda t: t["made"].update(patient_of={f"v{k}": f"x{k}" for k in range(8)}))
    assert "8 volumes of 7 patients" in renamed[1] and "A 7; B 8" in renamed[2]


def regional(tree, volumes, voxels=9):
    for row in list(tree["scores"]):
        if row["volume"] in volumes:
            tree["scores"].append({**row, "region": "lesion"})
            tree["protocol"]["regions"].setdefault(row["volume"], {})["lesion"] = voxels


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (["v0", "v1"], ["v0", "v1"], ""),
        (["v0", "v1"], [], "WARNING: regions that only some of the files have"),
        (["v0", "v1"], ["v0"], "lesion of v1 has other voxels: A 9 voxels; B no voxels"),
    ],
)
def test_regions_are_compared_where_all_have_them(
    scored, tmp_path, monkeypatch, capsys, ours, theirs, told
):
    files = [
        stored(tmp_path / f"{name}.json", tree, lambda t, own=own: regional(t, own))
        for name, tree, own in zip("AB", scored, (ours, theirs), strict=True)
    ]
    if "voxels" in told:
        with pytest.raises(SystemExit) as end:
            run(monkeypatch, "compare", *files)
        assert told in str(end.value.code)
        run(monkeypatch, "compare", *files, "--allow", "regions")
        assert capsys.readouterr().out.count(" lesion ") >= 4
        return
    run(monkeypatch, "compare", *files)
    out = capsys.readouterr()
    assert told in out.err and ((" lesion " in out.out) is (not told))


def test_regions_of_other_voxels_are_refused(scored, tmp_path, monkeypatch):
    files = [
        stored(tmp_path / f"{name}.json", tree, lambda t, n=n: regional(t, ["v0"], n))
        for name, tree, n in zip("AB", scored, (9, 10), strict=True)
    ]
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, "compare", *files)
    assert "lesion of v0 has other voxels: A 9 voxels; B 10 voxels" in str(end.value.code)


def test_what_cannot_be_compared_is_told(scored, tmp_path, monkeypatch):
    a = stored(tmp_path / "a" / "scores.json", scored[0])
    b = stored(tmp_path / "sweep" / "0" / "scores.json", scored[1])
    edited = stored(tmp_path / "edited.json", scored[1])
    edited.write_text(edited.read_text().replace('"worse"', '"great"'))
    copy = stored(tmp_path / "copy.json", scored[0])
    others = stored(tmp_path / "o.json", scored[1], lambda t: [
        row.update(volume=f"x{row['volume']}") for row in t["scores"]
    ] and t.pop("made"))  # fmt: skip
    one = stored(tmp_path / "one.json", scored[0], lambda t: t.update(
        scores=[row for row in t["scores"] if row["method"] == "good"]
    ))  # fmt: skip
    twice = stored(tmp_path / "t.json", scored[0], lambda t: t["scores"].append(t["scores"][0]))
    (tmp_path / "list.json").write_text("[1]")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 200_000)
    (tmp_path / "empty").mkdir()
    foreign = tmp_path / "foreign.md"
    foreign.write_text("mine")
    raw = tmp_path / "raw.h5"
    cases = (
        ([a, tmp_path / "none.json"], "no such file"),
        ([a, edited], "edited.json was changed since mrirecon evaluate wrote it"),
        ([a, edited, "--allow", "region"], "was changed since"),
        ([a, copy], "are the same scores"),
        ([a, a], "are the same scores"),
        ([a, tmp_path / "sweep"], f"there are {b}: name these"),
        ([a, tmp_path / "empty"], "holds no scores.json; mrirecon evaluate"),
        ([a, tmp_path / "list.json"], "expected scores.json of `mrirecon evaluate`"),
        ([a, deep], "deep.json holds no scores"),
        ([a, others], "have no volume in common"),
        ([one], "one method only, good"),
        ([a, twice], "several scores"),
        ([a, b, "--slice", "3"], "--slice is for a raw file"),
        ([raw, raw], "is no file of scores"),
        ([raw, "--allow", "region"], "--allow and --output are for scores"),
        ([a, b, "--output", tmp_path / "x.txt"], "expected FILE.json or FILE.md"),
        ([a, b, "--output", foreign], "foreign.md exists already"),
        ([a, b, "--output", foreign, "--overwrite"], "foreign.md is not replaced"),
        ([a, b, "--output", a, "--overwrite"], "would replace an input"),
    )
    for words, message in cases:
        with pytest.raises(SystemExit) as end:
            run(monkeypatch, "compare", *words)
        assert message in str(end.value.code), words
    assert foreign.read_text() == "mine"
    mine = tmp_path / "mine.md"
    for more in ([], ["--overwrite"]):
        run(monkeypatch, "compare", a, tmp_path / "sweep" / "0", "--output", mine, *more)
    assert "| worse |" in mine.read_text()


def test_names_do_not_change_tables(scored, tmp_path, monkeypatch):
    def rename(tree):
        text = json.dumps(tree).replace('"worse"', '"a|b <script>"')
        tree.clear()
        tree.update(json.loads(text))

    files = [
        stored(tmp_path / n / "s" / "scores.json", t, rename)
        for n, t in zip("AB", scored, strict=True)
    ]
    output = tmp_path / "x.md"
    run(monkeypatch, "compare", *files, "--output", output)
    text = output.read_text()
    assert (
        "| a\\|b \\<script\\> |" in text
        and "| bad \\(A/s\\) |" in text
        and "<script" not in text.replace("\\<", "")
    )


def test_infinite_values_stay_infinite(scored, tmp_path):
    path = stored(tmp_path / "x.json", scored[0], lambda t: t["scores"][0].update(psnr=None))
    assert read_scores(path).scores[0].psnr == np.inf


def test_references_are_told_apart_whatever_the_rounding():
    torch = pytest.importorskip("torch")
    volume = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    own = signature(volume)
    assert signature(volume.double().mul(1 + 1e-7).float()) == pytest.approx(own, rel=1e-6)
    for other in (
        volume.flip(0),
        volume.flip(1),
        volume.transpose(1, 2),
        volume + 0.01,
        2 * volume,
    ):
        assert max(abs(a / b - 1) for a, b in zip(signature(other), own, strict=True)) > 1e-4


def test_facts_that_are_zero_or_false_differ_and_long_ones_are_shown_apart():
    pair = {
        "a": {"v": Origin(whitened=True, acs=(8, 8))},
        "b": {"v": Origin(whitened=False, acs=(0, 0))},
    }
    assert differing_facts(pair, ("whitened", "acs", "maps")) == {
        "whitened": "whitened differs in 1 volumes, as in v: a True; b False",
        "acs": "acs differs in 1 volumes, as in v: a 8 x 8; b 0 x 0",
    }
    assert differing_facts({"a": pair["a"], "b": {"v": Origin()}}, ("whitened", "acs")) == {}
    texts = [f"Maps({'a' * 70}crop={crop})" for crop in (0.8, 0.0)]
    assert [one[-9:] for one in shown_apart(texts)] == ["crop=0.8)", "crop=0.0)"]


def test_maps_are_those_that_the_method_uses(tmp_path):
    parts = {
        "zero": "model: {_target_: a.ZeroFilled}",
        "wrapped": "model: {_target_: a.P, inner: {_target_: a.Cg, sensitivity: {_target_: b.W}}}",
    }
    found = {}
    for name, model in parts.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            told = file.create_group("provenance")
            told.attrs["config"] = f"sensitivity: {{_target_: c.Unused}}\n{model}\n"
        found[name] = read_origin(tmp_path / f"{name}.h5").maps
    assert found == {"zero": "", "wrapped": "W()"}
