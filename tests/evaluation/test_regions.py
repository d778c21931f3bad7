"""Regions: boxes whose y counts from the bottom, label maps in any orientation, the foreground."""

import csv
import json

import h5py
import nibabel
import numpy as np
import pytest
import torch

from mrirecon import cli
from mrirecon.errors import ConfigError, RawDataError, ShapeError
from mrirecon.evaluation import Protocol
from mrirecon.evaluation.regions.label_map import read_label_map
from mrirecon.evaluation.regions.scored_apart import read_regions
from mrirecon.evaluation.scores.foreground import foreground
from mrirecon.evaluation.scores.protocol import score
from mrirecon.evaluation.scores.scoring import Case, Rules, score_cases

HEAD = "file,slice,study_level,x,y,width,height,label\n"
SHAPE = (2, 30, 20)
AFFINE = np.array([[0, -0.9, 0, 12], [0.7, 0, 0, -5], [0, 0, 3, 40], [0, 0, 0, 1.0]])


def boxes(tmp_path, *rows, head=HEAD):
    (tmp_path / "boxes.csv").write_text(head + "".join(f"{row}\n" for row in rows))
    return tmp_path / "boxes.csv"


def test_boxes_are_counted_from_the_bottom_of_stored_images(tmp_path):
    """A marker in an image that is turned upside down, as annotators of fastMRI+ saw it."""
    image = np.zeros(SHAPE)
    image[1, 4:9, 3:10] = 1
    seen = image[:, ::-1]
    rows, columns = np.nonzero(seen[1])
    x, y = columns.min(), rows.min()
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    path = boxes(
        tmp_path, f"v,1,No,{x},{y},{width},{height}, Joint Effusion ", "v,0,Yes,,,,,Artifact"
    )
    found = read_regions(path, ["v", "w"]).of("v", SHAPE)
    assert list(found) == ["Joint Effusion"]
    assert found["Joint Effusion"].equal(torch.from_numpy(image > 0))
    plain = read_regions(path, ["v"], flipped=False).of("v", SHAPE)["Joint Effusion"]
    assert plain.equal(torch.from_numpy(seen.copy() > 0)) and not plain.equal(
        found["Joint Effusion"]
    )
    assert read_regions(path, ["v"]).of("w", SHAPE) == {}


def test_boxes_of_one_label_are_joined_and_cut_at_the_border(tmp_path):
    rows = ["v.h5,0,No,-2,0,5,3,Edema", "v.h5,1,No,18,28,9,9,Edema", "v.h5,1,No,0,0,1,1,Cyst"]
    found = read_regions(boxes(tmp_path, *rows), ["v"]).of("v", SHAPE)
    expected = torch.zeros(SHAPE, dtype=torch.bool)
    expected[0, 27:, :3] = expected[1, :2, 18:] = True
    assert found["Edema"].equal(expected) and found["Cyst"].sum() == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["v,2,No,0,0,3,3,Cyst"], "boxes.csv, line 2: slice 2 and .* outside of v, which has 2"),
        (["v,0,No,0,0,3,3,Cyst", "v,0,No,20,0,3,3,Cyst"], "line 3: slice 0 and the box at x 20"),
        (["v,0,No,0,0,0,3,Cyst"], "line 2: slice 0 and the box at x 0"),
        (["v,-1,No,0,0,3,3,Cyst"], "line 2: slice -1 and"),
        (["v,0,No,1.5,0,3,3,Cyst"], "line 2: expected whole numbers"),
        (["v,0,No,1,0,3,3,"], "line 2: expected whole numbers for .* and a label"),
        (["v,0,No,nan,0,3,3,Cyst"], "line 2: expected whole numbers"),
        (["v,0,No,1,0"], "line 2: expected whole numbers"),
        (["v,0,No,a,0,3,3,Cyst"], "line 2: expected whole numbers"),
    ],
)  # fmt: skip
def test_boxes_that_cannot_be_are_told_by_their_line(tmp_path, rows, words):
    with pytest.raises(RawDataError, match=words):
        read_regions(boxes(tmp_path, *rows), ["v"]).of("v", SHAPE)


