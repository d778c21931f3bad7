import csv
import io
import json

import h5py
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mrirecon import cli
from mrirecon.errors import RawDataError, ShapeError
from mrirecon.evaluation.scores.observed import Observed, error_in_background
from mrirecon.evaluation.scores.orientation import misplaced
from mrirecon.evaluation.scores.protocol import Protocol, fitted_factor, region, score
from mrirecon.evaluation.scores.volumes import read_volume, volume_files
from mrirecon.evaluation.statistics.intervals import bootstrap_interval
from mrirecon.evaluation.tables.summaries import (
    report_json,
    scores_csv,
    summarize,
    summary_csv,
    table,
)
from mrirecon.image import complex_image
from mrirecon.training.validation_scores import VolumeScores
from mrirecon.types import Sample
from tests import scenes


def volumes(y=24, x=20, seed=0):
    rng = np.random.RandomState(seed)
    reference = rng.rand(3, y, x).astype(np.float32)
    return reference + 0.1 * rng.rand(3, y, x).astype(np.float32), reference


def test_scores_as_fastmris_evaluate():
    image, reference = volumes()
    larger = np.zeros((3, 30, 26), np.float32)
    larger[:, 3:27, 3:23] = image
    pair = torch.from_numpy(larger), torch.from_numpy(reference)
    found = score("m", "v", *pair, Protocol(region="square"))
    # evaluate.py: both cropped to (width, width), offsets (n - width) // 2, volume maximum
    gt, pred = reference[:, 2:22], image[:, 2:22]
    peak = gt.max()
    ssim = np.mean(
        [structural_similarity(a, b, data_range=peak) for a, b in zip(gt, pred, strict=True)]
    )
    assert found.ssim == pytest.approx(ssim, abs=1e-6)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(gt, pred, data_range=peak), abs=1e-4)
    nmse = np.linalg.norm(gt - pred) ** 2 / np.linalg.norm(gt) ** 2
    assert found.nmse == pytest.approx(nmse, rel=1e-5)


def test_the_crop_is_fastmris_for_odd_sizes_and_wide_references():
    volume = torch.arange(8 * 9).reshape(1, 8, 9).float()

    def square(volume, reference):
        return region(volume, reference, Protocol(region="square"))

    assert square(volume, torch.zeros(1, 8, 5)).shape == (1, 5, 5)
    assert square(volume, torch.zeros(1, 8, 5))[0, 0, 0] == 1 * 9 + 2  # (8 - 5) // 2, (9 - 5) // 2
    assert square(volume, torch.zeros(1, 6, 9)).shape == (1, 6, 9)
    with pytest.raises(ShapeError, match="8 x 9 pixels is smaller than its reference, 10 x 10"):
        square(volume, torch.zeros(1, 12, 10))


def test_different_numbers_of_slices_are_refused():
    image, reference = map(torch.from_numpy, volumes())
    with pytest.raises(ShapeError, match="v: m has 2 slices, its reference 3"):
        score("m", "v", image[:2], reference)


def test_reports_agree():
    scores = [
        score(m, f"v{i}", *map(torch.from_numpy, volumes(seed=i + 10 * n)))
        for n, m in enumerate(("a", "b"))
        for i in range(6)
    ]
    summaries = summarize(scores)
    values = [s.psnr for s in scores if s.method == "b"]
    assert summaries[1].mean["psnr"] == pytest.approx(np.mean(values))
    assert summaries[1].std["psnr"] == pytest.approx(np.std(values, ddof=1))
    rows = list(csv.DictReader(io.StringIO(summary_csv(summaries))))
    assert list(rows[0]) == ["method", "nmse", "psnr", "ssim"]
    assert float(rows[1]["psnr"]) == pytest.approx(np.mean(values))
    assert len(list(csv.DictReader(io.StringIO(scores_csv(scores))))) == 12
    report = json.loads(report_json(scores, summaries, Protocol().infos, command="c"))
    assert report["command"] == "c" and report["summary"][0]["volumes"] == 6
    assert "±" in table(summaries, Protocol().infos)
    assert tuple(report["summary"][1]["interval"]["psnr"]) == bootstrap_interval(values)
    single = summarize(scores[:1])[0]
    assert single.std["ssim"] is single.interval["ssim"] is None and "±" not in table(
        [single], Protocol().infos
    )


