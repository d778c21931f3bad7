"""Frozen benchmarks: each case of a kit is made once, scored, and put beside published scores."""

import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from mrirecon import cli
from mrirecon.building import build_node
from mrirecon.commands import benchmark_runs
from mrirecon.commands.benchmark_methods import Entrants
from mrirecon.commands.benchmark_runs import Run, make_all, rotated
from mrirecon.commands.benchmark_scores import with_patients
from mrirecon.commands.method_words import chosen_words
from mrirecon.config import composed
from mrirecon.errors import ConfigError, OutputError, RawDataError
from mrirecon.evaluation.origins.makings import Makings
from mrirecon.evaluation.origins.origin import Origin
from mrirecon.evaluation.scores.observed import Observed
from mrirecon.evaluation.scores.protocol import Protocol, Score
from mrirecon.evaluation.stored.pooled import pooled
from mrirecon.evaluation.stored.scored import read_scores
from mrirecon.evaluation.tables.evaluated import Evaluated
from mrirecon.files import conf_folder
from mrirecon.fourier import ifft
from mrirecon.image import center_crop
from mrirecon.kits.across_readout import across_readout
from mrirecon.kits.anchors import beside
from mrirecon.kits.cases import KitCase, cases_of
from mrirecon.kits.claims import FOLDER, Claims
from mrirecon.kits.kit import Anchor
from mrirecon.kits.manifest import scans_of_kit
from mrirecon.kits.patterns import pattern_node
from mrirecon.kits.reading import kit_names, read_kit
from mrirecon.metrics import METRICS
from mrirecon.pipeline import Method, Request, run
from mrirecon.privacy import Disclosure
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.readers import open_scan
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sampling import EquispacedLines, RandomLines, SamplingPattern, scan_rng
from mrirecon.simulation import AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri
from tests import scenes
from tests.readers import array_files

FROZEN = {
    "calgary_campinas_10x": (1, "7285e346cbbe4800"),
    "calgary_campinas_5x": (1, "6d95fd95ac59b005"),
    "cmrxrecon_2023_cine_10x": (1, "e7dfe595cae769f6"),
    "cmrxrecon_2023_cine_4x": (1, "5f732d909c944aaa"),
    "cmrxrecon_2023_cine_8x": (1, "ca594c5eb9ab98cc"),
    "fastmri_brain_4x": (1, "fbd8f31f3696ebb2"),
    "fastmri_brain_8x": (1, "fcbcf77552f9a0cc"),
    "fastmri_knee_4x": (1, "e0db60a0efff1f19"),
    "fastmri_knee_8x": (1, "d8dfac65278faec2"),
    "fastmri_knee_promptmr_4x": (1, "106818f87034a6b8"),
    "fastmri_knee_promptmr_8x": (1, "ab02703c0a97d758"),
    "synthetic": (1, "f5e69472fac0bd0b"),
    "synthetic_quick": (1, "7e60398f986cc7f3"),
}
"""Version and checksum of every kit: whoever changes a description raises its version."""
TREE = {
    "version": 1,
    "target": "noise_free",
    "protocol": "whole",
    "simulated": [{
        "first": 90, "count": 2, "contrasts": ["t1", "t2"], "matrix": [32, 36], "slices": 1,
        "coils": 3, "snr": 40, "sampling": {"name": "random", "acceleration": 2, "acs": 10},
    }],
}  # fmt: skip
CASES = ("subject0090_t1", "subject0091_t2")


def write(path, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# Tiny.\n" + yaml.safe_dump({**TREE, **changes}))
    return path


def command(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["mrirecon", "benchmark", *map(str, words), "pictures=0"])
    cli.main()


def refusal(monkeypatch, *words):
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, *words)
    return str(end.value.code)


@pytest.mark.parametrize("name", kit_names())
def test_shipped_kits_are_frozen_and_complete(name):
    named = read_kit(name)
    assert (named.kit.version, named.checksum) == FROZEN[name]
    assert composed("evaluate", named.kit.protocol, "protocol") is not None
    told = [one.sampling for one in named.kit.simulated] or [named.kit.sampling]
    for sampling in told:
        pattern = build_node(pattern_node(sampling), SamplingPattern, "sampling")
        drawn = pattern((128, 128), np.random.RandomState(0))
        assert drawn.achieved > 1
    assert {one.metric for one in named.kit.anchors} <= set(
        composed("evaluate", named.kit.protocol, "protocol")["protocol"].get("metrics") or METRICS
    )
    if named.kit.files:
        assert len(named.names) == named.kit.files.count


