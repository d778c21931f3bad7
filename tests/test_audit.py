"""The audit finds what was done to k-space, and nothing where nothing was done."""

import io
import json
import sys

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from mrirecon.audit import duplicates, headers, padding, subjects, unreadable
from mrirecon.audit.finding import Level, Seen, summed_up
from mrirecon.audit.likeness import Likeness, compare, sketch, symmetry
from mrirecon.audit.planes import Plane, chosen
from mrirecon.audit.report import as_json, as_page
from mrirecon.audit.run import audit, checked, outermost
from mrirecon.commands.audit import main
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit, root_sum_of_squares
from mrirecon.reconstructors.classical.grappa import Grappa
from mrirecon.scan import ScanHeader, SequenceParameters
from mrirecon.simulation import Prescription, SimulatedScan, SimulationProtocol
from mrirecon.types import Sample

SIZE = (128, 112)


def simulated(subject=0, snr=40.0, coils=4):
    protocol = SimulationProtocol(
        coils=coils, snr=snr, prescription=Prescription(matrix=SIZE, slices=1)
    )
    return SimulatedScan(subject, protocol)[0].kspace


@pytest.fixture(scope="module")
def kspace():
    return simulated()


def plane(kspace, told=None):
    h, w = kspace.shape[-2:]
    found = (kspace != 0).any(0)
    told = torch.ones(h, w, dtype=torch.bool) if told is None else told.expand(h, w)
    return Plane(kspace / kspace.abs().max(), found.any(0) & found.any(1)[:, None] & told, told)


def kinds(kspace, told=None, least=Level.SUSPICION):
    levels = list(Level)[: list(Level).index(least) + 1]
    return {seen.kind.name for seen in checked(plane(kspace, told)) if seen.level in levels}