def test_lists_that_are_none_are_refused(tmp_path):
    with pytest.raises(
        RawDataError, match="lacks the columns width, height, label; expected boxes"
    ):
        read_regions(boxes(tmp_path, head="file,slice,x,y\n"), ["v"])
    with pytest.raises(RawDataError, match="lacks the columns file"):
        read_regions(boxes(tmp_path, head=""), ["v"])
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(RawDataError, match="cannot be read as a list of boxes"):
        read_regions(tmp_path / "binary.csv", ["v"])
    with pytest.raises(RawDataError, match=r"cannot be read as a list of boxes: .*No such file"):
        read_regions(tmp_path / "nowhere.csv", ["v"])
    with pytest.raises(ConfigError, match="has regions of other, and of none of the volumes v, w;"):
        read_regions(boxes(tmp_path, "other,0,No,0,0,3,3,Cyst"), ["v", "w"])
    with pytest.raises(ConfigError, match="is one label map for 2 volumes"):
        read_regions(tmp_path / "map.nii.gz", ["v", "w"])
    with pytest.raises(ConfigError, match="has regions of nothing, and of none of the volumes v"):
        read_regions(tmp_path, ["v"])


def labelled():
    labels = np.zeros(SHAPE, np.int16)  # slice y x
    labels[0, 2:6, 3:9], labels[1, 20:28, 1:4] = 1, 7
    return labels


def save(path, values, affine=AFFINE):
    nibabel.Nifti1Image(values, affine).to_filename(path)
    return path


@pytest.mark.parametrize("codes", [None, "RAS", "LPI", "SAR", "PSL"])
def test_label_maps_are_turned_to_the_axes_of_their_volume(tmp_path, codes):
    image = nibabel.Nifti1Image(labelled().transpose(2, 1, 0), AFFINE)
    if codes:
        own = nibabel.io_orientation(AFFINE)
        wanted = nibabel.orientations.axcodes2ornt(codes)
        image = image.as_reoriented(nibabel.orientations.ornt_transform(own, wanted))
    nibabel.save(image, tmp_path / "v.nii.gz")
    found = read_regions(tmp_path, ["v", "w"]).of("v", SHAPE, AFFINE)
    assert list(found) == ["1", "7"]
    for label, where in found.items():
        assert where.equal(torch.from_numpy(labelled() == int(label)))


def test_label_maps_on_other_grids_are_refused(tmp_path):
    values = labelled().transpose(2, 1, 0)
    shifted, larger, tilted = AFFINE.copy(), AFFINE.copy(), AFFINE.copy()
    shifted[0, 3] += 0.45
    larger[:3, :3] *= 1.01
    tilted[:3, :3] = tilted[:3, :3] @ np.array([[1, -1, 0], [1, 1, 0], [0, 0, 1.0]])
    for affine in (shifted, larger):
        with pytest.raises(
            RawDataError, match="lies elsewhere than its volume, or has other voxel"
        ):
            read_label_map(save(tmp_path / "a.nii", values, affine), SHAPE, AFFINE)
    with pytest.raises(RawDataError, match="lies"):
        read_label_map(save(tmp_path / "a.nii", values, tilted), SHAPE, AFFINE)
    with pytest.raises(RawDataError, match=r"has 2 x 30 x 20 voxels .*, its volume 2 x 31 x 20"):
        read_label_map(save(tmp_path / "a.nii", values), (2, 31, 20), AFFINE)
    half = save(tmp_path / "a.nii", values + np.float32(0.5))
    with pytest.raises(RawDataError, match=r"expected a label map, .* float32 of shape"):
        read_label_map(half, SHAPE, None)
    with pytest.raises(RawDataError, match="the label map is empty"):
        read_label_map(save(tmp_path / "a.nii", 0 * values), SHAPE, None)
    (tmp_path / "a.nii").write_bytes(b"none")
    with pytest.raises(RawDataError, match="cannot be read as NIfTI"):
        read_label_map(tmp_path / "a.nii", SHAPE, None)


def disc():
    """A bright ring with a dark inside on a noisy background, and a few hot voxels."""
    y, x = np.mgrid[-20:20, -18:18]
    radius = np.hypot(y, x)
    inside = radius < 14
    volume = np.where(inside & (radius > 6), 1.0, 0.05) + 0.05 * np.random.RandomState(0).rand(
        40, 36
    )
    volume[20, 29] = 30
    return torch.from_numpy(np.stack([volume, 0.8 * volume]).astype(np.float32)), inside


def test_the_foreground_is_the_object_with_its_holes():
    reference, inside = disc()
    found = foreground(reference)
    assert found.equal(torch.from_numpy(np.stack([inside, inside])))
    assert foreground(1e-6 * reference).equal(found)
    assert foreground(torch.ones(1, 4, 4)).all()