def test_people_of_simulated_kits_are_in_no_training():
    """Trainings take 0 to 160, 400 to 403, 1000 to 1063 and 5000 to 5023."""
    people = [s for name in ("synthetic", "synthetic_quick") for s in read_kit(name).kit.simulated]
    numbers = [n for one in people for n in range(one.first, one.first + one.count)]
    assert len(set(numbers)) == len(numbers) and min(numbers) >= 70000


def test_names_draw_the_acceleration_of_promptmrs_split():
    """Its authors tell 46 files of R = 4 and 54 of R = 8, drawn by the name of the file."""
    for name, count, rate in (("4x", 46, 4), ("8x", 54, 8)):
        named = read_kit(f"fastmri_knee_promptmr_{name}")
        pattern = build_node(pattern_node(named.kit.sampling), SamplingPattern, "sampling")
        drawn = {pattern((320, 368), scan_rng(file)).nominal for file in named.names}
        assert drawn == {rate} and len(named.names) == count
    assert set(read_kit("fastmri_knee_promptmr_4x").names) < set(read_kit("fastmri_knee_4x").names)


@pytest.mark.parametrize(
    ("name", "total", "peak"),
    [("synthetic", 938857.985, 227.598816), ("synthetic_quick", 264070.055, 129.400162)],
)
def test_simulated_scans_are_the_same_everywhere(name, total, peak):
    sample = cases_of(read_kit(name), None)[0].opened()[0]
    assert float(sample.kspace.abs().double().sum()) == pytest.approx(total, rel=1e-5)
    assert float(sample.peak) == pytest.approx(peak, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "file", "kept", "places"),
    [
        ("fastmri_knee_4x", (640, 368), "file1000000.h5", 88, 16390),
        ("fastmri_brain_8x", (640, 320), "file_brain_AXFLAIR_200_6002447.h5", 40, 6446),
        ("calgary_campinas_5x", (218, 170), "e14110s3_P59904.7.h5", 7412, 1440266),
    ],
)
def test_masks_are_the_same_everywhere(name, shape, file, kept, places):
    named = read_kit(name)
    assert named.names[0] == file
    pattern = build_node(pattern_node(named.kit.sampling), SamplingPattern, "sampling")
    mask = pattern(shape, scan_rng(file)).mask
    assert (int(mask.sum()), int(mask.nonzero().sum())) == (kept, places)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simulated": []}, "expected either files or simulated"),
        ({"target": "file"}, "target: file is none of what the scans can have"),
        ({"target": "best"}, "target: expected one of file, fully_sampled, noise_free, got 'best'"),
        ({"sampling": {"name": "random"}}, "sampling: expected for files"),
        ({"version": "1"}, "version: expected a whole number"),
        ({"seed": 3}, "seed is no key of a kit"),
        ({"simulated": [TREE["simulated"][0] | {"sampling": {"name": "rnd"}}]}, "one of any, "),
        (
            {"simulated": [TREE["simulated"][0]
                           | {"sampling": {"name": "random", "x": {"_target_": "os.system"}}}]},
            "sampling: x: expected numbers",
        ),
        ({"simulated": [TREE["simulated"][0] | {"matrix": [32]}]}, "a matrix of two"),
        ({"simulated": [TREE["simulated"][0] | {"contrasts": []}]}, "contrasts: expected one"),
    ],
)  # fmt: skip
def test_a_description_that_is_none_is_refused(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message) as refused:
        read_kit(str(write(tmp_path / "mine.yaml", **changes)))
    assert "mine.yaml" in str(refused.value)


def test_two_cases_of_one_name_are_refused(tmp_path):
    named = read_kit(str(write(tmp_path / "mine.yaml", simulated=TREE["simulated"] * 2)))
    with pytest.raises(ConfigError, match="two cases are called subject0090_t1"):
        cases_of(named, None)