def test_volumes_are_found_and_read(tmp_path):
    image, reference = volumes()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["reconstruction"], file["reconstruction_rss"] = image, reference
    assert read_volume(volume_files(tmp_path)["a"]).values.equal(torch.from_numpy(reference))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["images"] = image
    with pytest.raises(RawDataError, match="found images, expected one of the data sets"):
        read_volume(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["reconstruction"] = np.full((3, 8, 8), np.nan)
    with pytest.raises(RawDataError, match="must be finite"):
        read_volume(tmp_path / "c.h5")
    (tmp_path / "d.h5").write_text("text")
    with pytest.raises(RawDataError, match="cannot be opened as HDF5"):
        read_volume(tmp_path / "d.h5")
    with pytest.raises(RawDataError, match="no such file or folder"):
        volume_files(tmp_path / "nowhere")


def write(path, **arrays):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_single_coil_files_are_compared_with_their_emulated_single_coil_image(tmp_path):
    esc, rss = volumes()
    both = {"reconstruction_esc": esc, "reconstruction_rss": rss}
    one = write(tmp_path / "one.h5", kspace=np.zeros((3, 24, 20), np.complex64), **both)
    many = write(tmp_path / "many.h5", kspace=np.zeros((3, 2, 24, 20), np.complex64), **both)
    assert read_volume(one).dataset == "reconstruction_esc"
    assert read_volume(one).values.equal(torch.from_numpy(esc))
    assert read_volume(many).dataset == "reconstruction_rss"
    assert read_volume(one, "reconstruction_rss").values.equal(torch.from_numpy(rss))
    with pytest.raises(RawDataError, match=r"found kspace, .*, expected images"):
        read_volume(one, "images")


@pytest.mark.parametrize("dtype", [">f4", ">c8", "<u2", ">u2", "<i4", "u1", "<f8", "<f2", "?"])
def test_numbers_of_any_kind_are_read(tmp_path, dtype):
    values = (np.arange(3 * 8 * 9) % 5).reshape(3, 8, 9).astype(dtype)
    read = read_volume(write(tmp_path / "a.h5", reconstruction=values)).values
    assert read.dtype == torch.float32
    torch.testing.assert_close(read, torch.from_numpy(np.abs(values.astype(complex))).float())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([b"a", b"b"]), "expected numbers of shape"),
        (np.zeros((2, 8, 8), [("r", "<f4"), ("x", "<f4")]), "expected numbers of shape"),
        (np.full((2, 8, 8), 1e39), "values that are not finite"),
        (np.zeros((8, 8)), r"has shape \(8, 8\)"),
        (np.zeros((0, 8, 8)), r"has shape \(0, 8, 8\)"),
        (3.0, "holds float64, expected numbers"),
    ],
)
def test_what_is_no_volume_is_told(tmp_path, values, message):
    with pytest.raises(RawDataError, match=message):
        read_volume(write(tmp_path / "a.h5", reconstruction=values))


def test_negative_pixels_stay_negative_as_in_fastmris_evaluate(tmp_path):
    image, reference = volumes()
    image[:, :5] *= -1
    read = read_volume(write(tmp_path / "a.h5", reconstruction=image)).values
    found = score("m", "v", read, torch.from_numpy(reference), Protocol(region="square")).nmse
    expected = np.linalg.norm((image - reference)[:, 2:22]) ** 2
    assert found == pytest.approx(expected / np.linalg.norm(reference[:, 2:22]) ** 2, rel=1e-5)


def test_validation_and_evaluate_score_the_same_tall_volume_alike():
    rng = torch.Generator().manual_seed(0)
    target = torch.rand(3, 28, 20, generator=rng)
    image = target + 0.1 * torch.rand(3, 28, 20, generator=rng)
    image[:, :4] = 0  # lost rows, which a square crop would not see
    validation = VolumeScores()
    key = tuple(("v", i) for i in range(3))
    sample = Sample(torch.zeros(3, 1, 28, 20, dtype=torch.complex64), torch.ones(3, 1, 20) > 0,
                    target=target, key=key)  # fmt: skip
    validation.add(sample, complex_image(image))
    found = score("m", "v", image, target)
    assert validation.mean() == {n: getattr(found, n) for n in ("nmse", "psnr", "ssim")}
    assert found.nmse > 2 * score("m", "v", image, target, Protocol(region="square")).nmse
    exact = target.clone()
    exact[:, :4] = 0
    assert score("m", "v", exact, target).nmse > 0.05


def test_other_intensities_can_be_fitted_and_empty_references_are_refused():
    image, reference = map(torch.from_numpy, volumes())
    assert fitted_factor(1e-3 * reference, reference) == pytest.approx(1e3)
    fitted = Protocol(scale="least_squares")
    expected = score("m", "v", image * fitted_factor(image, reference), reference).nmse
    assert score("m", "v", 1e-3 * image, reference, fitted).nmse == pytest.approx(expected)
    assert score("m", "v", image, reference).nmse > expected
    with pytest.raises(RawDataError, match="reference is zero everywhere"):
        score("m", "v", image, 0 * reference)