def test_scores_of_the_foreground_do_not_see_the_background():
    reference, inside = disc()
    noise = torch.rand(reference.shape, generator=torch.Generator().manual_seed(0))
    image = reference + 0.1 * noise * ~torch.from_numpy(inside)
    plain, masked = (
        score("m", "v", image, reference, Protocol(foreground=f)) for f in (False, True)
    )
    assert masked.nmse == 0 and plain.nmse > 0 and plain.ssim < masked.ssim < 1
    error = reference + 0.1 * noise
    where = foreground(reference)
    squares = [
        ((error - reference)[n][where[n]].double().square().sum(),
         reference[n][where[n]].double().square().sum()) for n in (0, 1)
    ]  # fmt: skip
    whole = float(sum(e for e, _ in squares) / sum(r for _, r in squares))
    found = score("m", "v", error, reference, Protocol(foreground=True)).nmse
    assert found == pytest.approx(whole, rel=1e-6)
    sliced = score("m", "v", error, reference, Protocol(foreground=True, per="slice")).nmse
    assert sliced == pytest.approx(float(sum(e / r for e, r in squares)) / 2, rel=1e-6)


def test_the_command_scores_regions_apart(tmp_path, monkeypatch, capsys):
    rng = np.random.RandomState(0)
    for name in ("v", "w"):
        reference = rng.rand(*SHAPE).astype(np.float32)
        image = reference.copy()
        image[1, 4:12, 3:13] += 0.5
        for folder, key, array in (("ref", "reconstruction_rss", reference),
                                   ("ours", "reconstruction", image)):  # fmt: skip
            (tmp_path / folder).mkdir(exist_ok=True)
            with h5py.File(tmp_path / folder / f"{name}.h5", "w") as file:
                file[key] = array
    path = boxes(tmp_path, "v,1,No,3,18,10,8,Meniscus Tear", "w,0,No,3,18,10,8,Cyst")
    folders = f"reference={tmp_path / 'ref'}", f"reconstruction={tmp_path / 'ours'}"
    arguments = [*folders, f"regions={path}", "metrics=[psnr,ssim]", f"output={tmp_path / 'out'}"]
    monkeypatch.setattr("sys.argv", ["mrirecon", "evaluate", *arguments])
    cli.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["method", "region", "volumes", "PSNR", "/", "dB", "SSIM"]
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").read_text().splitlines()))
    assert [(r["volume"], r["region"]) for r in rows] == [
        ("v", ""), ("v", "Meniscus Tear"), ("w", ""), ("w", "Cyst"),
    ]  # fmt: skip
    tear, cyst = rows[1], rows[3]
    assert float(tear["ssim"]) < float(rows[0]["ssim"]) and cyst["psnr"] == "inf"
    with h5py.File(tmp_path / "ref" / "v.h5") as file:
        peak = float(file["reconstruction_rss"][:].max())
    assert float(tear["psnr"]) == pytest.approx(20 * np.log10(peak / 0.5), abs=1e-5)
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (
        report["summary"][0]["volumes"] == 2 and report["summary"][1]["region"] == "Meniscus Tear"
    )
    assert report["metrics"]["psnr"]["unit"] == "dB" and "region" not in report["scores"][0]


@pytest.mark.parametrize("known", [True, False])
def test_label_maps_are_placed_by_any_file_of_the_volume_that_tells_where_it_lies(tmp_path, known):
    reference = np.random.RandomState(0).rand(*SHAPE).astype(np.float32)
    image = reference + 0.3 * (labelled() == 1)
    paths = [tmp_path / f"{name}.h5" for name in ("reference", "image")]
    for path, values in zip(paths, (reference, image), strict=True):
        with h5py.File(path, "w") as file:
            file["reconstruction"] = values
            if known and path.stem == "image":
                file.attrs["affine_ras_mm"], file.attrs["has_geometry"] = AFFINE, True
    stored = nibabel.Nifti1Image(labelled().transpose(2, 1, 0), AFFINE)
    (tmp_path / "labels").mkdir()
    canonical = nibabel.as_closest_canonical(stored) if known else stored
    nibabel.save(canonical, tmp_path / "labels" / "v.nii.gz")
    rules = Rules(Protocol(), regions=read_regions(tmp_path / "labels", ["v"]))
    (outcome,) = score_cases([Case("v", paths[0], {"m": paths[1]})], rules)
    _, one, seven = outcome.scores
    energy = float((reference[labelled() == 1].astype(float) ** 2).sum())
    assert one.nmse == pytest.approx(0.3**2 * (labelled() == 1).sum() / energy, rel=1e-5)
    assert seven.nmse == 0
    told = [warning for warning in outcome.seen.warnings(Protocol()) if "label maps" in warning]
    assert len(told) == (not known)


def test_regions_too_close_to_the_border_are_told(tmp_path):
    path = boxes(tmp_path, "v,1,No,0,0,3,3,Cyst")
    where = read_regions(path, ["v"]).of("v", SHAPE)["Cyst"]
    with pytest.raises(ShapeError, match="SSIM is not defined"):
        Protocol().metrics["ssim"](torch.rand(SHAPE), torch.rand(SHAPE), where)
