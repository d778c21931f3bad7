"""Model cards: every number comes from a file that an evaluation wrote."""

import hashlib
import json
import sys

import h5py
import numpy as np
import pytest
import torch
import yaml

from mrirecon import cli
from mrirecon.defaults import default_of
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.evaluation.model_card import NOT_CLINICAL, read_description
from mrirecon.evaluation.scores.protocol import Protocol, Score
from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.evaluation.stored.results import read_results
from mrirecon.evaluation.tables.summaries import report_json, summarize
from mrirecon.files import Kind, conf_folder, found_kind, mark, stamped
from mrirecon.metrics import KNOWN
from mrirecon.reconstructors import VarNet
from mrirecon.sensitivity import LearnedMaps
from mrirecon.simulation.anatomy_bank import Source, write_bank

DESCRIPTION = {
    "title": "A small network",
    "about": "It is small, and was\nmade for a test.",
    "licence": "Apache-2.0",
    "method": "ours",
    "training": [
        {"data": "simulated anatomy", "share": 62.5, "licence": "none", "source": "mrirecon"},
        {"data": "Colin 27", "share": 37.5, "licence": "BSD-3 | MIT", "source": "mricron-data"},
    ],
    "purpose": ["Brains of 4 to 16 coils."],
    "limits": ["Radial trajectories."],
    "experiments": ["demo"],
    "failures": [{"what": "Aliasing of fat.", "picture": "pictures/fat shift.png"}],
}  # fmt: skip