def noise(shape, seed=0):
    values = np.random.default_rng(seed).standard_normal((*shape, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(values))


def smooth_phase(h, w):
    y, x = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    return torch.polar(torch.ones(h, w), 1.3 * x - 0.8 * y + x * y)


def radius(kspace):
    y, x = ((torch.arange(n) - n // 2) / (n / 2) for n in kspace.shape[-2:])
    return (y[:, None].square() + x.square()).sqrt(), x.abs()


@pytest.mark.parametrize("snr", [6.0, 40.0, 180.0])
@pytest.mark.parametrize("coils", [1, 8])
def test_nothing_is_found_in_clean_scans(snr, coils):
    full = simulated(3, snr, coils)
    w = full.shape[-1]
    assert kinds(full) == set()
    one_sided = torch.arange(w) >= 30
    assert kinds(full * one_sided) == set()
    lines = (torch.arange(w) % 4 == 1) | ((torch.arange(w) - w // 2).abs() < 10)
    assert kinds(full * lines, lines) == set()
    assert kinds(full * (lines & one_sided)) == set()
    assert kinds(center_fit(full, (128, 140)), center_fit(torch.ones(112) > 0, (140,))) == set()


@pytest.mark.parametrize(
    ("shape", "level"),
    [((128, 115), Level.NOTE), ((160, 112), Level.PROBLEM), ((150, 140), Level.PROBLEM)],
)
@pytest.mark.parametrize("rounded", [False, True])
def test_zero_padding_is_measured(kspace, shape, level, rounded):
    wide = center_fit(kspace, shape)
    if rounded:  # computed with in half precision, so that no sample is zero any more
        images = ifft(wide)
        top = images.abs().max()
        halves = torch.view_as_real(images / top).half().float()
        wide = fft(torch.view_as_complex(halves) * top)
        assert bool((wide != 0).all())
    seen = [one for one in padding.find(plane(wide)) if one.kind is padding.PADDING]
    assert [one.level for one in seen] == [level]
    factor = shape[0] * shape[1] / (SIZE[0] * SIZE[1])
    assert f"{factor:.2f} times" in seen[0].reason
    found = padding.inner(plane(wide))
    assert tuple(found.kspace.shape[-2:]) == SIZE


WINDOWS = {
    "Hann": lambda r: 0.5 + 0.5 * torch.cos(torch.pi * r.clamp_max(1)),
    "Hamming": lambda r: 0.54 + 0.46 * torch.cos(torch.pi * r.clamp_max(1)),
    "Fermi": lambda r: 1 / (1 + torch.exp((r - 0.85) / 0.05)),
    "Gauss": lambda r: torch.exp(-4 * r.square()),
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("around", [False, True])
def test_windows_are_found(kspace, window, around):
    both, columns = radius(kspace)
    found = kinds(kspace * WINDOWS[window](both if around else columns))
    assert "windowed k-space" in found and found <= {"windowed k-space", "empty corners"}


def test_interpolation_with_a_floor_of_noise_is_found(kspace):
    wide = center_fit(kspace, (170, 150))
    assert kinds(wide + 0.1 * noise(wide.shape)) == {"zero padding"}
    wide = center_fit(simulated(snr=6), (170, 150))  # noise hides that the signal ends
    assert kinds(wide + 0.4 * noise(wide.shape)) == {"interpolated k-space"}


def test_an_ellipse_is_found(kspace):
    both, _ = radius(kspace)
    assert "empty corners" in kinds(torch.where(both > 1, 0.01 * kspace, kspace))
    volumetric = Plane(*(getattr(plane(kspace * (both < 1)), n) for n in
                         ("kspace", "measured", "told")), volumetric=True)  # fmt: skip
    assert all(seen.level is Level.NOTE for seen in padding.find(volumetric))


@pytest.mark.parametrize("level", [0.0, 0.5])
@pytest.mark.parametrize("shift", [0, 3])
def test_images_without_phase_are_found(kspace, level, shift):
    image = root_sum_of_squares(ifft(kspace)).roll(shift, 1)
    image = torch.where(image > 0.1 * image.max(), image, 0.0)
    made = fft(image[None] + 0j) + level * noise((1, *SIZE))
    assert "symmetric k-space" in kinds(made)
    assert kinds(fft(image[None] * smooth_phase(*SIZE)) + 0.5 * noise((1, *SIZE))) == set()


def picture(kspace, quality=None):
    image = root_sum_of_squares(ifft(kspace))
    grey = (image / image.max() * 255).round().numpy().astype(np.uint8)
    if quality is None:
        return torch.from_numpy(grey.astype(np.float32))
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(stream), np.float32))


def test_few_grey_levels_are_counted(kspace):
    made = fft(picture(kspace)[None] * smooth_phase(*SIZE))
    seen = [one for one in checked(plane(made)) if one.kind.name == "few grey levels"]
    assert [one.level for one in seen] == [Level.PROBLEM] and "255 even steps" in seen[0].reason


@pytest.mark.parametrize("quality", [30, 75])
@pytest.mark.parametrize("corner", [(0, 0), (3, 5)])
def test_jpeg_blocks_are_found_where_they_are(kspace, quality, corner):
    image = picture(kspace, quality).roll(corner, (0, 1))
    made = fft(image[None] * smooth_phase(*SIZE)) + 0.5 * noise((1, *SIZE))
    seen = [one for one in checked(plane(made)) if one.kind.name == "JPEG blocks"]
    assert len(seen) == 1 and f"begin at {corner} " in seen[0].reason


@pytest.mark.parametrize("rate", [2, 3])
def test_lines_that_grappa_filled_are_found(kspace, rate):
    w = SIZE[1]
    mask = torch.arange(w) % rate == 0
    mask[w // 2 - 12 : w // 2 + 12] = True
    sample = Sample((kspace * mask)[None], mask[None, None], acs=torch.tensor([[SIZE[0], 24]]))
    filled = Grappa().fill(sample)[0]
    seen = [one for one in checked(plane(filled)) if one.level is Level.PROBLEM]
    assert [one.kind.name for one in seen] == ["lines filled by parallel imaging"]
    assert f"every {rate} columns" in seen[0].reason


@pytest.mark.parametrize("how", ["homodyne", "POCS", "copy"])
@pytest.mark.parametrize("along", ["columns", "rows"])
def test_a_side_that_was_filled_is_found(kspace, how, along):
    turned = kspace if along == "columns" else kspace.mT
    n = turned.shape[-1]
    index = torch.arange(n) - n // 2
    mask, center = index >= -n // 8, index.abs() < n // 8
    phase = torch.polar(torch.ones(turned.shape), ifft(turned * center).angle())
    if how == "homodyne":
        image = ifft(turned * (2.0 * mask - 1.0 * center))
        filled = fft((image * phase.conj()).real * phase)
    elif how == "POCS":
        filled = turned * mask
        for _ in range(6):
            filled = torch.where(mask, turned, fft(ifft(filled).abs() * phase))
    else:
        filled = torch.where(mask, turned, turned.flip(-1, -2).roll((1, 1), (-2, -1)).conj())
    found = kinds(filled if along == "columns" else filled.mT)
    assert "side filled by partial Fourier" in found


def test_compressed_coils_are_noted(kspace):
    U = torch.linalg.svd(kspace.flatten(1), full_matrices=False)[0]
    compressed = (U.conj().T @ kspace.flatten(1)).unflatten(-1, SIZE)
    notes = kinds(compressed, least=Level.NOTE)
    assert notes == {"compressed coils"} and kinds(kspace, least=Level.NOTE) == set()


CHANGES = {
    "": lambda image: 30 * image,
    "mirrored left to right": lambda image: image.flip(1),
    "turned by 180 degrees": lambda image: image.flip(0, 1),
    "turned by 270 degrees": lambda image: image.rot90(1),
}


@pytest.mark.parametrize("turn", CHANGES)
def test_copies_are_alike_however_they_are_turned(kspace, turn):
    image = root_sum_of_squares(ifft(kspace))
    changed = CHANGES[turn](image)
    resampled = torch.nn.functional.interpolate(
        changed[None, None], scale_factor=1.3, mode="bilinear"
    )[0, 0]
    for copy in (changed, resampled, changed[9:-4, 6:]):
        likeness = compare(sketch(image), sketch(copy.contiguous()))
        assert likeness.score > duplicates.COPY
    assert compare(sketch(image), sketch(resampled)).turn in (turn, turn.replace("270", "90"))


def test_different_people_and_round_phantoms_are_not_alike(kspace):
    image, other = (root_sum_of_squares(ifft(k)) for k in (kspace, simulated(1)))
    assert compare(sketch(image), sketch(other)).score < duplicates.COPY
    y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    disc = sketch(((x**2 + y**2) < 0.5).float())
    assert symmetry(disc) > 0.9 and symmetry(sketch(image)) < 0.6
    assert sketch(torch.zeros(64, 64)) is None


@pytest.mark.parametrize(
    ("folder", "subject", "turn", "score", "level"),
    [
        (1, None, "", 0.66, Level.SUSPICION),
        (1, None, "mirrored left to right", 0.66, None),
        (0, None, "", 0.66, None),  # one person in one split is as it should be
        (1, "anna", "", 0.66, None),  # told by the ids
        (1, None, "mirrored left to right", 0.9, Level.PROBLEM),
        (0, "anna", "", 0.9, Level.SUSPICION),  # a repeated scan
        (1, "anna", "", 0.9, Level.PROBLEM),
        (1, None, "", 0.3, None),
    ],
)
def test_what_a_likeness_means(kspace, folder, subject, turn, score, level):
    kept = sketch(root_sum_of_squares(ifft(kspace)))
    one, other = (
        duplicates.Image(name, number, 1, 1, subject, name, kept, outermost(kspace))
        for name, number in (("a", 0), ("b", folder))
    )
    pair = duplicates._judged(one, other, Likeness(score, "pixels", turn), 0.72, 0.5)
    assert (None if pair is None else pair.finding.level) == level


def test_what_few_planes_show_is_a_suspicion():
    seen = Seen(padding.PADDING, Level.PROBLEM, "Zeros.")
    (few,) = summed_up("a", [(1, seen)], 4)
    (most,) = summed_up("a", [(1, seen), (3, seen)], 4)
    assert (few.level, most.level, most.planes) == (Level.SUSPICION, Level.PROBLEM, (1, 3))
    assert "1 of 4 slices" in few.reason
    assert chosen(30, 3) == (5, 15, 25) and chosen(2, 5) == (0, 1)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"sequence": SequenceParameters(repetition_time=20, echo_time=90)}, "TE (90 ms)"),
        ({"sequence": SequenceParameters(field_strength=3, imaging_frequency=63.9)}, "21.3 MHz/T"),
        ({"sequence": SequenceParameters(field_strength=15000)}, "field strength"),
        ({"sequence": SequenceParameters(flip_angle=-5)}, "flip angle"),
        ({"sequence": SequenceParameters(repetition_time=-1)}, "TR"),
        ({"echo_times": (10.0, 5.0)}, "do not rise"),
        ({"voxel": (0.001, 0.001, 5.0)}, "Voxels are 0.001 mm"),
        ({"voxel": (20.0, 20.0, 5.0)}, "field of view is 2560 mm"),
        ({"sequence": SequenceParameters(3000, 90, None, 90, 3, None, 127.7)}, ""),
        ({"sequence": SequenceParameters(field_strength=3, imaging_frequency=33.8)}, ""),  # sodium
        ({"sequence": SequenceParameters(field_strength=3, imaging_frequency=123.2)}, ""),  # 2.89 T
    ],
)
def test_headers_are_compared_with_themselves(changes, word):
    header = ScanHeader("a", "b", 1, 1, (128, 128), (128, 128), (128, 128), **changes)
    reasons = [one.reason for one in headers.find(header)]
    assert len(reasons) == bool(word) and all(word in reason for reason in reasons)


def write(path, kspace, subject="p1", **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace[None].numpy()
        for name, values in arrays.items():
            file[name] = values
        if subject:
            file.attrs["patient_id"] = subject
    return path


@pytest.fixture(scope="module")
def splits(tmp_path_factory, kspace):
    """Two splits that share a copy, a patient and noise, with images and a broken file."""
    folder = tmp_path_factory.mktemp("splits")
    train, val = folder / "train", folder / "val"
    others = {n: simulated(n) for n in (10, 11, 12)}
    write(train / "a.h5", kspace, "anna", reconstruction_rss=np.ones((1, *SIZE), "f4") * 3)
    write(train / "b.h5", others[10], "<b>bob-ross</b>")
    write(val / "c.h5", 7 * fft(ifft(kspace).flip(-1)), "carl")  # a mirrored copy of a.h5
    write(val / "d.h5", others[11], "<b>bob-ross</b>")
    same = 2.0 * noise((4, *SIZE), 5)
    write(train / "e.h5", others[12] + same, None)
    write(val / "f.h5", simulated(13) + same, "fred")
    (val / "g.h5").write_bytes((val / "c.h5").read_bytes()[:3000])
    with h5py.File(train / "<img src=x>.h5", "w") as file:
        file["T1w"] = np.abs(np.random.default_rng(0).standard_normal((3, 64, 64)))
    return train, val


def test_folders_are_compared(splits, capsys, tmp_path, monkeypatch):
    train, val = splits
    report = tmp_path / "report"
    before = {path: path.read_bytes() for path in (*train.iterdir(), *val.iterdir())}
    words = ["mrirecon audit", f"first={train}", str(val), "--output", str(report)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    text = capsys.readouterr().out
    tree = json.loads((report / "audit.json").read_text())
    found = {(one["kind"], one["level"], *one["files"]) for one in tree["findings"]}
    assert ("duplicate", "problem", "first/a.h5", "val/c.h5") in found
    assert ("shared patient", "problem", "first/b.h5", "val/d.h5") in found
    assert ("identical noise", "problem", "first/e.h5", "val/f.h5") in found
    assert ("damaged file", "problem", "val/g.h5") in found
    assert ("magnitude images only", "problem", "first/<img src=x>.h5") in found
    assert ("foreign reference", "suspicion", "first/a.h5") in found
    assert len([one for one in found if one[1] == "problem"]) == 5 == tree["problems"]
    mirrored = next(one["reason"] for one in tree["findings"] if one["kind"] == "duplicate")
    assert "mirrored left to right" in mirrored and "PROBLEM  duplicate" in text
    page = (report / "audit.html").read_text()
    assert page.count("data:image/png;base64,") == 2  # the copy, and the noise
    assert "<img src=x>" not in page and "&lt;img src=x&gt;" in page
    assert "bob-ross" not in text + page, "patients have pseudonyms"
    assert not any(word in page for word in ("http:", "https:", "<script"))
    assert all(path.read_bytes() == content for path, content in before.items())
    with pytest.raises(SystemExit, match="exists already"):  # nothing is replaced unasked
        main()
    monkeypatch.setattr(sys, "argv", [*words, "--overwrite"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1


def test_clean_folders_end_with_0(tmp_path, monkeypatch, capsys):
    for number, split in enumerate(("train", "val")):
        write(tmp_path / split / "x.h5", simulated(20 + number), f"person {number}")
    monkeypatch.setattr(sys, "argv", ["audit", str(tmp_path / "train"), str(tmp_path / "val")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "0 problems, 0 suspicions" in capsys.readouterr().out


def test_samples_of_an_object_are_no_noise(kspace):
    y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 112), indexing="ij")
    disc = fft((((x + 0.2) ** 2 + y**2) < 0.3)[None] + 0j)
    assert outermost(disc)[0] == ()
    shape, samples = outermost(kspace)
    assert shape == (4, *SIZE) and len(samples) == 2048


def test_a_patient_of_one_folder_is_no_leak():
    header = ScanHeader("a", "b", 1, 1, (8, 8), (8, 8), (8, 8), subject="p")
    assert not list(subjects.find({"train": [("a", header), ("b", header)]}))


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("the file is truncated; copy or download it again", Level.PROBLEM),
        ("the trajectory is 'epi', EPI data are not supported yet", Level.NOTE),
    ],
)
def test_what_is_not_read_is_not_called_damaged(message, level):
    assert unreadable.unreadable("a", message).level is level


@pytest.mark.parametrize(("name", "level"), [("a.h5", Level.PROBLEM), ("qc.html", Level.NOTE)])
def test_a_page_is_a_failed_download_only_where_it_is_not_called_a_page(tmp_path, name, level):
    (tmp_path / name).write_text("<!DOCTYPE html><html><title>Not found</title></html>")
    (found,) = audit({"x": [(name, tmp_path / name)]}).findings
    assert found.level is level


def test_an_audit_that_could_look_at_nothing_does_not_end_with_0(tmp_path, monkeypatch, capsys):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["reconstruction"] = np.ones((2, 64, 64), "f4")
    monkeypatch.setattr(sys, "argv", ["audit", str(tmp_path)])
    with pytest.raises(SystemExit, match="nothing is known"):
        main()
    assert "NOTE  not looked at" in capsys.readouterr().out


def test_own_results_are_no_source_of_magnitudes(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["reconstruction"] = np.ones((2, 64, 64), "f4")
    found = audit({"x": [("r.h5", tmp_path / "r.h5")]})
    assert [one.level for one in found.findings] == [Level.NOTE]
    assert json.loads(as_json(found))["folders"] == {"x": 1}
    assert "not looked at" in as_page(found)
