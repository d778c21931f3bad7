"""``mrirecon calibrate``, and the bounds that a calibration gives."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import mrirecon as mr
from mrirecon import cli
from mrirecon.commands import calibrate as command
from mrirecon.data.transforms import Normalize
from mrirecon.errors import ConfigError, OutputError, RawDataError, ShapeError
from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.pipeline import Method
from mrirecon.pseudonyms import patient_pseudonym
from mrirecon.reconstruction import Companion, Provenance, Reconstruction
from mrirecon.simulation.acquisition_options import AcquisitionOptions
from mrirecon.simulation.raw_files import write_ismrmrd
from mrirecon.uncertainty import Extent, Spread, VolumeAbove, read_calibration, write_calibration
from mrirecon.uncertainty.bounds import Bounds
from mrirecon.uncertainty.calibrating import Calibrating
from mrirecon.uncertainty.calibration import Calibration
from mrirecon.uncertainty.calibration_page import calibration_page, refuse_page, write_page
from mrirecon.uncertainty.conditions import MethodFacts, ScanFacts, differences
from mrirecon.uncertainty.cross_check import NOMINAL, cross_checks
from mrirecon.uncertainty.readouts import chosen_readouts, stored_readout
from mrirecon.uncertainty.scales import voxel_scale
from mrirecon.uncertainty.voxel_errors import STEPS
from tests import scenes

PATTERN = ("sampling=equispaced", "sampling.acceleration=2", "sampling.acs=8")
PLAIN = ("model=zero_filled", *PATTERN)


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a command in this process; returns what it printed."""

    def run(*words, fails=False):
        monkeypatch.setattr(sys, "argv", ["mrirecon", *map(str, words)])
        if not fails:
            cli.main()
            return "".join(capsys.readouterr())
        with pytest.raises(SystemExit) as end:
            cli.main()
        return str(end.value) + "".join(capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for subject in range(10):
        scan = scenes.scan(subject, matrix=(32, 24), slices=1, coils=2)
        where = "new" if subject == 9 else "known"
        write_ismrmrd(folder / where / f"p{subject}.h5", scan, AcquisitionOptions())
    return folder


@pytest.fixture(scope="module")
def method():
    return mr.load("zero_filled")


def test_bounds_are_those_of_the_known_patients(scans, method, call, tmp_path, monkeypatch):
    """From the command to images with bounds, against the definition, step by step."""
    monkeypatch.chdir(tmp_path)
    boxes = [f"p{i},0,4,10,8,6,spot" for i in range(10)]
    boxes = ["file,slice,x,y,width,height,label", *boxes, "p9,0,1,1,2,2,unknown"]
    Path("boxes.csv").write_text("\n".join(boxes))
    told = call("calibrate", f"input={scans}/known", *PLAIN, "output=a.calibration.json",
                "readouts=[volume,width]", "regions=boxes.csv", "flip_boxes=false")  # fmt: skip
    assert "spot: 9 patients, ± " in told
    assert "9 patients, 9 series; target rss, scale constant" in told
    assert {one.suffix for one in tmp_path.iterdir()} == {".json", ".png", ".html", ".csv"}
    calibration = read_calibration("a.calibration.json")
    pattern = mr.EquispacedLines(2, acs=8)
    risks, volumes, means = [], [], []
    for path in sorted((scans / "known").iterdir()):
        whole, part = mr.reconstruct(path, method), mr.reconstruct(path, method, sampling=pattern)
        error = abs(part.array - whole.array) / (0.01 * np.percentile(part.array, 99))
        inside = foreground(torch.from_numpy(whole.array)).numpy()
        risks.append([(error[inside] > step).mean() for step in STEPS])
        read = [VolumeAbove()(torch.from_numpy(o.array), o.header.voxel) for o in (whole, part)]
        volumes.append(abs(read[1] - read[0]))
        spot = [one.array[0, 10:16, 4:12].mean() for one in (whole, part)]
        means.append(abs(spot[1] - spot[0]) / (0.01 * np.percentile(part.array, 99)))
    expected = (np.sum(risks, 0) + 1) / 10
    radius = STEPS[np.flatnonzero(expected <= 0.1 + 1e-9)[0]]
    assert calibration.radius == pytest.approx(radius)
    assert calibration.readouts[0].bound(0.9) == pytest.approx(max(volumes))
    assert calibration.regions[0].bound(0.9) == pytest.approx(max(means), rel=1e-3)
    assert {one.patient for one in calibration.patients} == {
        patient_pseudonym(f"subject000{i}") for i in range(9)
    }

    told = call("reconstruct", f"input={scans}/new", *PLAIN, "output=o", "formats=hdf5",
                "calibration=a.calibration.json", "regions=boxes.csv",
                "flip_boxes=false")  # fmt: skip
    assert "WARNING" not in told and "VolumeAbove: " in told and "with probability 90 %" in told
    plain = mr.reconstruct(scans / "new" / "p9.h5", method, sampling=pattern)
    unit = 0.01 * np.percentile(plain.array, 99)
    mean, bound = plain.array[0, 10:16, 4:12].mean(), max(means) * unit
    assert f"mean of spot: {mean:.4g} a.u. ({mean - bound:.4g} to {mean + bound:.4g} a.u." in told
    assert "mean of unknown: " in told and "(not calibrated)" in told
    with h5py.File("o/p9.h5") as file:
        image = file["reconstruction"][()]
        np.testing.assert_allclose(image, plain.array, rtol=1e-5)
        np.testing.assert_allclose(file["upper_bound"], image + radius * unit, rtol=1e-4)
        lower = np.maximum(image - radius * unit, 0)
        np.testing.assert_allclose(file["lower_bound"], lower, rtol=1e-4, atol=1e-3)
        promise = file["upper_bound"].attrs["meaning"]
        assert promise.startswith("on average at least 90 % of the voxels")
        assert promise.endswith("(a.calibration.json)")
        assert "VolumeAbove" in file["provenance"].attrs["readouts"]
    narrow = call("reconstruct", f"input={scans}/new", *PLAIN, "output=n", "formats=hdf5",
                  "calibration=a.calibration.json", "coverage=0.5")  # fmt: skip
    assert "with probability 50 %" in narrow
    with h5py.File("n/p9.h5") as file, h5py.File("o/p9.h5") as wide:
        assert (file["upper_bound"][()] < wide["upper_bound"][()]).all()

    calibrated = mr.reconstruct(
        scans / "new" / "p9.h5", method, sampling=pattern,
        calibration="a.calibration.json",
    )  # fmt: skip
    np.testing.assert_allclose(calibrated.bounds[1], plain.array + radius * unit, rtol=1e-4)
    _refused_or_warned_of(scans, call)


def _refused_or_warned_of(scans, call):
    use = ("reconstruct", f"input={scans}/new", "formats=hdf5", "calibration=a.calibration.json")
    for words, reason in (
        (("model=cg_sense", *PATTERN), "was made for ZeroFilled, but this is CgSense"),
        ((*PLAIN, "preprocessing.transforms.0.percentile=90"), "percentile=99, but here is"),
        ((*PLAIN, "coverage=1.5"), "coverage: expected a number between 0 and 1"),
    ):
        assert reason in call(*use, *words, "output=wrong", fails=True)
    assert not Path("wrong").exists()
    told = call(*use, "model=zero_filled", "sampling=equispaced", "sampling.acceleration=4",
                "sampling.acs=4", "output=other")  # fmt: skip
    assert "unlike those" in told and "R = 2.67 instead of 1.5" in told
    told = call(*use[:1], f"input={scans}/known/p0.h5", *use[2:], *PLAIN, "output=again")
    assert "is one of those that" in told
    # what stands there is replaced only when asked for, and only a calibration
    again = ("calibrate", f"input={scans}/known/p0.h5", *PLAIN)
    assert "exists already" in call(*again, "output=a.calibration.json", fails=True)
    Path("foreign.calibration.json").write_text("{}")
    told = call(*again, "output=foreign.calibration.json", "overwrite=true", fails=True)
    assert "is not replaced, whatever" in told


def test_too_few_patients_promise_nothing(scans, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = call("calibrate", f"input={scans}/known/p[0-3].h5", *PLAIN, "readouts=length",
                "output=few.calibration.json")  # fmt: skip
    assert "4 patients are too few for this promise, which needs at least 9" in told
    assert "Extent(axis=0): 4 patients, no finite bound: 9 patients are needed" in told
    assert read_calibration("few.calibration.json").radius == math.inf
    told = call("reconstruct", f"input={scans}/new", *PLAIN, "output=o", "formats=[hdf5,nifti]",
                "calibration=few.calibration.json")  # fmt: skip
    assert "bounds are infinite; none were written" in told and "no bound, 9 patients" in told
    assert {one.name for one in Path("o").iterdir()} == {"p9.h5", "p9.nii.gz", "p9.json"}
    with h5py.File("o/p9.h5") as file:
        assert "upper_bound" not in file
    told = call("reconstruct", f"input={scans}/new", *PLAIN, "output=half", "formats=hdf5",
                "calibration=few.calibration.json", "coverage=0.75")  # fmt: skip
    with h5py.File("half/p9.h5") as file:  # 4 = .75 / .25 + 1 patients suffice for that
        assert np.isfinite(file["upper_bound"]).all()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("model=zero_filled", "output=x.calibration.json"), "sampling: name the undersampling"),
        ((*PLAIN, "output=x.json"), "must end in .calibration.json"),
        (PLAIN, "output: name the file"),
        ((*PLAIN, "output=x.calibration.json", "coverage=90"), "between 0 and 1, such as 0.9"),
        ((*PLAIN, "output=x.calibration.json", "confidence=1"), "confidence: expected a number"),
        ((*PLAIN, "output=x.calibration.json", "scale=samples"), "needs samples=NUMBER"),
        ((*PLAIN, "output=x.calibration.json", "samples=4", "scale=local"), "does not use samples"),
        ((*PLAIN, "output=x.calibration.json", "readouts=[volum]"), "did you mean volume"),
        ((*PLAIN, "output=x.calibration.json", "readouts=[volume,volume]"), "is given twice"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(words, reason, scans, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reason in call("calibrate", f"input={scans}/known/p0.h5", *words, fails=True)
    assert not list(tmp_path.iterdir())


def test_an_undersampled_scan_has_no_truth(scans, call, tmp_path, monkeypatch):
    """The whole run fails: a calibration without some scans may hold for the others only."""
    monkeypatch.chdir(tmp_path)
    options = AcquisitionOptions(sampling=scenes.PATTERN)
    write_ismrmrd(tmp_path / "raw" / "u.h5", scenes.scan(3, matrix=(32, 24), slices=1), options)
    told = call("calibrate", f"input=[{scans}/known/p1.h5,raw/u.h5]", *PLAIN,
                "output=x.calibration.json", fails=True)  # fmt: skip
    assert "u.h5 is undersampled, so nobody knows its true image" in told
    assert "1 of 2 files failed; nothing was written" in told
    assert not (tmp_path / "x.calibration.json").exists()


def test_patients_that_the_weights_know_are_refused(scans, capsys):
    scan = mr.open_scan(scans / "known" / "p1.h5")
    method = Method(mr.ZeroFilled(), Normalize(), checkpoint="x.ckpt (SHA-256 0123456789abcdef)")
    method.reconstructor.patients = frozenset({patient_pseudonym("subject0001")})
    with pytest.raises(ConfigError, match=r"has learned from the patients of p1\.h5"):
        command._refuse_leaks([scan], method, False)
    command._refuse_leaks([scan], method, True)
    method.reconstructor.patients = frozenset({"patient-0123456789abcdef"})
    command._refuse_leaks([scan], method, False)
    assert not capsys.readouterr().out
    method.reconstructor.patients = frozenset()
    command._refuse_leaks([scan], method, False)
    assert "do not tell which patients" in capsys.readouterr().out


HEADER = scenes.scan(slices=2, matrix=(12, 10)).header


def series(values, std=None, **made):
    companions = () if std is None else (Companion("std", std),)
    return Reconstruction(values, HEADER, Provenance("a", "X", **made), companions=companions)


def calibration(count=9, **changes):
    """Patients i = 1 ... whose errors are i % of the brightness everywhere."""
    rng, collected = torch.Generator().manual_seed(0), Calibrating("constant")
    for number in range(1, count + 1):
        values = 1 + torch.rand(1, 2, 12, 10, generator=rng)
        bright = float(np.percentile(values.numpy(), 99))
        truth = values + 0.01 * number * bright * torch.randn(values.shape, generator=rng).sign()
        collected.add(f"patient-{number}", series(values), series(truth))
    facts = Calibration(
        MethodFacts("X", (), ("model.a=1",)), "rss", "two", "constant", None, 0.9, None,
        tuple(collected.scans), collected.patients,
    )  # fmt: skip
    return replace(facts, **changes)


def test_confidence_asks_for_the_patient():
    """The 9th of 9 has 9 % errors; 8 of 10 is what the 8th of 9 keeps to."""
    assert calibration(confidence=0.9).radius == pytest.approx(9, rel=0.02)
    assert calibration(confidence=0.8).radius == pytest.approx(8, rel=0.02)
    assert calibration(confidence=0.95).radius == math.inf
    assert "needs at least 19" in calibration(confidence=0.95).shortage()
    assert "with probability 80 %, at least 90 % of" in calibration(confidence=0.8).promise


def test_patients_are_checked_by_bounds_of_the_others():
    """The errors of patient i are i % everywhere, so the others cover all of it, or nothing."""
    made = calibration(9)
    for check in cross_checks(made):
        for number, inside in enumerate(check.inside, start=1):
            others = made.of_patients(
                tuple(p for p in made.patients if p.patient[-1] != str(number))
            )
            radius = others.with_coverage(check.nominal).radius
            assert inside == float(number * 1.02 < radius) or abs(radius / number - 1) < 0.03
            expected = 2 * radius * made.patients[number - 1].relative_scale
            assert check.width[number - 1] == pytest.approx(expected)
    assert [check.nominal for check in cross_checks(made)] == list(NOMINAL[:8])  # 8 give .85
    assert not cross_checks(calibration(1))


def test_the_page_tells_promise_patients_and_limits(tmp_path):
    path = tmp_path / "a.calibration.json"
    for count in (9, 1):
        written = write_page(path, calibration(count), overwrite=True)
        page = (tmp_path / "a.calibration.html").read_text(encoding="utf-8")
        assert "patient-1" in page and "What it does not promise" in page
        assert calibration(count).promise in page
        assert ("data:image/png" in page) == (count == 9) == (len(written) == 2)
        assert ("infinite" in page) == (count == 1)
        assert "http" not in page.replace("http-equiv", "") and "<script" not in page
    with pytest.raises(OutputError, match="exists already"):
        refuse_page(path, False)
    hostile = replace(calibration(2), sampling="<script>alert(1)</script>")
    assert "<script" not in calibration_page(hostile, None)


def test_scans_of_one_patient_are_one():
    rng = torch.Generator().manual_seed(0)
    values = 1 + torch.rand(1, 2, 12, 10, generator=rng)
    where = {"lesion": torch.zeros(2, 12, 10, dtype=torch.bool)}
    where["lesion"][1, 2:5, 2:5] = True
    collected = Calibrating("constant", chosen_readouts(["volume"]))
    collected.add("one", series(values), series(values + 0.1), where)
    collected.add("one", series(values), series(values + 0.3), where)
    collected.add("other", series(values), series(values))
    one, other = collected.patients
    assert one.voxels == pytest.approx(2 * other.voxels, abs=2) and len(collected.scans) == 3
    unit = 0.01 * np.percentile(values.numpy(), 99)
    assert one.risks[np.searchsorted(STEPS, 0.2 / unit)] == pytest.approx(0.5, abs=0.02)
    (lesion,) = collected.region_scores
    assert lesion.values == pytest.approx([0.3 / unit], rel=1e-3)  # the larger, once
    assert len(collected.readout_scores[0].values) == 2
    with pytest.raises(ShapeError, match="its reference"):
        collected.add("one", series(values), series(values[:, :1]))


def test_the_scale_of_samples_needs_them_and_the_same():
    values = torch.ones(1, 2, 12, 10)
    with pytest.raises(ConfigError, match="scale=samples needs samples=NUMBER"):
        voxel_scale(values, "samples")
    scale = voxel_scale(values, "samples", 0.5 * values)
    torch.testing.assert_close(scale, torch.full_like(values, math.hypot(0.5, 0.01)))
    edge = torch.cat([torch.zeros(1, 2, 12, 5), torch.ones(1, 2, 12, 5)], -1)
    local = voxel_scale(edge, "local")
    assert local[0, 0, 6, 4] > 4 * local[0, 0, 6, 0]  # 0.5 against 0.1
    made = calibration(scale="samples", spread=Spread(4, "replicas", 3))
    bounds = Bounds(made, made.method)
    assert bounds.spread(None) == Spread(4, "replicas", 3)
    assert bounds.spread(Spread(4, seed=9)) == Spread(4, "replicas", 9)
    for other in (Spread(5), Spread(4, "random")):
        with pytest.raises(ConfigError, match="was made with samples=4 spread=replicas"):
            bounds.spread(other)


def test_only_the_same_method_and_weights_may_use_it():
    known = MethodFacts.of("HqsNet", "/x/a.ckpt (SHA-256 0123456789abcdef)",
                           "model: {a: 1}\nsampling: {b: 2}")  # fmt: skip
    assert known.weights == ("0123456789abcdef",) and known.settings == ("model.a=1",)
    known.refuse_other(MethodFacts("HqsNet", known.weights), "f")  # settings that nobody tells
    for other, words in (
        (replace(known, name="UNet"), "made for HqsNet, but this is UNet"),
        (replace(known, weights=("00",)), "weights 0123456789abcdef .* these are 00"),
        (replace(known, weights=()), "these are none"),
        (replace(known, settings=("model.a=2",)), "was made with model.a=1, but here is model.a=2"),
    ):
        with pytest.raises(ConfigError, match=words):
            known.refuse_other(other, "f")


def test_what_a_scan_has_unlike_the_known_ones_is_told():
    known = [ScanFacts(3.0, "one line of N", 24, 3.0, "T1", "A"),
             ScanFacts(4.0, "one line of N", 20, 2.9, "T2", "A")]  # fmt: skip
    assert not differences(ScanFacts(3.5, "one line of N", 22, 2.95, "T2", "A"), known)
    assert not differences(ScanFacts(3.5, "one line of N", 22), known)
    told = differences(ScanFacts(6.0, "irregular", 8, 1.5, "FLAIR", "B"), known)
    assert told == [
        "R = 6.00 instead of 3 to 4", "another pattern of samples (irregular)",
        "a centre of 8 lines instead of 20", "1.5 T instead of 2.9 T",
        "contrast FLAIR instead of T1 or T2", "vendor B instead of A",
    ]  # fmt: skip


def test_a_calibration_survives_its_file_and_damage_is_told(tmp_path):
    path = tmp_path / "a.calibration.json"
    made = calibration(confidence=0.8, spread=Spread(2, "random"))
    write_calibration(path, made)
    assert read_calibration(path) == made and read_calibration(path).path == str(path)
    good = json.loads(path.read_text())
    for change, reason in (
        (lambda t: t["calibration"].pop("target"), "lacks target"),
        (lambda t: t["calibration"].update(coverage=2), "between 0 and 1"),
        (lambda t: t["calibration"].update(coverage="0.9"), "expected a number"),
        (lambda t: t["calibration"]["patients"][0].update(voxels=0.5), "a whole number"),
        (lambda t: t["calibration"]["patients"][0]["outside"].reverse(), "800 falling numbers"),
        (lambda t: t["calibration"]["patients"].clear(), "needs patients"),
        (lambda t: t["calibration"]["patients"].append(t["calibration"]["patients"][0]), "twice"),
        (lambda t: t["calibration"].update(scale="magic"), "scale: expected one of"),
        (lambda t: t["calibration"].update(coverage=10**400), "expected a number"),
        (lambda t: t["calibration"]["patients"][0].update(voxels=10**400), "a whole number"),
        (lambda t: t["calibration"]["patients"][0].update(relative_scale=1e300), "a number"),
        (lambda t: t["calibration"].update(coverage=0.8), "was changed since"),
        (lambda t: t["calibration"]["patients"][0].update(voxels=10**9), "was changed since"),
        (lambda t: t["mrirecon"].update(format=2), "has format 2"),
        (lambda t: t.pop("mrirecon"), "is no calibration"),
    ):
        tree = json.loads(json.dumps(good))
        change(tree)
        path.write_text(json.dumps(tree))
        with pytest.raises(ConfigError, match=reason):
            read_calibration(path)
    for text in ("[]", "{", "[" * 100_000, '{"a": NaN}', "\x00"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"cannot be read|is no calibration"):
            read_calibration(path)
    with pytest.raises(ConfigError, match="is not a file"):
        read_calibration(tmp_path)


def test_a_calibration_from_elsewhere_runs_nothing():
    for node in ('{"_target_": "os.system", "command": "true"}', '{"_target_": "builtins.eval"}',
                 '{"_target_": "mrirecon.uncertainty.VolumeAbove", "threshold": "${oc.env:HOME}"}',
                 "[1]", "{"):  # fmt: skip
        with pytest.raises(ConfigError, match=r"calibration: f: readouts"):
            stored_readout(node, "f", ())
    stored = '{"_target_": "mrirecon.uncertainty.Extent", "axis": 1}'
    assert stored_readout(stored, "f", ()).read == Extent(axis=1)


def test_readouts_measure_a_box():
    """20 x 6 voxels of 1 x 2 mm in two slices of 5 mm."""
    volume = torch.zeros(3, 40, 36)
    volume[:2, 5:25, 10:16] = 10
    volume[2, 30, 30] = 10  # another, smaller structure
    voxel = (1.0, 2.0, 5.0)
    assert VolumeAbove(0.5)(volume, voxel) == pytest.approx(241 * 10 / 1000)
    assert Extent(axis=0)(volume, voxel) == pytest.approx(20)
    assert Extent(axis=1)(volume, voxel) == pytest.approx(12)
    assert Extent(axis=2)(volume, voxel) == pytest.approx(10)
    assert Extent()(torch.zeros(3, 4, 4), voxel) == 0
    with pytest.raises(RawDataError, match="tells no voxel size"):
        VolumeAbove()(volume, None)


def test_a_readout_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "own_readouts.py").write_text(
        "def peak(volume, voxel, factor=1):\n    return factor * float(volume.max())\n"
        "def broken(volume, voxel):\n    volume[:] = 0\n    return float('nan')\n"
        "def raising(volume, voxel):\n    return {}['mine']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (peak,) = chosen_readouts([{"_target_": "own_readouts.peak", "_partial_": True, "factor": 3}])
    image = series(torch.ones(2, 2, 12, 10))
    assert peak.values(image) == [3.0, 3.0] and peak.name == "peak(factor=3)"
    assert stored_readout(json.dumps(peak.node), "f", ["own_readouts"]).values(image) == [3.0, 3.0]
    with pytest.raises(ConfigError, match=r"trust=\[own_readouts\]"):
        stored_readout(json.dumps(peak.node), "f", ())
    (broken,) = chosen_readouts([{"_target_": "own_readouts.broken", "_partial_": True}])
    with pytest.raises(ConfigError, match="broken gives"):
        broken.values(image)
    assert image.volume.min() == 1  # whatever a readout does to it
    (raising,) = chosen_readouts([{"_target_": "own_readouts.raising"}])  # as metrics are named
    with pytest.raises(ConfigError, match=r"own_readouts.raising, .* KeyError: 'mine' .*line 7"):
        raising.values(image)
    assert stored_readout(json.dumps(raising.node), "f", ["own_readouts"]).name == "raising"