@pytest.fixture
def describe(tmp_path):
    """Write a description with some keys changed; None takes one away."""
    pictures = tmp_path / "recipe" / "pictures"
    pictures.mkdir(parents=True)
    (pictures / "fat shift.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    def write(**changes):
        tree = {k: v for k, v in (DESCRIPTION | changes).items() if v is not None}
        (tmp_path / "recipe" / "description.yaml").write_text(yaml.safe_dump(tree))
        return tmp_path / "recipe" / "description.yaml"

    return write


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    model = VarNet(cascades=1, channels=2, pools=2, sensitivity=LearnedMaps(2, 2))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt", sum(p.numel() for p in model.parameters())


def command(*words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mrirecon", *map(str, words)])
    cli.main()


@pytest.fixture
def scores(tmp_path, monkeypatch, capsys):
    """The report of `mrirecon evaluate` on two methods and six volumes, the last the worst."""
    rng = np.random.default_rng(0)
    for number in range(6):
        reference = rng.random((1, 32, 32), dtype=np.float32) + 1
        noise = rng.standard_normal(reference.shape).astype(np.float32)
        for name, level in (("reference", 0), ("ours", 0.05 * (number + 1)), ("theirs", 0.25)):
            path = tmp_path / name / f"v{number}.h5"
            path.parent.mkdir(exist_ok=True)
            with h5py.File(path, "w") as file:
                key = "reconstruction_rss" if name == "reference" else "reconstruction"
                file[key] = reference + level * noise
    command(
        "evaluate", f"reference={tmp_path}/reference",
        f"reconstruction=[{tmp_path}/ours,{tmp_path}/theirs]", f"output={tmp_path}/scores",
        "pictures=0", monkeypatch=monkeypatch,
    )  # fmt: skip
    capsys.readouterr()
    return tmp_path / "scores" / "scores.json"


def measured(path, gains=(1.25, -0.5, 2.0)):
    """What benchmarks/measured.py writes."""

    def result(psnr):
        scores = {m: {"psnr": psnr, "ssim": 0.9, "unscaled": psnr} for m in ("combined", "RSS")}
        return {"program": "BART", "kind": "L1-wavelet", "scores": scores}

    rows = [
        {"case": f"brain.h5 [{n}], uniform 4", "acceleration": 3.25,
         "best": dict.fromkeys(("combined", "RSS"), result(30.0)),
         "also": {"ours": result(30.0 + gain)}}
        for n, gain in enumerate(gains)
    ]  # fmt: skip
    path.write_text(json.dumps(rows))
    return path


def test_a_card_tells_everything(describe, weights, scores, tmp_path, monkeypatch, capsys):
    path, count = weights
    table, output = measured(tmp_path / "table.json"), tmp_path / "cards" / "card.md"
    words = ["card", path, describe(), output, "--results", scores, table]
    command(*words, monkeypatch=monkeypatch)
    card = output.read_text()
    assert NOT_CLINICAL in card and "It is small, and was made for a test." in card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card and f"{count:,} weights" in card
    assert "| simulated anatomy | 62.5 % | none | mrirecon |" in card
    assert r"BSD-3 \| MIT" in card
    assert "- Brains of 4 to 16 coils." in card and "- Radial trajectories." in card
    # the recipe, with its text and checksum
    recipe = (conf_folder() / "experiment" / "demo.yaml").read_bytes()
    assert hashlib.sha256(recipe).hexdigest() in card and recipe.decode().strip() in card
    # pictures are found from where the card is
    assert "![Aliasing of fat.](../recipe/pictures/fat%20shift.png)" in card
    assert found_kind(output) is Kind.CARD
    # numbers are those of the files
    report = json.loads(scores.read_text())
    ours = next(one for one in report["summary"] if one["method"] == "ours")
    low, high = ours["interval"]["psnr"]
    assert f"{ours['mean']['psnr']:.2f} [{low:.2f}, {high:.2f}]" in card
    values = {
        method: [one["ssim"] for one in report["scores"] if one["method"] == method]
        for method in ("ours", "theirs")
    }
    ahead = np.subtract(values["ours"], values["theirs"])
    low, high = bootstrap_interval(ahead)
    assert f"SSIM {ahead.mean():+.4f} [{low:+.4f}, {high:+.4f}]" in card
    assert f"- SSIM {min(values['ours']):.4f} for v5" in card
    assert "combined: +0.92 dB" in card and "least -0.50, 2 of 3" in card  # too few to say more
    assert "- 0.50 dB below BART L1-wavelet (combined) for brain.h5 [1], uniform 4" in card
    capsys.readouterr()
    # it is made again of the same sources only
    command(*words, "--check", monkeypatch=monkeypatch)
    assert "is up to date" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="exists already"):
        command(*words, monkeypatch=monkeypatch)
    describe(purpose=["Knees."])
    with pytest.raises(SystemExit, match=r"changed: description.*--overwrite"):
        command(*words, "--check", monkeypatch=monkeypatch)
    command(*words, "--overwrite", monkeypatch=monkeypatch)
    assert "- Knees." in output.read_text()
    measured(table, (1.0, 1.0, 1.0))
    with pytest.raises(SystemExit, match=r"changed: results table\.json\)"):
        command(*words, "--check", monkeypatch=monkeypatch)
    output.write_text(output.read_text() + "Edited.\n")
    with pytest.raises(SystemExit, match="changed since"):
        command(*words, "--overwrite", monkeypatch=monkeypatch)


def test_without_results_it_says_so_and_a_checkpoint_brings_its_model(
    describe, weights, tmp_path, monkeypatch
):
    path, _ = weights
    command("convert", path, tmp_path / "own.ckpt", monkeypatch=monkeypatch)
    plain = describe(experiments=None, failures=None)
    command("card", tmp_path / "own.ckpt", plain, tmp_path / "card.md", monkeypatch=monkeypatch)
    card = (tmp_path / "card.md").read_text()
    assert "No evaluation has been given" in card and "None is known" in card
    assert "_target_: mrirecon.reconstructors.VarNet" in card and NOT_CLINICAL in card


def test_results_of_other_metrics_and_of_regions_are_told_with_their_direction(tmp_path):
    """Lower is better: the worst volumes are those with the highest values; regions are apart."""
    protocol = Protocol(metrics={name: KNOWN[name] for name in ("gmsd", "hfen")})
    scores = [
        Score(method, f"v{n}", {"gmsd": level * (n + 1), "hfen": 0.5}, label)
        for method, level in (("ours", 0.01), ("theirs", 0.02))
        for n in range(6)
        for label in ("", "Cyst")
    ]
    facts = {"output": mark(Kind.SCORES), "protocol": protocol.facts()}
    report = report_json(scores, summarize(scores), protocol.infos, **facts)
    (tmp_path / "scores.json").write_bytes(stamped(report.encode(), Kind.SCORES))
    found = read_results(tmp_path / "scores.json", "ours")
    assert found.head == ("method", "volumes", "GMSD", "HFEN")
    assert [row[:2] for row in found.rows] == [("**ours**", "6"), ("theirs", "6")]
    assert found.rows[0][2].startswith("0.0350 [")
    assert found.worst == ("GMSD 0.0600 for v5", "GMSD 0.0500 for v4", "GMSD 0.0400 for v3")
    assert found.remarks[0].endswith("; name whole, region whole, scale none.")
    assert "ours minus theirs, volume by volume: GMSD -0.0350 [" in found.remarks[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training": DESCRIPTION["training"][:1]}, "sum to 62.5 percent"),
        ({"about": None}, "lacks about"),
        ({"training": [{"data": "a", "share": 100}]}, "training lacks licence"),
        ({"training": [{**DESCRIPTION["training"][0], "share": "all"}]}, "expected a number"),
        ({"training": [{**DESCRIPTION["training"][0], "share": -1}]}, "above 0"),
        ({"failures": [{"what": "a", "picture": "b.png"}]}, "b.png is not there"),
        ({"colour": "red"}, "colour is no key"),
        ({"purpose": []}, "a sentence each"),
        ({"limits": "none"}, "limits: expected a list"),
        ({"licence": ""}, "licence: expected words"),
    ],
)  # fmt: skip
def test_descriptions_that_are_none_are_refused(changes, told, describe):
    with pytest.raises(ConfigError, match=told):
        read_description(describe(**changes))


