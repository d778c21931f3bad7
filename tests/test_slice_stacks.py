"""Slices that are no single stack: each image file tells where its own slices are."""

from dataclasses import replace

import h5py
import nibabel
import numpy as np
import pydicom
import pytest

from mrirecon.data.neighbors import Neighbors
from mrirecon.inference import reconstruct_scan
from mrirecon.inspection import as_text, inspect_file
from mrirecon.raw.mrd_records import ACQUISITION, ACQUISITION_HEADER
from mrirecon.raw.stacks import divide
from mrirecon.readers import open_scan
from mrirecon.reconstruction import Provenance, split_series
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.writers import write_dicom, write_nifti
from mrirecon.writers.sidecar import sidecar
from tests.test_patient_coordinates import AXES, FOV, WIDTH, XML, frequencies, spectrum

BLOB = np.array([14.0, -9.0, 11.0])  # LPS mm
H, W = 32, 30


def write(path, slices):
    """Write slices of one Gaussian blob, each given by its axes and its position in LPS mm."""
    kh, kw = frequencies(2 * H, 2 * FOV[0]), frequencies(W, FOV[1])
    k = np.stack(np.meshgrid(kh, kw, indexing="ij"), axis=-1)
    table = np.zeros(len(slices) * W, ACQUISITION)
    for number, (axes, position) in enumerate(slices):
        offset = axes @ (BLOB - np.asarray(position, float))
        signal = np.exp(-0.5 * (offset[2] / WIDTH) ** 2) * spectrum(k, offset[:2], 1)
        for row in range(W):
            record, head = table[number * W + row], np.zeros((), ACQUISITION_HEADER)
            head["version"] = head["active_channels"] = 1
            head["number_of_samples"], head["center_sample"] = 2 * H, H
            head["position"] = position
            head["read_dir"], head["phase_dir"], head["slice_dir"] = axes
            head["idx"]["slice"], head["idx"]["kspace_encode_step_1"] = number, row
            record["head"], record["traj"] = head, np.zeros(0, np.float32)
            record["data"] = signal[:, row].astype(np.complex64).view(np.float32)
    header = XML.format(
        vendor="GE", full=2 * H, h=H, w=W, d=1, cw=W // 2, cd=0,
        view_full=2 * FOV[0], view_h=FOV[0], view_w=FOV[1], view_d=4.0,
    )  # fmt: skip
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("xml", data=[header], dtype=h5py.string_dtype())
        group.create_dataset("data", data=table)


def series(path):
    scan = open_scan(path)
    planes = reconstruct_scan(scan, ZeroFilled(), lambda sample: sample)
    return split_series(planes, scan.header, Provenance(str(path)))


def seen(image):
    """Where the blob is, in mm of whatever coordinates the affine gives, and its brightness."""
    data = image.get_fdata()
    grid = np.stack(np.meshgrid(*map(np.arange, data.shape), indexing="ij"), axis=-1)
    brightest = np.unravel_index(data.argmax(), data.shape)
    near = (np.abs(grid - brightest)[..., :2] <= 5).all(-1) & (grid[..., 2] == brightest[2])
    weight = (data * near)[..., None]
    voxel = (grid * weight).sum((0, 1, 2)) / weight.sum()
    return (image.affine @ [*voxel, 1])[:3] * [-1, -1, 1], float(data.max())


def stacked(axes, places, across=0.0):
    """Slices at places along the normal, ``across`` mm aside along the readout."""
    return [(axes, place * axes[2] + across * axes[0]) for place in places]


def depths(axes, steps):
    """Places along the normal of which number 1 goes through the blob."""
    return float(BLOB @ axes[2]) + np.array(steps, float)