def test_the_command_tells_what_it_scored_and_of_other_units(tmp_path, capsys, monkeypatch):
    image, reference = volumes(28, 20)
    for folder, scale in (("good", 1.0), ("loud", 1e3)):
        write(tmp_path / folder / "v.h5", reconstruction=scale * image)
    write(tmp_path / "reference" / "v.h5", reconstruction_rss=reference)
    folders = f"reconstruction=[{tmp_path / 'good'},{tmp_path / 'loud'}]"
    arguments = ["evaluate", f"reference={tmp_path / 'reference'}", folders]
    for more in ([], ["scale=least_squares", "region=square", f"output={tmp_path / 'out'}"]):
        monkeypatch.setattr("sys.argv", ["mrirecon", *arguments, *more])
        cli.main()
    out, err = capsys.readouterr()
    assert "scored: whole images of reconstruction_rss (28 x 20); fastMRI's evaluate.py" in out
    assert "the central square of reconstruction_rss (28 x 20), as fastMRI's evaluate.py" in out
    assert err.count("WARNING: loud: multiplied by 0.000") == 1 and "good:" not in err
    facts = json.loads((tmp_path / "out" / "scores.json").read_text())["protocol"]
    assert facts["region"] == "square" and facts["scale"] == "least_squares"
    assert facts["datasets"]["loud"] == ["reconstruction"] and facts["matrices"] == [[28, 20]]
    rows = json.loads((tmp_path / "out" / "scores.json").read_text())["scores"]
    assert rows[0]["nmse"] == pytest.approx(rows[1]["nmse"])
    for nothing in ("[]", "{}"):
        monkeypatch.setattr("sys.argv", ["mrirecon", *arguments[:2], f"reconstruction={nothing}"])
        with pytest.raises(SystemExit, match="reconstruction: expected a folder"):
            cli.main()


def test_an_error_that_lies_in_cut_background_is_told():
    _, reference = map(torch.from_numpy, volumes())
    inside = torch.zeros_like(reference)
    inside[:, 4:-4, 4:-4] = 1
    noisy = reference + 0.01
    cut, protocol, seen = noisy * inside, Protocol(), Observed()
    seen.compare("v", {"cut": cut, "whole": noisy}, reference, protocol)
    lost = float((reference * (1 - inside)).square().sum())
    share = lost / (lost + float((0.01 * inside).square().sum()))
    assert error_in_background(cut, reference) == pytest.approx(share, rel=1e-3)
    (warning,) = seen.warnings(protocol)
    assert f"cut: {share:.0%} of the squared error" in warning and "crop=0" in warning
    assert seen.facts(protocol)["error_in_background"]["whole"] == 0


PLACES = {
    "its slices are taken in the reverse order": lambda v: v.flip(0),
    "its slices are taken in the order 2, 3, 4, 1": lambda v: v.roll(1, 0),
    "it is transposed (y and x exchanged)": lambda v: v.mT,
    "it is transposed and rotated by 180°": lambda v: v.mT.flip(1, 2),
    "it is flipped along x": lambda v: 1e3 * v.flip(2),
    "it is flipped along y": lambda v: v.flip(1),
    "it is rotated by 90° clockwise": lambda v: v.rot90(1, (1, 2)),
    "it is rotated by 90° counter-clockwise": lambda v: v.rot90(3, (1, 2)),
    "it is rotated by 180° and shifted by +1 pixels along y and +1 along x": (
        lambda v: v.roll((-1, -1), (1, 2)).flip(1, 2)
    ),
    "it is shifted by -16 pixels along y and +0 along x": lambda v: v.roll(16, 1),
    "it is shifted by +0 pixels along y and -1 along x": lambda v: v.roll(1, 2),
}


@pytest.mark.parametrize("words", PLACES)
def test_a_volume_in_another_place_is_told_how_to_move(words):
    anatomy = scenes.scan(matrix=(32, 32), slices=4, snr=1e6)
    reference = torch.stack([sample.target for sample in anatomy])
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0))
    noisy = reference + 0.03 * reference.max() * noise
    assert misplaced(PLACES[words](noisy), reference) == words
    seen = Observed()
    seen.compare("v", {"good": noisy, "moved": PLACES[words](noisy)}, reference, Protocol())
    told = [warning for warning in seen.warnings(Protocol()) if "much closer" in warning]
    assert len(told) == 1 and "moved: in 1 of 1 volumes" in told[0] and words in told[0]


@pytest.mark.parametrize("wrong", ["noise", "symmetric", "equal slices", "empty", "exact", "wide"])
def test_volumes_in_place_are_not_told_to_move(wrong):
    y, x = torch.meshgrid(torch.linspace(-1, 1, 24), torch.linspace(-1, 1, 20), indexing="ij")
    bump = torch.exp(-4 * (y - 0.3) ** 2 - 3 * (x + 0.2) ** 2)
    reference = torch.stack([bump * (1 + 0.2 * k) for k in range(3)])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(reference.shape, generator=generator)
    if wrong == "symmetric":
        reference = torch.exp(-4 * y**2 - 3 * x**2).expand(3, -1, -1) * torch.ones(3, 1, 1)
    if wrong == "equal slices":
        reference = bump.expand(3, -1, -1).clone()
    image = {
        "noise": noise.abs(), "empty": 0 * reference, "exact": reference,
        "wide": torch.nn.functional.avg_pool2d(reference, 5, 1, 2),
    }.get(wrong, reference + 0.1 * noise)  # fmt: skip
    assert misplaced(image, reference) is None
