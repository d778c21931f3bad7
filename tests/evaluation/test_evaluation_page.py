"""The report of an evaluation for people, and its tables for texts, tell what scores.json tells."""

import json
import re
import shutil
import sys
from html import unescape

import h5py
import numpy as np
import pytest

from mrirecon import cli
from mrirecon.evaluation.origins.making_rows import making_rows
from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.origins.origin import Origin
from mrirecon.evaluation.page.page_pictures import MOST_METHODS, Pick, agreement_picture, picks
from mrirecon.evaluation.page.report_page import as_page
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import Protocol, Score
from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.evaluation.tables.leading import best_first, leading_metric
from mrirecon.evaluation.tables.summary_markup import latex, markdown
from mrirecon.figures import Panel, closeup, structure_maps
from mrirecon.figures.closeup import largest_error
from mrirecon.files import Kind, found_kind
from mrirecon.metrics import KNOWN, MetricInfo

EVIL = '<script>alert(1)<&_$|"`'
METHODS = {"fine": 0.02, EVIL: 0.1, "alike": 0.1}
QUOTED = "v0 \"a' <i>"


def volumes(root, patients=7, methods=METHODS):
    """Write two volumes of each patient: references, and images with noise."""
    rng = np.random.default_rng(0)
    for number in range(2 * patients):
        reference = rng.random((3, 24, 20)).astype(np.float32)
        name = QUOTED if number == 0 else f"v{number}"
        levels = {"reference": 0.0, **methods}
        for folder, level in levels.items():
            path = root / folder / f"{name}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(path, "w") as file:
                noise = level * (1 + 0.2 * rng.random()) * rng.normal(size=reference.shape)
                file["reconstruction"] = (reference + noise).astype(np.float32)
                file.attrs["patient_id"] = f"p{number // 2}"
    return root


def run(monkeypatch, root, *words, methods=METHODS):
    named = ", ".join(f"'{root}/{name}'" for name in methods)
    argv = [
        "evaluate", f"reference={root}/reference", f"reconstruction=[{named}]",
        f"output={root}/out", "workers=1", *words,
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["mrirecon", *argv])
    cli.main()
    return root / "out"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        root = volumes(tmp_path_factory.mktemp("page"))
        return run(patch, root, "pictures=1")


def cells(page, title):
    """Return the rows of the table of a section, without tags."""
    section = page.split(f"<h2>{title}</h2>")[1].split("</section>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", section)
    return [
        [unescape(re.sub("<[^>]+>", "", c)) for c in re.findall(r"<t[dh]>(.*?)</t[dh]>", row)]
        for row in rows
    ]


def test_numbers_are_those_of_the_scores(written):
    told = json.loads((written / "scores.json").read_text())
    page = (written / "report.html").read_text(encoding="utf-8")
    head, *rows = cells(page, "Methods")
    assert head == ["method", "volumes", "NMSE ↓", "PSNR / dB ↑", "SSIM ↑"]
    by_method = {one["method"]: one for one in told["summary"]}
    orders = {one["metric"]: one for one in told["standings"]}
    order = [one["method"] for one in orders["ssim"]["order"]]
    assert [row[0] for row in rows] == order and order[0] == "fine"
    for row in rows:
        own = by_method[row[0]]
        assert row[1] == "14"
        for cell, metric in zip(row[2:], ("nmse", "psnr", "ssim"), strict=True):
            digits = told["metrics"][metric]["digits"]
            low, high = own["interval"][metric]
            groups = {o["method"]: o["groups"] for o in orders[metric]["order"]}[row[0]]
            numbers = [f"{x:.{digits}f}" for x in (own["mean"][metric], low, high)]
            assert cell == "{} [{}, {}]".format(*numbers) + groups
    # who is ahead alone is bold; two that share a letter are not
    bold = re.findall(r"<td><b>(.*?)</b>", page)
    assert len(bold) == 3 and [row[4][-1] for row in rows] == ["a", "b", "b"]

    head, *rows = cells(page, "Paired differences")
    pairs = [(one["metric"], c) for one in told["standings"] for c in one["comparisons"]]
    assert len(rows) == len(pairs) == 9
    for row, (metric, pair) in zip(rows, pairs, strict=True):
        digits = told["metrics"][metric]["digits"]
        assert row[0] == f"{pair['better']} − {pair['worse']}"
        numbers = [f"{x:+.{digits}f}" for x in (pair["difference"], *pair["interval"])]
        assert row[2] == "{} [{}, {}]".format(*numbers)
        assert row[3] == f"{pair['p_corrected']:.3f}" and row[4] == f"{pair['effect']:+.2f}"
        assert row[5] == f"{pair['ahead']:.0%} of 7"
    # lower is better: the better method is ahead in all patients
    nmse = next(c for m, c in pairs if m == "nmse" and c["better"] == "fine")
    assert nmse["difference"] < 0 and nmse["ahead"] == 1

    worst = min(
        (s for s in told["scores"] if s["method"] == "fine"), key=lambda score: score["ssim"]
    )
    row = cells(page, "Worst volumes by SSIM")[1]
    assert row[:2] == ["fine", worst["volume"]] and row[4] == f"{worst['ssim']:.4f}"
    assert "14 volumes of 7 patients" in page and "the peak is that of the reference" in page