CASES = {
    "gap": (lambda a: stacked(a, depths(a, [-5, 0, 5, 35, 40])), [3, 2]),
    "gap, descending": (lambda a: stacked(a, depths(a, [40, 35, 5, 0, -5])), [3, 2]),
    "gap, interleaved": (lambda a: stacked(a, depths(a, [-5, 5, 0, 40, 35])), [3, 2]),
    "single slice, then a stack": (lambda a: stacked(a, depths(a, [-40, -5, 0, 5])), [1, 3]),
    "aside in plane": (
        lambda a: stacked(a, depths(a, [-10, -5, 0])) + stacked(a, depths(a, [5, 10, 15]), 30),
        [3, 3],
    ),
    "side by side": (
        lambda a: stacked(a, depths(a, [-5, 0, 5])) + stacked(a, depths(a, [-5, 0, 5]), 30),
        [3, 3],
    ),
    "twice at the same places": (lambda a: stacked(a, depths(a, [-5, 0, 5, -5, 0, 5])), [3, 3]),
    "other distances": (lambda a: stacked(a, depths(a, [-4, 0, 4, 20, 27, 34])), [3, 3]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("orientation", ["axial", "left-handed", "oblique"])
def test_stacks_apart_are_series_with_true_affines(case, orientation, tmp_path):
    slices, sizes = CASES[case]
    write(tmp_path / "a.h5", slices(AXES[orientation]))
    results = series(tmp_path / "a.h5")
    assert [r.header.slices for r in results] == sizes
    assert [r.suffix for r in results] == [f"_stack-{n + 1}" for n in range(len(sizes))]
    assert any("stacks of" in note for note in results[0].header.notes)
    found = []
    for result in results:
        path = tmp_path / f"a{result.suffix}.nii.gz"
        write_nifti(path, result)
        image = nibabel.load(path)
        assert image.header["qform_code"] == image.header["sform_code"] == 1
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
        found.append(seen(image))
    brightest = max(found, key=lambda item: item[1])
    np.testing.assert_allclose(brightest[0], BLOB, atol=0.5)
    check_dicom(results, tmp_path)


def check_dicom(results, tmp_path):
    """Every slice stands where its own tags say, and distances are told only if they are true."""
    for result in results:
        folder = tmp_path / f"d{result.suffix}"
        write_dicom(folder, result)
        files = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
        places = [np.array(file.ImagePositionPatient, float) for file in files]
        gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        told = {file.get("SpacingBetweenSlices") for file in files}
        if len(files) > 1 and np.ptp(gaps) < 0.01:
            assert len(told) == 1 and float(told.pop()) == pytest.approx(gaps[0], abs=1e-3)
        else:
            assert told == {None}
        assert sidecar(result).get("SpacingBetweenSlices") == (
            pytest.approx(gaps[0], abs=1e-3) if None not in told and len(gaps) else None
        )


def test_localizers_keep_the_orientation_of_each_slice(tmp_path):
    order = ["axial", "coronal", "sagittal"]
    slices = [(AXES[name], BLOB + [6.0, -4.0, 0.0] @ AXES[name]) for name in order]
    write(tmp_path / "a.h5", slices)
    results = series(tmp_path / "a.h5")
    assert [r.header.slices for r in results] == [1, 1, 1]
    assert "of several orientations" in results[0].header.notes[-2]
    for result, (axes, position) in zip(results, slices, strict=True):
        write_nifti(tmp_path / f"{result.suffix}.nii.gz", result)
        np.testing.assert_allclose(
            seen(nibabel.load(tmp_path / f"{result.suffix}.nii.gz"))[0], BLOB, atol=0.5
        )
        write_dicom(tmp_path / result.suffix, result)
        (file,) = (tmp_path / result.suffix).iterdir()
        image = pydicom.dcmread(file)
        told = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        np.testing.assert_allclose(told, [axes[1], axes[0]], atol=1e-6)
        corner = position - axes[0] * 3.0 * (H // 2) - axes[1] * 3.0 * (W // 2)
        np.testing.assert_allclose(np.array(image.ImagePositionPatient, float), corner, atol=1e-3)
        assert "SpacingBetweenSlices" not in image
    shown = as_text(inspect_file(tmp_path / "a.h5"))
    assert "orientation  " in shown and "axial; coronal; sagittal" in shown


UNEVEN = {
    "jitter": lambda a: stacked(a, [0, 5, 10.5, 15, 21]),
    "sheared": lambda a: [(a, 5.0 * n * a[2] + 2.0 * n * a[1]) for n in range(4)],
    "growing": lambda a: stacked(a, [0, 4, 9, 15, 22]),
}


@pytest.mark.parametrize("case", UNEVEN)
def test_what_no_affine_describes_is_not_claimed(case, tmp_path):
    axes = AXES["oblique"]
    write(tmp_path / "a.h5", UNEVEN[case](axes))
    (result,) = series(tmp_path / "a.h5")
    write_nifti(tmp_path / "a.nii.gz", result)
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.header["qform_code"] == image.header["sform_code"] == 0
    facts = sidecar(result)
    assert facts["mrirecon"]["GeometryKnown"] is False and "SpacingBetweenSlices" not in facts
    assert any("no affine matrix" in note for note in facts["mrirecon"]["Notes"])
    write_dicom(tmp_path / "dicom", result)
    for file, (_, position) in zip(
        sorted((tmp_path / "dicom").iterdir()), UNEVEN[case](axes), strict=True
    ):
        image = pydicom.dcmread(file)
        corner = position - axes[0] * 3.0 * (H // 2) - axes[1] * 3.0 * (W // 2)
        np.testing.assert_allclose(np.array(image.ImagePositionPatient, float), corner, atol=1e-3)
        assert "SpacingBetweenSlices" not in image


@pytest.mark.parametrize(
    ("places", "sizes"),
    [
        (np.arange(300) * 0.7, [300]),
        ([0, 30, 35, 40], [1, 3]),
        ([0, 5, 35, 40], [2, 2]),
        ([0, 5, 10, 40, 45, 50, 90, 95, 100], [3, 3, 3]),
        ([7], [1]),
        ([0, 12], [2]),
        ([0, 0, 5], None),
        ([3, 3, 3], None),
    ],
)
def test_fewest_stacks(places, sizes):
    positions = np.stack([np.zeros(len(places))] * 2 + [np.array(places, float)], axis=1)
    found = divide(np.broadcast_to(np.eye(3), (len(places), 3, 3)), positions)
    assert (found and [len(stack) for stack in found]) == sizes


def test_neighbours_of_a_slice_are_of_its_own_stack(tmp_path):
    write(tmp_path / "a.h5", stacked(AXES["axial"], [0, 5, 10, 40, 45]))
    header = open_scan(tmp_path / "a.h5").header
    assert Neighbors(1).around(header, 2) == (1, 2)
    assert Neighbors(1).around(header, 3) == (3, 4)
    header = replace(header, frames=header.frames * 2)
    assert Neighbors(1).around(header, 5 + 3) == (8, 9)