def test_anchors_and_notes_do_not_change_the_task(tmp_path):
    checksums = [
        read_kit(str(write(tmp_path / f"{number}.yaml", **changes))).checksum
        for number, changes in enumerate(({}, {"notes": ["new"]}, {"protocol": "fastmri"}))
    ]
    assert checksums[0] == checksums[1] != checksums[2]


@pytest.fixture
def knees(tmp_path):
    """A kit of files as fastMRI names them, and a folder with them."""
    folder = tmp_path / "multicoil_val"
    for number in range(3):
        write_fastmri(folder / f"file100000{number}.h5", scenes.scan(number, slices=1))
    (tmp_path / "names").mkdir()
    names = "".join(f"file100000{number}.h5\n" for number in (2, 0, 1))
    (tmp_path / "names" / "three.txt").write_text(f"# From somewhere.\n{names}")
    files = {
        "title": "knees", "source": "ask for them", "split": "all", "patients": "in the files",
        "count": 3, "pattern": "*.h5", "names": "three", "coils": 4, "total": 3,
        "matrix": [40, 36],
    }  # fmt: skip
    random = {"name": "random", "acceleration": 4, "center_fraction": 0.2}
    tree = {"version": 2, "target": "file", "protocol": "fastmri", "sampling": random}

    def kit(**changes):
        own = {k: v for k, v in (files | changes).items() if v is not None}
        path = tmp_path / "knees.yaml"
        path.write_text("# Three knees.\n" + yaml.safe_dump({**tree, "files": own}))
        return read_kit(str(path))

    return folder, kit