def test_results_that_nobody_wrote_are_refused(scores, tmp_path):
    assert read_results(scores, "ours").rows[0][0] == "**ours**"
    with pytest.raises(RawDataError, match="no method 'mine'; it knows ours, theirs"):
        read_results(scores, "mine")
    with pytest.raises(RawDataError, match="no method 'mine'; it knows ours"):
        read_results(measured(tmp_path / "table.json"), "mine")
    edited = scores.read_text().replace('"volumes": 6', '"volumes": 7')
    scores.write_text(edited)
    with pytest.raises(RawDataError, match="was changed since"):
        read_results(scores, "ours")
    for content in ("[]", "{}", "[1]", "no", '[{"also": {"ours": 1}}]', '[{"also": 3}]'):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(RawDataError, match=r"other\.json (holds no|is not as|has no method)"):
            read_results(tmp_path / "other.json", "ours")
    with pytest.raises(RawDataError, match="holds no results"):
        read_results(tmp_path / "missing.json", "ours")


def test_an_infinite_psnr_is_told(tmp_path):
    summary = [{"method": "ours"}]
    rows = [
        {"method": "ours", "volume": v, "nmse": 0.0, "psnr": p, "ssim": 1.0}
        for v, p in (("a", None), ("b", 40.0))
    ]
    mark = {"output": "mrirecon output: scores 00000000", "summary": summary, "scores": rows}
    path = tmp_path / "scores.json"
    path.write_bytes(stamped(json.dumps(mark).encode(), Kind.SCORES))
    assert "40.00 (and 1 infinite)" in read_results(path, "ours").rows[0]


def test_training_data_are_those_of_the_file_that_was_drawn_from(
    describe, weights, tmp_path, monkeypatch
):
    bank, output = tmp_path / "bank.h5", tmp_path / "card.md"
    sources = [Source("heads", "MIT", "here", 30), Source("Colin 27", "BSD-3-Clause", "Debian", 10)]
    write_bank(bank, iter([]), sources, 0)
    recipe = describe(training=None, experiments=["pretrained_denoiser", "pretrained"])
    words = ["card", weights[0], recipe, output]
    with pytest.raises(SystemExit, match="by the description or by --bank"):
        command(*words, monkeypatch=monkeypatch)
    command(*words, "--bank", bank, monkeypatch=monkeypatch)
    shapes = default_of("mrirecon.simulation.RandomScans", "shapes")
    card = output.read_text()
    assert f"| heads | {75 * (1 - shapes):.3g} % | MIT | here |" in card
    assert f"| Colin 27 | {25 * (1 - shapes):.3g} % | BSD-3-Clause | Debian |" in card
    assert f"| random smooth shapes | {100 * shapes:.3g} % |" in card
    assert card.count("conf/experiment/pretrained") == 2
    for changes, told in (
        ({}, "by the description or by --bank"),
        ({"training": None}, "demo draws from no file"),
        ({"training": None, "experiments": None}, "name the recipe"),
    ):
        with pytest.raises(SystemExit, match=told):
            command("card", weights[0], describe(**changes), tmp_path / "other.md", "--bank", bank,
                    monkeypatch=monkeypatch)  # fmt: skip
    bank.write_bytes(b"no file of images")
    with pytest.raises(SystemExit, match=r"no HDF5 file.*anatomy_bank\.py"):
        command("card", weights[0], describe(training=None), tmp_path / "other.md", "--bank", bank,
                monkeypatch=monkeypatch)  # fmt: skip


def test_an_input_is_not_replaced(describe, weights, monkeypatch):
    description = describe()
    with pytest.raises(SystemExit, match="would replace an input"):
        command("card", weights[0], description, description, monkeypatch=monkeypatch)
    with pytest.raises(SystemExit, match=r"there is no nothing\.yaml"):
        command("card", weights[0], describe(experiments=["nothing"]), "card.md",
                monkeypatch=monkeypatch)  # fmt: skip
