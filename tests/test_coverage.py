"""What is told about the sampling of a scan holds for all of its planes."""

import json

import h5py
import numpy as np
import pytest
import torch

from mrirecon.inspection import as_dict, as_text, inspect_file
from mrirecon.pipeline import Method, Request, run
from mrirecon.readers import open_scan
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sampled import ScanSampling
from mrirecon.sampling import Coverage, DrawnMask, KtGolden, SamplingPattern
from mrirecon.sampling.sampled_readouts import sampled_plane_of
from mrirecon.types import Sample
from tests import scenes
from tests.readers.mrd_files import MrdFile


class Fourth(SamplingPattern):
    """Every fourth line."""

    def __call__(self, shape, rng):
        del rng
        return DrawnMask((torch.arange(shape[1]) % 4 == 0)[None], (0, 0), 4.0)


def made_of(path, sampling=None):
    method = Method(ZeroFilled(), lambda sample: sample, sampling)
    return run(open_scan(path), method, Request(batch_size=2))


def arrays(path, change):
    """A file of five slices of which ``change`` alters the k-space (slice, coil, h, w)."""
    kspace = np.stack([sample.kspace.numpy() for sample in scenes.scan(slices=5)])
    change(kspace)
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
    return path


def first_empty(kspace):
    kspace[0] = 0
    kspace[1:, ..., 1::2] = 0


def differing(kspace):
    kspace[:3, ..., 1::2] = 0
    kspace[3:, ..., np.arange(36) % 3 > 0] = 0


CASES = {
    "first slice empty": (first_empty, 2.0, (2.0, 2.0), (0,)),
    "last slices empty": (lambda k: k[3:].fill(0), 1.0, (1.0, 1.0), (3, 4)),
    "slices differ": (differing, 180 / (3 * 18 + 2 * 12), (2.0, 3.0), ()),
    "all alike": (lambda k: k[..., 1::2].fill(0), 2.0, (2.0, 2.0), ()),
}


@pytest.mark.parametrize("case", CASES)
def test_acceleration_is_that_of_the_scan(case, tmp_path):
    change, overall, between, empty = CASES[case]
    path = arrays(tmp_path / "a.h5", change)
    report = inspect_file(path)
    assert report.sampling.acceleration == pytest.approx(overall)
    assert report.sampling.accelerations == pytest.approx(between)
    assert report.sampling.empty == empty
    shown = as_text(report)
    all_made = made_of(path)
    (made,) = all_made.results
    assert made.provenance.acceleration == pytest.approx(overall)
    for text in (shown, all_made.sampling):
        assert f"R = {overall:.2f}" in text and "R = 1.00" not in text.replace(f"{overall:.2f}", "")
        assert (f"{len(empty)} of 5 planes are empty" in text) == bool(empty)
        assert ("2.00 to 3.00" in text) == (between == (2.0, 3.0))
    told = [note for note in made.header.notes if "sampled alike" in note]
    assert len(told) == (bool(empty) or between[0] != between[1])
    assert json.loads(json.dumps(as_dict(report)))["sampling"]["empty"] == list(empty)


def frames(pattern, keep):
    """Frames of a series whose lines change from frame to frame, of which a side is kept."""
    for number in range(12):
        mask = pattern.of_frame((32, 96), np.random.RandomState(0), number).mask & keep
        yield Sample(torch.ones(2, 32, 96, dtype=torch.complex64) * mask, mask)


@pytest.mark.parametrize(("first", "told"), [(0, False), (30, True)])
def test_frames_whose_lines_lie_unevenly_are_no_partial_fourier(first, told):
    planes = ScanSampling()
    for sample in frames(KtGolden(8), torch.arange(96) >= first):
        planes.add(sampled_plane_of(sample))
    assert any(kind.one_sided for _, kind in planes.kinds)
    assert planes.sampling(sampled_plane_of(sample)).one_sided is told


def test_pattern_and_centre_hold_for_all_planes(tmp_path):
    def change(kspace):
        kspace[1, ..., 1:12:2] = kspace[1, ..., 25::2] = 0
        kspace[2, ..., np.arange(36) % 3 > 0] = 0
        kspace[4, ..., :12] = 0

    report = inspect_file(arrays(tmp_path / "a.h5", change))
    assert report.sampling.pattern == (
        "fully sampled (plane 1); one line of 2, 13 in the centre (plane 2); "
        "one line of 3, 1 in the centre (plane 3); …"
    )
    assert report.sampling.acs == (40, 1)  # with which no maps of plane 3 can be estimated
    assert report.sampling.partial_fourier == (1.0, 24 / 36) and report.sampling.one_sided
    assert "model=zero_filled" in report.command