def test_files_of_a_kit_come_in_the_frozen_order_with_masks_by_their_names(knees):
    folder, kit = knees
    cases = cases_of(kit(), folder)
    assert [case.name for case in cases] == ["file1000000", "file1000001", "file1000002"]
    case = cases[1]
    method = Method(ZeroFilled(), lambda sample: sample, config="model: {}\n")
    entrants = Entrants({"zero": method}, {"kit": "knees"})
    (image,) = run(case.opened(), entrants.method("zero", case.sampling)).results
    sample = case.opened()[0]
    drawn = RandomLines(4, 0.2)((80, 36), np.random.RandomState(tuple(map(ord, "file1000001.h5"))))
    kept = sample.kspace * (drawn.mask & sample.mask)
    expected = center_crop(ifft(kept), (40, 36)).abs().square().sum(0).sqrt()
    assert torch.allclose(image.volume[0, 0], expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize(
    ("changes", "names", "problems"),
    [
        ({}, ["file1000000.h5"], ["file1000000.h5 is missing", "other.h5 does not belong to it"]),
        ({"beside": "oth*"}, ["file1000002.h5"], ["file1000002.h5 is missing"]),
        ({"coils": 15}, [], ["file1000001.h5 has 4 coils, expected 15"]),
        ({"planes": 2}, [], ["file1000000.h5 has 1 planes, expected 2"]),
        ({"matrix": [320, 36]}, [], ["has 40 rows of image, expected 320"]),
        ({"grid": [0, 38]}, [], ["has 36 columns of k-space, expected 38"]),
        ({"total": 7135, "beside": "*"}, [], ["all files together have 3 planes, expected 7135"]),
        ({"names": None}, [], ["4 files match *.h5, expected 3"]),
    ],
)
def test_a_folder_that_is_not_that_of_the_kit_is_refused_with_a_list(
    changes, names, problems, knees
):
    folder, kit = knees
    (folder / "other.h5").write_bytes((folder / "file1000000.h5").read_bytes())
    for name in names:
        (folder / name).unlink()
    with pytest.raises(RawDataError) as refused:
        scans_of_kit(kit(**changes), folder)
    assert all(problem in str(refused.value) for problem in problems)
    assert "ask for them" in str(refused.value)


def test_a_scan_without_a_reference_is_refused_before_anything_is_made(knees, tmp_path):
    folder, kit = knees
    options = AcquisitionOptions(sampling=EquispacedLines(2, acs=12))
    write_fastmri(folder / "file1000001.h5", scenes.scan(1, slices=1), options, overwrite=True)
    with pytest.raises(RawDataError, match="brings no reconstruction to compare with"):
        scans_of_kit(kit(), folder)
    case = KitCase("file1000001", scenes.scan().header, {}, folder / "file1000001.h5", folder)
    methods = {"reference": Method(ZeroFilled(), lambda sample: sample, config="model: {}\n")}
    wanted = Run(
        tmp_path / "out", [case], Entrants(methods, {}), "fully_sampled", False, Request(), False
    )
    with pytest.raises(RawDataError, match="is undersampled, so its images are no reference"):
        wanted.refuse(allow_leak=False)


def test_a_reference_is_made_of_all_samples_by_the_same_hand(knees, tmp_path):
    folder, kit = knees
    (case, *_) = cases_of(kit(), folder)
    method = Method(ZeroFilled(), lambda sample: sample, config="model: {}\n")
    methods = {"reference": method, "zero": method}
    wanted = Run(
        tmp_path / "out", [case], Entrants(methods, {}), "fully_sampled", False, Request(), False
    )
    assert wanted.refuse(allow_leak=False) == set()
    make_all(wanted, Claims(wanted.folder))
    images = {}
    for path in (wanted.reference(case), wanted.volume("zero", case)):
        with h5py.File(path) as file:
            images[path] = torch.from_numpy(file["reconstruction"][0])
    whole, reduced = images.values()
    full = case.opened()[0]
    assert torch.allclose(whole, full.target, rtol=1e-3, atol=1e-4 * float(full.target.max()))
    assert (reduced - whole).norm() > 0.05 * whole.norm()
    assert wanted.refuse(allow_leak=False) == images.keys()
    # whatever the images may tell of where they come from, they are the same
    full = replace(wanted, request=Request(disclosure=Disclosure.FULL))
    wanted.reference(case).unlink()
    make_all(full, Claims(full.folder))
    assert wanted.refuse(allow_leak=False) == full.refuse(allow_leak=False) == images.keys()


def test_a_subset_wants_only_its_own_files(knees):
    folder, kit = knees
    (folder / "file1000002.h5").unlink()
    named = kit()
    assert [case.name for case in cases_of(named, folder, 2)] == ["file1000000", "file1000001"]
    for wrong in (0, 4):
        with pytest.raises(ConfigError, match="has 3 cases; choose 1 to 3"):
            cases_of(named, folder, wrong)
    with pytest.raises(ConfigError, match="data is missing: data=FOLDER with knees; ask for them"):
        cases_of(named, None)


def test_volumes_of_3d_scans_lie_as_their_protocol_scores_them(tmp_path):
    """Calgary-Campinas leaves out ends of the readout, not of the second phase encoding."""
    real, imaginary = np.random.default_rng(0).standard_normal((2, 6, 12, 8, 10))
    images = real + 1j * imaginary
    path = array_files.calgary_campinas(tmp_path / "e1.h5", images)
    scan = open_scan(path)
    (turned,) = run(scan, Method(ZeroFilled(), lambda sample: sample)).results
    result = across_readout(turned, scan.header)
    assert turned.volume.shape == (1, 10, 6, 8) and result.volume.shape == (1, 6, 8, 10)
    expected = ifft(scan[2].kspace).abs().square().sum(0).sqrt()
    assert torch.allclose(result.volume[0, 2], expected, rtol=1e-4)
    assert (result.header.slices, result.header.matrix) == (6, (8, 10))
    assert across_readout(replace(turned, volumetric=False), scan.header).volume is turned.volume


# ---- the command


def volumes(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("volumes/*/*.h5"))


def test_a_benchmark_goes_on_and_never_mixes(tmp_path, monkeypatch, capsys):
    kit, output = write(tmp_path / "tiny.yaml"), tmp_path / "out"
    words = [f"kit={kit}", f"output={output}"]
    # subset first: a result of its own
    command(monkeypatch, *words, "model=zero_filled", "subset=1")
    text = capsys.readouterr()
    assert "which is no result of the kit tiny" in text.err
    assert "Published scores do not apply: these are the first 1 of 2 cases." in text.out
    (tmp_path / "one.json").write_bytes((output / "scores.json").read_bytes())
    kept = (output / "volumes/zero_filled/subject0090_t1.h5").stat().st_mtime_ns
    # then all, with a second method: the volume that is there stays
    command(monkeypatch, *words, "model=[zero_filled,cg_sense]")
    assert (output / "volumes/zero_filled/subject0090_t1.h5").stat().st_mtime_ns == kept
    made = [f"volumes/{m}/{c}.h5" for m in ("cg_sense", "zero_filled") for c in CASES]
    assert volumes(output) == made
    told = json.loads((output / "scores.json").read_text())
    task = told["task"]
    named = read_kit(str(kit))
    assert (task["kit"], task["version"], task["checksum"]) == ("tiny", 1, named.checksum)
    assert (task["scored"], task["cases"]) == (2, 2)
    assert {row["volume"] for row in told["scores"]} == set(CASES)
    assert told["made"]["patients"] == 2 and told["protocol"]["name"] == "whole"
    assert not (output / FOLDER).exists()
    page = (output / "report.html").read_text()
    assert named.checksum in page and "random(acceleration=2, acs=10)" in page
    # fewer cases do not take the place of all, and do not compare with them
    fewer = refusal(monkeypatch, *words, "model=zero_filled", "subset=1")
    assert "holds the scores of 1 more cases, subject0091_t2 among them" in fewer
    with pytest.raises(ConfigError, match=r"task differs: out: tiny version 1 .*all 2 cases; one"):
        pooled([read_scores(file) for file in (output / "scores.json", tmp_path / "one.json")])
    # nothing is made again
    monkeypatch.setattr(benchmark_runs, "run", None)
    command(monkeypatch, *words, "model=cg_sense")
    assert "zero_filled" in (output / "summary.csv").read_text()
    # what this run would not make is refused
    capsys.readouterr()
    other = "methods={cg_sense: {model: cg_sense, model.iterations: 2}}"
    told = refusal(monkeypatch, *words, other)
    assert "cg_sense/subject0090_t1.h5: it was made with another model" in told
    changed = write(tmp_path / "tiny.yaml", version=2)
    told = refusal(monkeypatch, f"kit={changed}", f"output={output}", "model=cg_sense")
    assert "holds other scores, those of tiny version 1" in told
    for file in filter(Path.is_file, output.iterdir()):
        file.unlink()
    told = refusal(monkeypatch, f"kit={changed}", f"output={output}", "model=cg_sense")
    assert "it was made with another benchmark" in told
    write(tmp_path / "tiny.yaml")
    # a volume of another scan, and one of another program
    there = output / "volumes/cg_sense"
    (there / "subject0091_t2.h5").write_bytes((there / "subject0090_t1.h5").read_bytes())
    assert "it was made of other raw data" in refusal(monkeypatch, *words, "model=cg_sense")
    with h5py.File(there / "subject0091_t2.h5", "w") as file:
        file["reconstruction"] = np.ones((1, 32, 36), np.float32)
    foreign = (there / "subject0091_t2.h5").read_bytes()
    told = refusal(monkeypatch, *words, "model=cg_sense", "overwrite=true")
    assert "1 of 4 volumes could not be made" in told
    assert "is no volume of mrirecon" in capsys.readouterr().err
    assert (there / "subject0091_t2.h5").read_bytes() == foreign


def test_who_has_learned_from_these_people_is_refused_before_anything_is_made(tmp_path, knees):
    folder, kit = knees
    cases = cases_of(kit(), folder)
    network = ZeroFilled()
    network.patients = frozenset({patient_pseudonym(cases[1].header.subject)})
    method = Method(network, lambda sample: sample, config="model: {}\n")
    wanted = Run(
        tmp_path / "out", cases, Entrants({"mine": method}, {}), "file", False, Request(), False
    )
    with pytest.raises(ConfigError, match="mine has learned from the patients of file1000001, so"):
        wanted.refuse(allow_leak=False)
    wanted.refuse(allow_leak=True)


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (("cg_sense", None, None), {"cg_sense": ("model=cg_sense",)}),
        ((["a", "b", "a"], None, None), {"a": ("model=a",), "b": ("model=b",)}),
        ((None, "runs/best.ckpt", None), {"best": ("checkpoint=runs/best.ckpt",)}),
        ((None, "zoo:uniform", None), {"uniform": ("checkpoint=zoo:uniform",)}),
        ((None, {"mine": "a/best.ckpt", "yours": "b/best.ckpt"}, None),
         {"mine": ("checkpoint=a/best.ckpt",), "yours": ("checkpoint=b/best.ckpt",)}),
        ((None, None, {"x": {"model": "y", "model.steps": [1, 2], "fallback": None}}),
         {"x": ("model=y", "model.steps=[1, 2]", "fallback=null")}),
        ((None, ["a/best.ckpt", "b/best.ckpt"], None), "two files have the same name"),
        (("a", None, {"a": {"model": "b"}}), "two methods of the name a"),
        (("reference", None, None), "'reference' cannot be the name"),
        ((None, {"../x": "a.ckpt"}, None), "'../x' cannot be the name"),
        ((None, {".x": "a.ckpt"}, None), "'.x' cannot be the name"),
        ((None, None, None), "no method: model="),
    ],
)  # fmt: skip
def test_methods_are_named_and_chosen_as_for_reconstruct(chosen, found):
    if isinstance(found, str):
        with pytest.raises(ConfigError, match=found.replace(".", "[.]")):
            chosen_words(*chosen)
    else:
        assert chosen_words(*chosen) == found