def test_pages_and_texts_show_names_as_they_are(written):
    page = (written / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "<i>" not in page and "&lt;script&gt;" in page
    assert "<figcaption>Structure that is invented or missing in" in page
    assert page.count("<img ") == 6 and len(page) < 5_000_000  # and boxes, agreement, three volumes
    assert not re.search(r'(src|href)="(?!data:image/png)', page)
    assert found_kind(written / "report.html") is Kind.EVALUATION
    table = (written / "summary.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert r"\<script\>alert\(1\)\<\&\_\$\|" in table and len(rows) == 5
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert sum("**" in row for row in rows) == 1
    text = (written / "summary.tex").read_text(encoding="utf-8")
    assert r"\textless{}script\textgreater{}alert(1)\textless{}\&\_\$\textbar{}" in text
    body = text.split(r"\hline")[2].strip().splitlines()
    assert len(body) == 3 and all(len(re.findall(r"(?<!\\)&", row)) == 4 for row in body)
    assert body[0].startswith("fine & 14 & \\textbf{") and "\\textsuperscript{a}" in body[0]


def test_text_is_escaped():
    assert latex("a_b%{c}\\d~^#--e\n\x00f") == (
        r"a\_b\%\{c\}\textbackslash{}d\textasciitilde{}\textasciicircum{}\#-{}-e f"
    )
    assert markdown("a|b *c*\n# [d](e) <b>") == r"a\|b \*c\* \# \[d\]\(e\) \<b\>"


@pytest.mark.parametrize("name", ["report.html", "summary.md", "summary.tex"])
def test_files_of_others_are_not_replaced(written, tmp_path, monkeypatch, name):
    root = tmp_path / "again"
    shutil.copytree(written.parent, root)
    path = root / "out" / name
    path.write_text(path.read_text(encoding="utf-8") + "my own remark", encoding="utf-8")
    before = {file.name: file.read_bytes() for file in (root / "out").iterdir()}
    refused = {"overwrite=false": "exists already", "overwrite=true": rf"{name}.*changed since"}
    for word, reason in refused.items():
        with pytest.raises(SystemExit, match=reason):
            run(monkeypatch, root, "pictures=0", word)
    assert {file.name: file.read_bytes() for file in (root / "out").iterdir()} == before


def test_no_picture_of_a_volume_when_none_is_wanted(tmp_path, monkeypatch):
    methods = {"only": 0.1}
    root = volumes(tmp_path, patients=2, methods=methods)
    (root / "boxes.csv").write_text(
        "file,slice,study_level,x,y,width,height,label\n"
        + "".join(f"v{n},1,No,4,4,9,9,a & <b>\n" for n in range(1, 4))
    )
    words = ["pictures=0", f"regions={root}/boxes.csv", "metrics=[psnr,ssim]"]
    out = run(monkeypatch, root, *words, methods=methods)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 1 and "<h2>Volumes</h2>" not in page  # the boxes
    assert not list(out.glob("comparison_*")) and "Paired differences" not in page
    rows = cells(page, "Methods in region a &amp; &lt;b&gt;")
    assert rows[1][:2] == ["only", "3"] and r"**a \& \<b\>**" in (out / "summary.md").read_text()
    assert r"\textbf{a \& \textless{}b\textgreater{}}" in (out / "summary.tex").read_text()
    run(monkeypatch, root, *words, "overwrite=true", methods=methods)  # what is ours is replaced
    with pytest.raises(SystemExit, match="pictures must not be negative"):
        run(monkeypatch, root, "pictures=-1", "overwrite=true", methods=methods)


def mean_error(image, reference):
    return float(np.abs(image - reference).mean())


def test_values_without_order_and_without_end_are_told(tmp_path, monkeypatch):
    methods = {"noisy": 0.1, "perfect": 0.0}
    root = volumes(tmp_path, patients=1, methods=methods)
    node = "{_target_: tests.evaluation.test_evaluation_page.mean_error}"
    words = ["pictures=1", f"metrics={{mine: {node}}}", "overwrite=true"]
    page = (run(monkeypatch, root, *words, methods=methods) / "report.html").read_text("utf-8")
    assert cells(page, "Methods")[0] == ["method", "volumes", "mine"]
    assert "First volume: v0" in page and "Worst" not in page and page.count("<img ") == 3
    words = ["pictures=0", "metrics=[psnr,ssim]", "overwrite=true"]
    page = (run(monkeypatch, root, *words, methods=methods) / "report.html").read_text("utf-8")
    assert ["perfect", "2", "inf", "1.0000"] in cells(page, "Methods")
    assert "1 values are not finite and not drawn" in page and "2 volumes of 1 patient," in page
    assert [row[1] for row in cells(page, "Paired differences")[1:]] == ["SSIM"]


def test_patients_without_a_finite_value_are_left_out_and_counted():
    rows = [
        Score(method, f"v{n}", {"psnr": np.inf if n == 0 and ahead else 30.0 + n % 3 + ahead})
        for n in range(8)
        for method, ahead in (("one", 1.0), ("two", 0.0))
    ]
    protocol = Protocol(metrics={"psnr": KNOWN["psnr"]})
    found = Evaluated.of(rows, Observed(), Makings({}, {}), protocol)
    page = as_page(found, [], [], "", [])
    assert "PSNR: 1 patients without a finite value left out" in page
    assert "The files of 8 volumes do not tell whose they are" in page
    (row,) = cells(page, "Paired differences")[1:]
    assert row[0] == "one − two" and row[2] == "+1.00 [+1.00, +1.00]" and row[5] == "100% of 7"
    assert "each of 7 patients" in agreement_picture(found)
    assert cells(page, "Methods")[1][2] == "infa"  # ahead alone by those who have a value
    assert found.ordered_volumes("one")[0] == "v0"


def test_order_of_volumes():
    assert [(p.place, p.volume) for p in picks("abcde")] == [
        ("best", "a"), ("median", "c"), ("worst", "e"),
    ]  # fmt: skip
    assert picks("ab") == [Pick("best", "a"), Pick("worst", "b")]
    assert picks("a") == [Pick("only", "a")] and picks("") == []
    infos = {name: KNOWN[name].info for name in ("nmse", "psnr")}
    assert leading_metric(infos) == "nmse"
    assert leading_metric({**infos, "ssim": KNOWN["ssim"].info}) == "ssim"
    assert leading_metric({"mine": MetricInfo("mine", "mine")}) is None
    values = {"a": 0.3, "b": 0.1, "c": float("nan"), "d": float("inf")}
    assert best_first(values, infos["nmse"]) == ["b", "a", "d"]
    assert best_first(values, infos["psnr"]) == ["d", "a", "b"]


def test_facts_of_methods_in_words():
    ours = Origin(
        "CgSense", acceleration=4.0, acs=(1, 24), seconds_per_plane=0.25, memory=812.4, mask="A()"
    )
    later = Origin("CgSense", acceleration=5.0, acs=(1, 24), whitened=True, memory=812.4)
    makings = Makings({"a": {"v": ours, "w": later}, "b": {"v": Origin(), "w": Origin()}}, {})
    rows = {row.title: row.values for row in making_rows(makings, ["a", "b"])}
    assert rows["reconstruction"] == ("CgSense", "not told")
    assert rows["acceleration R"] == ("4.00 to 5.00", "not told") and rows["ACS"][0] == "1 x 24"
    assert rows["noise whitened"] == ("2 different ones", "not told")
    assert rows["peak memory"][0] == "812 MB" and rows["undersampling"][0] == "2 different ones"
    assert making_rows(Makings({}, {}), ["a"]) == []


def test_the_enlarged_part_is_where_errors_are():
    errors = [np.zeros((30, 60), np.float32) for _ in range(2)]
    errors[0][22:27, 41:46] = 1
    y, x, size = largest_error(errors)
    assert size == 10 and y <= 22 <= 27 <= y + size and x <= 41 <= 46 <= x + size
    assert largest_error([np.zeros((3, 2), np.float32)]) == (0, 0, 2)


@pytest.mark.parametrize("shape", [(40, 8), (6, 90), (32, 32), (1, 1)])
def test_pictures_of_any_shape_are_drawn_and_stay_small(shape):
    image = np.ones(shape, np.float32)
    figure = closeup(Panel(image, "r"), [Panel(image, "$x$", "") for _ in range(MOST_METHODS)])
    width, height = figure.get_size_inches()
    assert width * height < 60
    figure.canvas.draw()
    figure = structure_maps(Panel(image, "r"), [Panel(4 * image, "$x$")] * MOST_METHODS, 2.0)
    width, height = figure.get_size_inches()
    assert width * height < 30
    figure.canvas.draw()
