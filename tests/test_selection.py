"""Some slices and frames of a scan, and images with their phase."""

from dataclasses import replace

import h5py
import nibabel
import numpy as np
import pydicom
import pytest
import torch

from mrirecon.data.transforms import Compose, Normalize, Undersample
from mrirecon.errors import ConfigError, OutputError
from mrirecon.inference import reconstruct_complex, reconstruct_scan
from mrirecon.raw.mrd_images import COMPLEX
from mrirecon.reconstruction import Provenance, chosen_series, planes_of, split_series
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.locally_low_rank import LocallyLowRank
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.scan import Frame, Scan
from mrirecon.selection import Selection
from mrirecon.sensitivity import Walsh
from mrirecon.types import Sample
from mrirecon.writers import WRITERS
from tests import scenes

TRANSFORM = Compose([Undersample(scenes.PATTERN), Normalize()])
MADE = Provenance("a.h5", "CgSense", "mrirecon x")


class Series(Scan):
    """Several frames: two echoes with two repetitions each."""

    def __init__(self, slices=4):
        self.scans = [scenes.scan(n, (24, 20), slices, 3) for n in range(4)]
        frames = tuple(Frame(contrast=c, repetition=r) for c in (0, 1) for r in (0, 1))
        self.header = replace(self.scans[0].header, frames=frames, echo_times=(10.0, 20.0))

    def _read(self, index):
        frame, one = divmod(index, self.header.slices)
        return self.scans[frame][one]


class Bare(Scan):
    """What a reader has to tell at the least: k-space and where it was measured."""

    def __init__(self):
        self.whole = scenes.scan(0, (24, 20), 2, 3)
        self.header = self.whole.header

    def _read(self, index):
        return Sample(kspace=self.whole[index].kspace, mask=self.whole[index].mask)


def test_a_slice_is_named_where_its_reader_does_not():
    scan = Bare()
    assert [sample.key for sample in scan] == [(scan.header.name, n) for n in range(2)]
    assert TRANSFORM(scan[1]).key == (scan.header.name, 1)  # masks are drawn by the name


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, range(6)), (3, [3]), (-1, [5]), ("0:2", [0, 1]), ("::2", [0, 2, 4]), ("4:", [4, 5]),
        ([4, 1], [1, 4]), (["0:2", 5, "-1"], [0, 1, 5]), ("2:99", [2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_choices(choice, expected):
    assert Selection(choice).chosen_slices(6) == tuple(expected)
    assert Selection(None, choice).chosen_frames(6) == tuple(expected)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (6, "there is no 6; the scan has 6, 0 to 5"), (-7, "there is no -7"), ("4:2", "none of"),
        ("a", "expected 3"), ("", "expected 3"), ("1:2:3:4", "expected 3"), ("::0", "expected 3"),
        ([], "none of"), ("1.5", "expected 3"),
    ],
)  # fmt: skip
def test_bad_choices(choice, reason):
    with pytest.raises(ConfigError, match=reason):
        Selection(choice).chosen_slices(6)


class Neighbours(Reconstructor):
    """Sees a slice on either side."""

    context = 1

    def forward(self, sample):
        around = sample.neighbors.kspace.sum(-4) + sample.kspace
        return ZeroFilled()(sample.replace(kspace=around, neighbors=None))


@pytest.mark.parametrize(
    "model", [ZeroFilled(), Neighbours(), LocallyLowRank(Walsh(kernel=6), iterations=3)]
)
def test_chosen_planes_equal_those_of_the_whole_scan_and_lie_where_they_did(model):
    scan, selection = Series(), Selection([1, 3], "1:3")
    full = split_series(reconstruct_scan(scan, model, TRANSFORM), scan.header, MADE)
    planes = planes_of(scan.header, selection)
    assert planes == [5, 7, 9, 11]
    some = reconstruct_scan(scan, model, TRANSFORM, planes=planes)
    results = split_series(some, scan.header, MADE, selection)
    assert [r.suffix for r in results] == chosen_series(scan.header, selection)
    assert [r.suffix for r in results] == ["_echo-1", "_echo-2"]
    for result, whole, frame in zip(results, full, (1, 0), strict=True):
        torch.testing.assert_close(result.volume[0], whole.volume[frame, [1, 3]])
        assert result.header.frames == (whole.header.frames[frame],)
        assert result.number == whole.number and result.header.slices == 2
        assert result.header.sequence.echo_time == whole.header.sequence.echo_time
        for index, place in ((0, 1), (1, 3)):
            np.testing.assert_allclose(
                result.header.affine() @ [5, 7, index, 1],
                whole.header.affine() @ [5, 7, place, 1], atol=1e-6,
            )  # fmt: skip
    (echo,) = split_series(
        reconstruct_scan(scan, model, TRANSFORM, planes=planes_of(scan.header, Selection(0, 3))),
        scan.header, MADE, Selection(0, 3),
    )  # fmt: skip
    assert echo.suffix == "_echo-2" and echo.number == 2 and echo.volume.shape[:2] == (1, 1)