def test_scans_of_one_patient_count_as_such(knees):
    folder, kit = knees
    cases = cases_of(kit(), folder)
    twice = replace(cases[1], header=replace(cases[1].header, subject=cases[0].header.subject))
    nameless = replace(cases[2], header=replace(cases[2].header, subject=None))
    told = {case.name: f"anonymous-{case.name}" for case in cases}
    found = with_patients(Makings({}, told), [cases[0], twice, nameless]).patients
    assert found[cases[0].name] == found[cases[1].name] == cases[0].header.subject
    assert found[cases[2].name] == told[cases[2].name]


# ---- several processes


def hold(folder, what, ready):
    with Claims(folder).claimed(what) as mine:
        ready.put(mine)
        time.sleep(60)


def test_a_claim_is_that_of_one_process_and_ends_with_it(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.SimpleQueue()
    owner = context.Process(target=hold, args=(tmp_path, "cg/a/b", ready))
    owner.start()
    try:
        assert ready.get()
        claims = Claims(tmp_path)
        with claims.claimed("cg/a/b") as mine, claims.claimed("cg/a/c") as other:
            assert not mine and other
        os.kill(owner.pid, signal.SIGKILL)
        owner.join()
        with claims.claimed("cg/a/b") as mine:
            assert mine
            with Claims(tmp_path).claimed("cg/a/b") as again:
                assert not again
    finally:
        owner.kill()
    assert not list(tmp_path.iterdir())


def work(wanted, log, slow):
    """Make all volumes; tell each that is made, and take long for one."""
    made = Run.make

    def told(self, piece):
        with log.open("a") as file:
            file.write(f"{os.getpid()} {piece.claim}\n")
        if piece.case.name == slow:
            time.sleep(60)
        return made(self, piece)

    Run.make = told
    make_all(wanted, Claims(wanted.folder))


def test_two_processes_share_the_work_and_one_takes_over_from_the_dead(tmp_path, knees):
    folder, kit = knees
    cases = cases_of(kit(), folder)
    method = Method(ZeroFilled(), lambda sample: sample, config="model: {}\n")
    entrants = Entrants({"a": method, "b": method}, {"kit": "knees"})

    def wanted(job):
        own = rotated(cases, job, 2)
        return Run(tmp_path / "out", own, entrants, "file", False, Request(), False)

    context, log = multiprocessing.get_context("fork"), tmp_path / "log"
    dead = context.Process(target=work, args=(wanted(1), log, cases[0].name))
    dead.start()
    try:
        while not log.exists():
            time.sleep(0.05)
        alive = context.Process(target=work, args=(wanted(2), log, None))
        alive.start()
        until = time.monotonic() + 180
        while len(log.read_text().splitlines()) < 6 and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(dead.pid, signal.SIGKILL)
        alive.join(180)
    finally:
        dead.kill()
    assert alive.exitcode == 0
    rows = [line.split() for line in log.read_text().splitlines()]
    pieces = [f"{m}/{case.name}" for case in cases for m in ("a", "b")]
    of_the_dead = [piece for pid, piece in rows if int(pid) == dead.pid]
    assert of_the_dead == ["a/file1000000"]
    assert sorted(piece for pid, piece in rows if int(pid) == alive.pid) == sorted(pieces)
    assert len(volumes(tmp_path / "out")) == 6


def test_jobs_begin_at_different_cases():
    cases = cases_of(read_kit("synthetic_quick"), None)
    places = [[cases.index(case) for case in rotated(cases, job, 3)] for job in (1, 2, 3)]
    assert places == [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1]]
    assert rotated(cases[:1], 3, 4) == cases[:1]


