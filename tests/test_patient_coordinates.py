"""Things in the patient appear in the image file where they are, whoever acquired them.

Two Gaussian blobs at known LPS coordinates have a k-space in closed form, so nothing of the
reconstruction is used to make the raw file: neither its grids nor its transforms.
"""

import h5py
import nibabel
import numpy as np
import pytest

from mrirecon.inference import reconstruct_scan
from mrirecon.raw.mrd_records import ACQUISITION, ACQUISITION_HEADER
from mrirecon.readers import open_scan
from mrirecon.reconstruction import Provenance, split_series
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.writers import write_nifti

WIDTH = 5.0  # mm, standard deviation of the blobs
BLOBS = {(13.0, -22.0, 9.0): 1.0, (-17.0, 11.0, -6.0): 0.7}  # offsets from the centre in LPS mm
CENTER = np.array([-12.0, 31.0, 7.5])
FOV = (96.0, 90.0)

OBLIQUE = np.linalg.qr(np.array([[0.8, 0.3, -0.2], [-0.1, 0.9, 0.4], [0.3, -0.2, 0.9]]))[0]
AXES = {  # rows: read, phase and slice direction
    "axial": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], float),
    "axial, readout along AP": np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], float),
    "sagittal": np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], float),
    "coronal": np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], float),
    "left-handed": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float),
    "oblique": OBLIQUE.T,
}
SIGNS = {"GE": 1, "SIEMENS": -1}

XML = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
  <acquisitionSystemInformation><systemVendor>{vendor}</systemVendor></acquisitionSystemInformation>
  <encoding>
    <encodedSpace><matrixSize><x>{full}</x><y>{w}</y><z>{d}</z></matrixSize>
      <fieldOfView_mm><x>{view_full}</x><y>{view_w}</y><z>{view_d}</z></fieldOfView_mm></encodedSpace>
    <reconSpace><matrixSize><x>{h}</x><y>{w}</y><z>{d}</z></matrixSize>
      <fieldOfView_mm><x>{view_h}</x><y>{view_w}</y><z>{view_d}</z></fieldOfView_mm></reconSpace>
    <trajectory>cartesian</trajectory>
    <encodingLimits>
      <kspace_encoding_step_1><minimum>0</minimum><maximum>{w}</maximum><center>{cw}</center>
      </kspace_encoding_step_1>
      <kspace_encoding_step_2><minimum>0</minimum><maximum>{d}</maximum><center>{cd}</center>
      </kspace_encoding_step_2>
    </encodingLimits>
  </encoding>