def test_slices_of_a_3d_scan_are_those_of_the_volume():
    """Its planes are cuts across the readout, all of which are needed."""
    header = replace(scenes.scan(0, (12, 10), 8, 2).header, volumetric=True)
    planes = torch.rand(8, 12, 10)
    (full,) = split_series(planes, header, MADE)
    selection = Selection("2:5")
    assert planes_of(header, selection) == list(range(8))
    (some,) = split_series(planes, header, MADE, selection)
    assert some.volume.equal(full.volume[:, 2:5]) and some.header.slices == 3
    assert some.header.geometry.positions == full.header.geometry.positions[2:5]


@pytest.fixture(scope="module")
def result():
    scan = scenes.scan(1, (24, 20), 3, 3)
    images = reconstruct_complex(scan, CgSense(Walsh(kernel=6)), TRANSFORM)
    magnitude = reconstruct_scan(scan, CgSense(Walsh(kernel=6)), TRANSFORM)
    torch.testing.assert_close(images.abs(), magnitude)
    (result,) = split_series(images, scan.header, MADE)
    assert result.volume.equal(images.abs()[None]) and result.complex_volume.equal(images[None])
    return result


def test_every_format_holds_the_phase(result, tmp_path):
    images = result.complex_volume[0].numpy()
    for form in WRITERS.values():
        form.write(tmp_path / f"a{next(iter(form.files(True)))}", result)
    wanted = {f"a{suffix}" for form in WRITERS.values() for suffix in form.files(True)}
    assert {path.name for path in tmp_path.iterdir()} == wanted
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["reconstruction_complex"][()], images)
        np.testing.assert_allclose(file["reconstruction"][()], abs(images), rtol=1e-6)
    magnitude, phase = (
        nibabel.load(tmp_path / f"a_part-{part}.nii.gz").get_fdata().transpose(2, 1, 0)
        for part in ("mag", "phase")
    )
    np.testing.assert_allclose(
        magnitude * np.exp(1j * phase), images, atol=1e-5 * abs(images).max()
    )
    told = (tmp_path / "a_part-phase.json").read_text()
    assert '"Units": "rad"' in told and '"P"' in told
    with h5py.File(tmp_path / "a_images.h5") as file:
        heads, data = file["dataset/image_0/header"][()], file["dataset/image_0/data"][()]
    assert data.dtype == COMPLEX and set(heads["data_type"]) == {7}
    assert set(heads["image_type"]) == {5}
    np.testing.assert_array_equal(data.view(np.complex64)[:, 0, 0].swapaxes(-1, -2), images)


def test_dicom_phase_is_a_series_of_its_own_in_radians(result, tmp_path):
    WRITERS["dicom"].write(tmp_path / "a_dicom", result)
    images = result.complex_volume[0].numpy()
    series = []
    for folder in ("a_dicom", "a_phase_dicom"):
        files = [pydicom.dcmread(file) for file in sorted((tmp_path / folder).iterdir())]
        values = [f.pixel_array * float(f.RescaleSlope) + float(f.RescaleIntercept) for f in files]
        series.append((files[0], np.stack(values)))
    (first, magnitude), (second, phase) = series
    assert first.ImageType[2] == "M" and second.ImageType[2] == "P"
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.SeriesNumber != second.SeriesNumber
    assert first.ImagePositionPatient == second.ImagePositionPatient
    error = abs(magnitude * np.exp(1j * phase) - images)
    assert error.max() < 3e-4 * abs(images).max()


def test_half_of_a_pair_in_the_way_stops_both(result, tmp_path):
    for name, suffix in (("nifti", "_part-phase.json"), ("dicom", "_phase_dicom")):
        (tmp_path / f"a{suffix}").write_text("precious")
        with pytest.raises(OutputError):
            WRITERS[name].write(tmp_path / f"a{WRITERS[name].suffix}", result, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_part-phase.json", "a_phase_dicom"]


def test_methods_without_a_phase_are_refused():
    with pytest.raises(ConfigError, match="ZeroFilled have no phase, for it combines"):
        reconstruct_complex(scenes.scan(0, (24, 20), 1, 3), ZeroFilled(), TRANSFORM)