def test_an_empty_scan_is_not_called_fully_sampled(tmp_path):
    path = arrays(tmp_path / "a.h5", lambda k: k.fill(0))
    assert "nothing was measured in any plane" in as_text(inspect_file(path))


def test_undersampling_is_told_beside_that_of_the_scan(tmp_path):
    path = arrays(tmp_path / "a.h5", lambda k: k[..., 1::2].fill(0))

    made = made_of(path, Fourth())
    assert made.results[0].provenance.acceleration == 4 and made.sampling == "R = 4.00"
    assert made.notes[-1].startswith("The scan itself has R = 2.00; sampling=")


def test_scans_that_begin_with_an_empty_slice_are_told_apart(tmp_path):
    """What identifies a scan is taken from a plane with signal."""
    marks = set()
    for gain in (1, 2):

        def change(kspace, gain=gain):
            kspace *= gain
            kspace[0] = 0

        path = arrays(tmp_path / "a.h5", change)
        marks.add(made_of(path).results[0].provenance.fingerprint)
    assert len(marks) == 2


def corners(kspace, slices, radius=1.24, rows=slice(None)):
    h, w = kspace.shape[-2:]
    y, x = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    out = np.hypot(y, x) > radius
    out[~np.isin(np.arange(h), np.arange(h)[rows])] = False
    kspace[slices] *= ~out
    return out


@pytest.mark.parametrize("slices", [1, 5])
@pytest.mark.parametrize("rows", [slice(None), slice(20, None)], ids=["all", "two"])
def test_corners_that_were_not_measured_are_found(slices, rows, tmp_path):
    kspace = np.stack([sample.kspace.numpy() for sample in scenes.scan(slices=5)])[:slices]
    out = corners(kspace, slice(None), rows=rows)
    assert 0 < out.mean() < 0.05
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = kspace
    scan = open_scan(tmp_path / "a.h5")
    assert all((sample.mask.numpy() == ~out).all() for sample in scan)
    report = inspect_file(tmp_path / "a.h5")
    assert report.sampling.acceleration == pytest.approx(1 / (1 - out.mean()))


@pytest.mark.parametrize("slices", [1, 5])
def test_a_few_zeros_by_rounding_are_no_pattern(slices, tmp_path):
    kspace = np.stack([sample.kspace.numpy() for sample in scenes.scan(slices=5)])[:slices]
    generator = np.random.default_rng(0)
    kspace *= generator.random((slices, 1, *kspace.shape[-2:])) > 0.02
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = kspace
    assert all(sample.mask.all() for sample in open_scan(tmp_path / "a.h5"))


def test_the_same_scattered_zeros_in_all_slices_are_a_pattern(tmp_path):
    keep = np.random.default_rng(0).random((40, 36)) > 0.02
    path = arrays(tmp_path / "a.h5", lambda k: np.multiply(k, keep, out=k))
    assert (open_scan(path)[2].mask.numpy() == keep).all()


def test_readouts_filled_with_zeros_were_not_measured(tmp_path):
    file = MrdFile().lines(range(0, 12, 2))
    for row in range(1, 12, 2):
        file.line(row, gain=0.0)
    scan = open_scan(file.write(tmp_path / "a.h5"))
    assert scan[0].mask.flatten().tolist() == [True, False] * 6
    assert inspect_file(tmp_path / "a.h5").sampling.acceleration == 2


def test_planes_without_a_key_are_numbered_as_they_come():
    coverage = Coverage()
    ones = torch.ones(1, 4, 4, dtype=torch.complex64)
    for kspace in (ones, 0 * ones, ones):
        mask = torch.ones(1, 4, dtype=torch.bool)
        coverage.add(sampled_plane_of(Sample(kspace=kspace, mask=mask)))
    assert coverage.empty == [1] and coverage.acceleration == 1
    assert coverage.text() == "R = 1.00; 1 of 3 planes are empty (2)"
