"""3-D scans: sorted into planes perpendicular to the readout, turned into slices at the end."""

import pickle

import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_fit
from mrirecon.inference import reconstruct_scan
from mrirecon.raw import cartesian_acquisition as acquisition, memory
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.readers import open_scan
from mrirecon.reconstruction import Provenance, split_series
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from tests.readers.mrd_files import PHASE, READ, SLICE, XML, MrdFile

XYZ = (16, 12, 9)


class MrdVolume(MrdFile):
    """The true image is (coil, x, y, z); twofold readout oversampling; voxels of 2, 2 and 3 mm."""

    def __init__(self, shape=XYZ, recon_x=None, **xml):
        self.size = shape
        x, y, z = shape
        super().__init__(shape=(1, 2, x, y), xml=xml)
        generator = torch.Generator().manual_seed(5)
        self.volume = torch.randn(2, *shape, dtype=torch.complex64, generator=generator)
        padded = torch.zeros(2, 2 * x, y, z, dtype=torch.complex64)
        padded[:, x - x // 2 : x - x // 2 + x] = self.volume
        self.encoded = fft(fft(padded), (-3,)).numpy()
        self.planes = fft(self.volume)  # (coil, x, ky, kz)
        self.template = XML.replace("<z>1</z>", f"<z>{z}</z>").replace(
            "<z>5</z>", f"<z>{3 * z}</z>"
        )
        if recon_x:
            self.template = self.template.replace(
                "<reconSpace><matrixSize><x>{y}</x>", f"<reconSpace><matrixSize><x>{recon_x}</x>"
            )
        limits = (
            "<kspace_encoding_step_2><minimum>0</minimum><maximum>{}</maximum><center>{}</center>"
        )
        limits = limits.format(z - 1, z // 2) + "</kspace_encoding_step_2></encodingLimits>"
        self.template = self.template.replace("</encodingLimits>", limits)

    def point(self, y, z, flags=(), gain=1.0, keep=slice(None), **changes):
        samples = gain * self.encoded[:, keep, y, z]
        first = keep.indices(self.full)[0]
        told = {"center_sample": self.full // 2 - first, "kspace_encode_step_2": z}
        return self.add(samples, flags, 0, y, **(told | changes))

    def points(self, wanted=None, **options):
        _, ny, nz = self.size
        for z, y in np.ndindex(nz, ny):
            if wanted is None or wanted(y, z):
                self.point(y, z, **options)
        return self

    def write(self, path, group="dataset"):
        import h5py

        with h5py.File(path, "a") as file:
            place = file.create_group(group)
            place.create_dataset("xml", (1,), h5py.string_dtype())[0] = self.template.format(
                **self.xml
            )
            place.create_dataset("data", data=self.records(), chunks=(1,), maxshape=(None,))
        return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def close(actual, expected, tolerance=2e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [XYZ, (15, 12, 9), (16, 11, 8)])
def test_planes_are_the_scan_cut_across_the_readout(path, shape):
    file = MrdVolume(shape).points()
    scan = open_scan(file.write(path))
    header = scan.header
    assert header.volumetric and len(scan) == header.slices == shape[0]
    assert header.grid == header.matrix == shape[1:] and header.voxel == pytest.approx((2, 3, 2))
    for x, sample in enumerate(scan):
        close(sample.kspace, file.planes[:, x])
        assert sample.mask.shape == shape[1:] and sample.mask.all()
        assert sample.acs.tolist() == list(shape[1:]) and sample.weights is None
    again = pickle.loads(pickle.dumps(scan))
    close(again[3].kspace, file.planes[:, 3])


def test_chunks_and_scratch_files_change_nothing(path, monkeypatch):
    """Partitions acquired in the inner loop, every point twice, one position to a chunk."""
    file = MrdVolume()
    for average in range(2):
        for y, z in np.ndindex(12, 9):
            file.point(y, z, gain=0.5 + average, average=average)
    file.write(path)
    expected = [sample.kspace for sample in open_scan(path)]
    close(expected[5], file.planes[:, 5])
    monkeypatch.setattr(acquisition, "CHUNK", 1)
    monkeypatch.setattr(memory, "IN_MEMORY", 0)
    for sample, plane in zip(open_scan(path), expected, strict=True):
        close(sample.kspace, plane)


def test_undersampling_partial_fourier_and_weights(path):
    def wanted(y, z):
        return z >= 2 and (y % 2 == 0 or 4 <= y <= 8)

    file = MrdVolume().points(wanted).points(lambda y, z: y == 6 and z == 4, average=1)
    scan = open_scan(file.write(path))
    mask = torch.tensor([[wanted(y, z) for z in range(9)] for y in range(12)])
    sample = scan[7]
    assert (sample.mask == mask).all()
    close(sample.kspace, file.planes[:, 7] * mask)
    assert sample.acs.tolist() == [5, 6]
    assert sample.weights[6, 4] == 1 and sample.weights[6, 5] == 0.5 and sample.weights[1, 4] == 0
    assert any("Partial Fourier along the partitions: about 78%" in n for n in scan.header.notes)


def test_frames_of_a_volume(path):
    file = MrdVolume().points(contrast=0).points(contrast=1, gain=2.0)
    scan = open_scan(file.write(path))
    assert len(scan) == 32 and len(scan.header.frames) == 2
    close(scan[16 + 3].kspace, 2 * file.planes[:, 3])
    close(scan[3].kspace, file.planes[:, 3])


def test_a_separate_reference_scan(path):
    file = MrdVolume(calibration="separate")
    file.points(
        lambda y, z: 4 <= y <= 8 and 3 <= z <= 5, flags=(AcquisitionFlag.PARALLEL_CALIBRATION,)
    )
    scan = open_scan(file.points(lambda y, z: (y + z) % 2 == 0).write(path))
    close(scan[5].calibration, file.planes[:, 5, 4:9, 3:6])


def test_the_readout_is_interpolated_and_an_asymmetric_echo_zero_filled(path):
    file = MrdVolume(recon_x=32).points(keep=slice(10, None))
    scan = open_scan(file.write(path))
    encoded = torch.from_numpy(file.encoded.copy())
    encoded[:, :10] = 0
    image = center_fit(ifft(encoded, (-3,)).movedim(1, -1), (16,))
    image = ifft(center_fit(fft(image, (-1,)), (32,)), (-1,)) * 2**0.5
    assert scan.header.slices == 32 and scan.header.voxel == pytest.approx((2, 3, 1))
    close(scan[9].kspace, image[..., 9])
    assert any("Asymmetric echo" in n and "zero-filled" in n for n in scan.header.notes)


def test_noise_is_white_after_interpolation(path):
    rng = np.random.default_rng(0)
    file = MrdVolume((32, 24, 16), recon_x=48).noise(4 * np.eye(2), count=200)
    for z, y in np.ndindex(16, 24):
        x = rng.standard_normal((2, 2, 64)) * np.sqrt(4 / (2 * 0.8))
        file.add(x[0] + 1j * x[1], ky=y, kspace_encode_step_2=z)
    scan = open_scan(file.write(path))
    values = torch.stack([sample.kspace for sample in scan])
    assert values.real.std() == pytest.approx(1, abs=0.02)


def test_slices_of_the_volume_lie_where_the_header_says(path):
    """Voxel (x, y, z) of the NIfTI is at position + offsets along read, phase and slice."""
    file = MrdVolume().points()
    scan = open_scan(file.write(path))
    planes = reconstruct_scan(scan, ZeroFilled(), lambda sample: sample)
    (result,) = split_series(planes, scan.header, Provenance("a"))
    assert result.volume.shape == (1, 9, 16, 12)
    rss = torch.linalg.vector_norm(file.volume, dim=0)
    close(result.volume[0], rss.permute(2, 0, 1))
    affine = np.diag([-1, -1, 1, 1]) @ result.header.affine()  # of (phase, readout, slice)
    for x, y, z in ((0, 0, 0), (15, 3, 8), (8, 6, 4)):
        place = np.array([1.0, 2.0, 3.0])
        place += 2 * (x - 8) * np.array(READ) + 2 * (y - 6) * np.array(PHASE)
        place += 3 * (z - 4) * np.array(SLICE)
        np.testing.assert_allclose(affine @ [y, x, z, 1], [*place, 1], atol=1e-4)
    # the same place by the planes' own affine, of (partition, phase, readout)
    planes_affine = np.diag([-1, -1, 1, 1]) @ scan.header.affine()
    np.testing.assert_allclose(planes_affine @ [8, 3, 15, 1], affine @ [3, 15, 8, 1], atol=1e-4)


def test_siemens_volumes_are_conjugated(path):
    file = MrdVolume(vendor="SIEMENS").points(user=[0, 0, 0, 0, 0, 6, 4, 0])
    scan = open_scan(file.write(path))
    conjugate = torch.from_numpy(file.encoded.conj().copy())
    image = center_fit(ifft(conjugate, (-3,)).movedim(1, -1), (16,))
    close(scan[3].kspace, image[..., 3])


def test_several_slabs_are_refused(path):
    file = MrdVolume().points().point(0, 0, slice=1)
    with pytest.raises(RawDataError, match="several 3-D slabs"):
        open_scan(file.write(path))


def test_partitions_outside_of_the_grid_are_refused(path):
    file = MrdVolume().points(lambda _, z: z > 5).point(0, 8, kspace_encode_step_2=12)
    with pytest.raises(RawDataError, match=r"kspace_encode_step_2 spans 6..12"):
        open_scan(file.write(path))