</ismrmrdHeader>"""


def spectrum(k, offset, sign):
    """The Fourier transform of a blob at ``offset``; k in cycles per mm, (…, dimension)."""
    decay = np.exp(-2 * (np.pi * WIDTH) ** 2 * np.square(k).sum(-1))
    return decay * np.exp(-2j * np.pi * sign * (k @ offset))


def frequencies(count, view):
    return (np.arange(count) - count // 2) / view


def write(path, axes, shape, vendor, planes):
    """Write an ISMRMRD file with one coil and twofold oversampling.

    ``planes`` are the positions of 2-D slices along the normal in mm, or, for a 3-D scan, the
    number of partitions and the thickness of the slab.
    """
    h, w = shape
    volumetric = isinstance(planes[0], int)
    d, view_d = planes if volumetric else (1, 4.0)
    kh, kw = frequencies(2 * h, 2 * FOV[0]), frequencies(w, FOV[1])
    stacks = [0.0] if volumetric else planes
    lines = []
    for number, along in enumerate(stacks):
        position = CENTER + along * axes[2]
        for partition, kd in enumerate(frequencies(d, view_d)):
            for row in range(w):
                signal = np.zeros(2 * h, complex)
                for blob, strength in BLOBS.items():
                    offset = axes @ (CENTER + np.array(blob) - position)
                    k = np.stack([kh, np.full(2 * h, kw[row]), np.full(2 * h, kd)], axis=-1)
                    if not volumetric:  # a thin slice through the blob
                        strength *= np.exp(-0.5 * (offset[2] / WIDTH) ** 2)
                        k, offset = k[:, :2], offset[:2]
                    signal += strength * spectrum(k, offset, SIGNS[vendor])
                lines.append((number, partition, row, position, signal))
    table = np.zeros(len(lines), ACQUISITION)
    for record, (number, partition, row, position, signal) in zip(table, lines, strict=True):
        head = np.zeros((), ACQUISITION_HEADER)
        head["version"], head["active_channels"] = 1, 1
        head["number_of_samples"], head["center_sample"] = 2 * h, h
        head["position"] = position
        head["read_dir"], head["phase_dir"], head["slice_dir"] = axes
        head["idx"]["slice"], head["idx"]["kspace_encode_step_1"] = number, row
        head["idx"]["kspace_encode_step_2"] = partition
        record["head"], record["traj"] = head, np.zeros(0, np.float32)
        record["data"] = signal.astype(np.complex64).view(np.float32)
    header = XML.format(
        vendor=vendor, full=2 * h, h=h, w=w, d=d, cw=w // 2, cd=d // 2,
        view_full=2 * FOV[0], view_h=FOV[0], view_w=FOV[1], view_d=view_d,
    )  # fmt: skip
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("xml", data=[header], dtype=h5py.string_dtype())
        group.create_dataset("data", data=table)


def nifti(path, tmp_path):
    scan = open_scan(path)
    planes = reconstruct_scan(scan, ZeroFilled(), lambda sample: sample)
    (result,) = split_series(planes, scan.header, Provenance(str(path)))
    write_nifti(tmp_path / "a.nii.gz", result)
    return nibabel.load(tmp_path / "a.nii.gz")


def centroid(image, place, spacing, axes=3):
    """Centre of mass within two widths of a place, in voxels; with two axes in its slice."""
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    inside = np.linalg.norm((grid - place) * spacing, axis=-1) < 2 * WIDTH
    if axes == 2:
        inside &= grid[..., 2] == round(place[2])
    weight = (image * inside)[..., None]
    return (grid * weight).sum((0, 1, 2)) / weight.sum()


def check(image, axes):
    data = image.get_fdata()
    assert image.header["qform_code"] == image.header["sform_code"] == 1
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    spacing = np.array(image.header.get_zooms())
    for blob in BLOBS:
        ras = (CENTER + np.array(blob)) * [-1, -1, 1]
        place = np.linalg.solve(image.affine, [*ras, 1])[:3]
        found = centroid(data, place, spacing, axes)
        # sampling and truncating the blob at the window's edge moves the centre a little
        np.testing.assert_allclose((found - place)[:axes] * spacing[:axes], 0, atol=0.5)


@pytest.mark.parametrize("vendor", SIGNS)
@pytest.mark.parametrize("shape", [(48, 44), (47, 45)], ids=str)
@pytest.mark.parametrize("orientation", AXES)
def test_slices_with_gaps(orientation, shape, vendor, tmp_path):
    """Slices of 4 mm every 6 mm, through the centre of each blob among others, out of order."""
    axes = AXES[orientation]
    depths = [float(axes[2] @ np.array(blob)) for blob in BLOBS]
    step = (depths[1] - depths[0]) / 3
    planes = [depths[0] + step * number for number in (4, 0, 2, -1, 1, 3)]
    write(tmp_path / "a.h5", axes, shape, vendor, planes)
    image = nifti(tmp_path / "a.h5", tmp_path)
    assert image.header.get_zooms()[2] == pytest.approx(abs(step), rel=1e-4)
    check(image, 2)


@pytest.mark.parametrize("vendor", SIGNS)
@pytest.mark.parametrize("shape", [(48, 44, 20), (47, 45, 21)], ids=str)
@pytest.mark.parametrize("orientation", AXES)
def test_volumes(orientation, shape, vendor, tmp_path):
    write(tmp_path / "a.h5", AXES[orientation], shape[:2], vendor, (shape[2], 84.0))
    check(nifti(tmp_path / "a.h5", tmp_path), 3)


def test_the_wrong_sign_would_be_noticed(tmp_path):
    """A mirrored image is a plausible image: the test itself must tell them apart."""
    write(tmp_path / "a.h5", AXES["axial"], (48, 44), "GE", [9.0, -6.0])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["dataset/xml"][0] = file["dataset/xml"][0].replace(b"GE<", b"SIEMENS<")
    with pytest.raises(AssertionError):
        check(nifti(tmp_path / "a.h5", tmp_path), 2)