# ---- published scores


def standing(means, classes):
    scores = [Score(method, "v", {"ssim": value}) for method, value in means.items()]
    origins = {method: {"v": Origin(method=classes[method])} for method in means}
    protocol = Protocol(metrics={"ssim": METRICS["ssim"]})
    return Evaluated.of(scores, Observed(), Makings(origins, {}), protocol)


CLASSES = {"mine": "VarNet", "zf": "ZeroFilled", "cg": "CgSense"}
ANCHORS = [
    Anchor("PromptMR+", "ssim", 0.9276, 0.004, "README"),
    Anchor("E2E-VarNet", "ssim", 0.9236, 0.004, "README"),
    Anchor("zero-filled", "ssim", 0.70, 0.01, "measured", ours="ZeroFilled"),
    Anchor("PromptMR+", "lpips", 0.1, 0.1, "README"),
]


def test_methods_stand_beside_published_scores():
    found = beside(standing({"mine": 0.93, "zf": 0.705}, CLASSES), ANCHORS)
    assert [row[1:3] for row in found.table[1:]] == [
        ("mine", "0.9300"), ("PromptMR+", "0.9276"), ("E2E-VarNet", "0.9236"), ("zf", "0.7050"),
        ("zero-filled", "0.7000"),
    ]  # fmt: skip
    assert not found.warnings


def test_what_is_too_good_or_of_another_protocol_is_warned_of():
    means = {"mine": 0.9317, "zf": 0.68, "cg": 0.93}
    found = beside(standing(means, CLASSES), ANCHORS)
    too_good, other = found.warnings
    assert too_good.startswith("mine: SSIM of 0.9317 is too good: the best published is 0.9276")
    assert "check target, leak and crop" in too_good
    assert other.startswith("zf: SSIM is 0.6800, but zero-filled has 0.7000 ± 0.0100 (measured)")


def test_the_table_of_kits_tells_all_of_them(monkeypatch, capsys):
    for words in (["--list"], ["kit=?"]):
        monkeypatch.setattr(sys, "argv", ["mrirecon", "benchmark", *words])
        cli.main()
        text = capsys.readouterr().out
        assert all(f"\n{name} " in text for name in kit_names())
    monkeypatch.setattr(sys, "argv", ["mrirecon", "benchmark", "--list", "fastmri_knee_8x"])
    cli.main()
    text = capsys.readouterr().out
    assert "fastmri.med.nyu.edu" in text and "HUMUS-Net" in text


def test_names_of_kits_have_a_hint(monkeypatch):
    assert "did you mean synthetic?" in refusal(monkeypatch, "kit=sinthetic", "output=x")
    assert "there are calgary_campinas_10x" in refusal(monkeypatch, "output=x", "model=cg_sense")
    told = refusal(monkeypatch, "kit=synthetic", "output=x", "model=cg_sense", "data=/tmp")
    assert "simulates its scans; leave data= out" in told


@pytest.mark.parametrize(
    "word",
    ["sampling=random", "sensitivity.crop=0", "model.iterations=3", "+model@x=a", "data.a=1"],
)
def test_nothing_of_a_kit_can_be_chosen(word, monkeypatch):
    told = refusal(monkeypatch, "kit=synthetic", "output=x", "model=cg_sense", word)
    assert f"{word.lstrip('+')}: a kit is frozen" in told and "methods={name: " in told


def test_lists_of_names_say_where_they_come_from():
    for file in (conf_folder() / "benchmark" / "names").glob("*.txt"):
        lines = file.read_text().splitlines()
        assert lines[0].startswith("# ") and lines[1].startswith("# github.com/")


def test_a_disk_without_locks_is_told_once(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    claims = Claims(tmp_path)
    for name in ("a", "b"):
        with claims.claimed(name) as mine:
            assert mine
    assert capsys.readouterr().err.count("knows no locks") == 1
    with (
        pytest.raises(OutputError, match="cannot be written"),
        Claims(write(tmp_path / "file")).claimed("a"),
    ):
        pass
