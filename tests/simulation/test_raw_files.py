from dataclasses import replace

import h5py
import ismrmrd
import numpy as np
import pytest
import torch

from mrirecon.errors import ConfigError, OutputError
from mrirecon.fourier import fft, ifft
from mrirecon.image import center_crop, root_sum_of_squares
from mrirecon.sampling.base import DrawnMask, SamplingPattern
from mrirecon.simulation.acquisition_options import DWELL_TIME, NOISE_DWELL_TIME, AcquisitionOptions
from mrirecon.simulation.raw_files import write_fastmri, write_ismrmrd, write_reference
from mrirecon.simulation.receiver_noise import whitening
from mrirecon.simulation.simulated_scan import SimulatedScan
from mrirecon.simulation.simulation_protocol import Prescription, SimulationProtocol

H, W, COILS, SLICES = 32, 30, 4, 3
STACK = Prescription(matrix=(H, W), slices=SLICES, tilt=(15.0, 8.0), gap=2.0)
SCAN = SimulatedScan(11, SimulationProtocol(prescription=STACK, coils=COILS))
NOISE, CALIBRATION, BOTH, FIRST_SLICE, LAST_SLICE = 19, 20, 21, 7, 8


class EveryThird(SamplingPattern):
    """Lines 1, 4, 7, ... and the central 12 to 17, of which 13 and 16 are on the raster."""

    def __call__(self, shape, rng):  # noqa: ARG002
        mask = torch.zeros(1, shape[1], dtype=torch.bool)
        mask[:, 1::3] = True
        mask[:, 12:18] = True
        return DrawnMask(mask, (shape[0], 6), 3.0)


class HalfReadout(SamplingPattern):
    def __call__(self, shape, rng):  # noqa: ARG002
        return DrawnMask(torch.ones(shape, dtype=torch.bool), shape, 2.0)


def read(path):
    with ismrmrd.Dataset(str(path), mode="r") as file:
        header = ismrmrd.xsd.CreateFromDocument(file.read_xml_header())
        count = file.number_of_acquisitions()
        lines = [file.read_acquisition(i) for i in range(count)]
    return header, lines


def written(tmp_path, **options):
    path = tmp_path / "scan.h5"
    write_ismrmrd(path, SCAN, AcquisitionOptions(**options))
    header, lines = read(path)
    noise = [line for line in lines if line.is_flag_set(NOISE)]
    return header, noise, [line for line in lines if not line.is_flag_set(NOISE)]


def whitened(header, noise, lines):
    """The whitening that a reader derives from the noise scan alone."""
    samples = np.concatenate([line.data for line in noise], axis=1).astype(np.complex128)
    covariance = samples @ samples.conj().T / samples.shape[1]
    bandwidth = header.acquisitionSystemInformation.relativeReceiverNoiseBandwidth
    ratio = lines[0].sample_time_us / noise[0].sample_time_us
    return np.linalg.inv(np.linalg.cholesky(covariance)) * np.sqrt(2 * ratio * bandwidth)


def kspace(header, lines, index, matrix):
    """Sort, whiten and crop one slice as section 1.4 of the raw-data reference says."""
    encoding = header.encoding[0]
    center = encoding.encodingLimits.kspace_encoding_step_1.center
    samples, w = encoding.encodedSpace.matrixSize.x, encoding.encodedSpace.matrixSize.y
    total, count = np.zeros((COILS, samples, w), complex), np.zeros((samples, w), int)
    for line in lines:
        if line.idx.slice == index:
            column = line.idx.kspace_encode_step_1 - center + w // 2
            start = samples // 2 - line.center_sample
            total[:, start : start + line.number_of_samples, column] += matrix @ line.data
            count[start : start + line.number_of_samples, column] += 1
    mean = torch.from_numpy(total / np.maximum(count, 1)).to(torch.complex64)
    image = center_crop(ifft(mean, axes=(-2,)), (encoding.reconSpace.matrixSize.x, w))
    return fft(image, axes=(-2,)), torch.from_numpy(count > 0)


def test_full_scan_becomes_the_sample_again(tmp_path):
    header, noise, lines = written(tmp_path, noise_readouts=200)
    assert (len(noise), len(lines)) == (200, SLICES * W)
    assert {line.number_of_samples for line in lines} == {2 * H}
    matrix = whitened(header, noise, lines)
    for index in range(SLICES):
        y, measured = kspace(header, lines, index, matrix)
        assert measured.all()
        # The estimated whitening (12800 samples, 1 %) leaves its own error on the strong signal;
        # the true whitening leaves the noise only.
        y, _ = kspace(header, lines, index, whitening(SCAN.covariance))
        rest = y - SCAN.noise_free(index)
        # 3840 samples per component: the standard deviation is known to 0.011
        assert float(rest.real.std()) == pytest.approx(1, abs=0.05)
        assert float(rest.imag.std()) == pytest.approx(1, abs=0.05)
        assert rest.mean().abs() < 0.1
    # both whitenings give the same noise covariance, within 1/sqrt(12800) = 0.009 per entry
    raw_to_white = matrix @ SCAN.covariance @ matrix.conj().T / 2
    np.testing.assert_allclose(raw_to_white, np.eye(COILS), atol=0.05)


def test_noise_scan_has_its_own_bandwidth(tmp_path):
    _, noise, lines = written(tmp_path, noise_readouts=200)
    assert (noise[0].sample_time_us, lines[0].sample_time_us) == (NOISE_DWELL_TIME, DWELL_TIME)
    samples = np.concatenate([line.data for line in noise], axis=1)
    power = np.diag(samples @ samples.conj().T).real / samples.shape[1]
    expected = np.diag(SCAN.covariance).real * 0.793 * DWELL_TIME / NOISE_DWELL_TIME
    np.testing.assert_allclose(power, expected, rtol=0.05)


def test_headers_order_and_geometry(tmp_path):
    _, noise, lines = written(tmp_path, averages=2)
    assert len(lines) == 2 * SLICES * W
    order = [line.idx.slice for line in lines]
    assert [order[i] for i in range(0, len(order), 2 * W)] == [0, 2, 1]
    firsts = [i for i, line in enumerate(lines) if line.is_flag_set(FIRST_SLICE)]
    lasts = [i for i, line in enumerate(lines) if line.is_flag_set(LAST_SLICE)]
    assert firsts == [0, 2 * W, 4 * W]
    assert lasts == [2 * W - 1, 4 * W - 1, 6 * W - 1]
    assert [line.is_flag_set(25) for line in lines].index(True) == len(lines) - 1
    assert [line.scan_counter for line in noise + lines] == list(range(len(noise) + len(lines)))
    averages = [line.idx.average for line in lines[: 2 * W]]
    assert averages == [0] * W + [1] * W
    assert not np.array_equal(lines[0].data, lines[W].data)
    geometry = SCAN.header.geometry
    for line in lines:
        position = geometry.positions[line.idx.slice]
        np.testing.assert_allclose(list(line.position), position, atol=1e-4)
        np.testing.assert_allclose(list(line.read_dir), geometry.row_direction, atol=1e-6)
        np.testing.assert_allclose(list(line.phase_dir), geometry.column_direction, atol=1e-6)
        np.testing.assert_allclose(list(line.slice_dir), geometry.slice_direction, atol=1e-6)


def test_xml_header(tmp_path):
    header, _, _ = written(tmp_path, sampling=EveryThird())
    encoding = header.encoding[0]
    encoded, recon = encoding.encodedSpace, encoding.reconSpace
    assert (encoded.matrixSize.x, encoded.matrixSize.y, encoded.matrixSize.z) == (2 * H, W, 1)
    assert (encoded.fieldOfView_mm.x, encoded.fieldOfView_mm.y) == (440, 220)
    assert (recon.matrixSize.x, recon.matrixSize.y) == (H, W)
    assert (recon.fieldOfView_mm.x, recon.fieldOfView_mm.z) == (220, 5)
    assert encoding.parallelImaging.accelerationFactor.kspace_encoding_step_1 == 3
    assert encoding.parallelImaging.calibrationMode.value == "embedded"
    assert encoding.encodingLimits.slice.maximum == SLICES - 1
    assert header.subjectInformation.patientID == "subject0011"
    assert header.acquisitionSystemInformation.receiverChannels == COILS
    assert header.sequenceParameters.TE == [95.0]
    assert header.measurementInformation.protocolName == "AXT2"


def test_undersampling_with_embedded_calibration(tmp_path):
    _, _, lines = written(tmp_path, sampling=EveryThird())
    first = [line for line in lines if line.idx.slice == 0]
    steps = {line.idx.kspace_encode_step_1: line for line in first}
    assert sorted(steps) == sorted({*range(1, W, 3), *range(12, 18)})
    assert [n for n, line in steps.items() if line.is_flag_set(BOTH)] == [13, 16]
    assert [n for n, line in steps.items() if line.is_flag_set(CALIBRATION)] == [12, 14, 15, 17]


@pytest.mark.parametrize(
    ("options", "columns", "center"),
    [
        ({"partial_fourier": 0.75}, range(7, 30), 8),  # ceil(0.75 * 30) = 23 lines
        ({"phase_resolution": 0.6}, range(6, 24), 9),
        ({"phase_resolution": 0.6, "partial_fourier": 0.75}, range(10, 24), 5),
    ],
)
def test_measured_interval(tmp_path, options, columns, center):
    header, _, lines = written(tmp_path, **options)
    limits = header.encoding[0].encodingLimits.kspace_encoding_step_1
    assert (limits.minimum, limits.maximum, limits.center) == (0, len(columns) - 1, center)
    assert {line.idx.kspace_encode_step_1 for line in lines} == set(range(len(columns)))
    y, measured = kspace(header, lines, 1, whitening(SCAN.covariance))
    assert measured.all(0).nonzero().flatten().tolist() == list(columns)
    rest = (y - SCAN.noise_free(1))[..., list(columns)]
    assert float(rest.real.std()) == pytest.approx(1, abs=0.06)


def test_asymmetric_echo(tmp_path):
    header, _, lines = written(tmp_path, echo_fraction=0.75)
    assert {line.number_of_samples for line in lines} == {48}
    assert {line.center_sample for line in lines} == {32 - 16}
    _, measured = kspace(header, lines, 0, whitening(SCAN.covariance))
    assert measured.all(1).nonzero().flatten().tolist() == list(range(16, 64))
    energy = sum(np.abs(line.data).sum(axis=0) for line in lines)
    # linear phase of object and coils moves the maximum by a sample or so; a mistaken centre by 16
    assert abs(int(energy.argmax()) - 16) <= 2


@pytest.mark.parametrize("oversampling", [1, 2])
def test_file_interface_of_ismrmrd_and_bulk_reading_agree(tmp_path, oversampling):
    path = tmp_path / "scan.h5"
    write_ismrmrd(path, SCAN, AcquisitionOptions(oversampling=oversampling, noise_readouts=0))
    _, lines = read(path)
    with ismrmrd.File(str(path), mode="r") as file:
        again = list(file["dataset"].acquisitions[:])
    with h5py.File(path) as file:
        bulk = file["dataset/data"]["data"]
    assert len(lines) == len(again) == len(bulk) == SLICES * W
    for a, b, values in zip(lines, again, bulk, strict=True):
        assert a.getHead().flags == b.getHead().flags
        assert a.data.shape == (COILS, oversampling * H)
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.data.ravel(), values.view(np.complex64))


def test_writing_twice_is_bit_identical_and_never_silent(tmp_path):
    path = tmp_path / "folder" / "scan.h5"
    write_ismrmrd(path, SCAN)
    _, lines = read(path)
    for write in (write_ismrmrd, write_fastmri, write_reference):
        with pytest.raises(OutputError, match="overwrite"):
            write(path, SCAN)
    write_ismrmrd(path, SimulatedScan(11, SCAN.protocol), overwrite=True)
    _, again = read(path)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(lines, again, strict=True))
    assert [p.name for p in path.parent.iterdir()] == ["scan.h5"]


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    options = AcquisitionOptions(sampling=HalfReadout())
    with pytest.raises(ConfigError, match="HalfReadout undersamples the readout"):
        write_ismrmrd(tmp_path / "scan.h5", SCAN, options)
    broken = SimulatedScan(
        1, replace(SCAN.protocol, prescription=replace(STACK, center=(0.0, 0.0, 500.0)))
    )
    with pytest.raises(ConfigError, match="no brain"):
        write_ismrmrd(tmp_path / "scan.h5", broken)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_ismrmrd(tmp_path / "file" / "scan.h5", SCAN)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_fastmri_training_file(tmp_path):
    path = tmp_path / "scan.h5"
    write_fastmri(path, SCAN)
    with h5py.File(path) as file:
        y = torch.from_numpy(file["kspace"][()])
        volume = file["reconstruction_rss"][()]
        header = ismrmrd.xsd.CreateFromDocument(file["ismrmrd_header"][()])
        attributes = dict(file.attrs)
    assert y.shape == (SLICES, COILS, 2 * H, W)
    assert y.dtype == torch.complex64
    assert (volume.shape, volume.dtype) == ((SLICES, H, W), np.float32)
    expected = root_sum_of_squares(center_crop(ifft(y), (H, W))).numpy()
    np.testing.assert_allclose(volume, expected, rtol=1e-5)
    assert attributes["acquisition"] == "AXT2"
    assert attributes["patient_id"] == "subject0011"
    assert attributes["max"] == volume.max()
    assert attributes["norm"] == pytest.approx(np.linalg.norm(volume))
    assert header.encoding[0].reconSpace.matrixSize.x == H
    # not whitened: the channels' noise differs and correlates
    white = torch.from_numpy(whitening(SCAN.covariance)).to(torch.complex64)
    image = (white @ center_crop(ifft(y[1]), (H, W)).flatten(1)).reshape(COILS, H, W)
    assert float((fft(image) - SCAN.noise_free(1)).real.std()) == pytest.approx(1, abs=0.05)


def test_fastmri_test_file(tmp_path):
    path = tmp_path / "scan.h5"
    write_fastmri(path, SCAN, AcquisitionOptions(sampling=EveryThird()))
    with h5py.File(path) as file:
        assert set(file) == {"kspace", "mask", "ismrmrd_header"}
        mask, y = file["mask"][()], file["kspace"][()]
        assert file.attrs["acceleration"] == 3
        assert file.attrs["num_low_frequency"] == 6
        assert "max" not in file.attrs
    assert mask.shape == (W,)
    np.testing.assert_array_equal(np.abs(y).sum((0, 1, 2)) > 0, mask)


def test_fastmri_padding_is_what_fastmri_derives_from_the_header(tmp_path):
    path = tmp_path / "scan.h5"
    write_fastmri(path, SCAN, AcquisitionOptions(phase_resolution=0.8, partial_fourier=0.75))
    with h5py.File(path) as file:
        y = np.abs(file["kspace"][()]).sum((0, 1, 2))
        header = ismrmrd.xsd.CreateFromDocument(file["ismrmrd_header"][()])
    limits = header.encoding[0].encodingLimits.kspace_encoding_step_1
    left = header.encoding[0].encodedSpace.matrixSize.y // 2 - limits.center
    right = left + limits.maximum + 1
    assert left > 0
    assert right < W
    expected = (np.arange(W) >= left) & (np.arange(W) < right)
    np.testing.assert_array_equal(y > 0, expected)


def test_reference_is_the_target(tmp_path):
    path = tmp_path / "scan.h5"
    write_reference(path, SCAN)
    with h5py.File(path) as file:
        volume = file["reconstruction"][()]
        assert file.attrs["noise_free"]
        assert file.attrs["simulated"]
    targets = torch.stack([sample.target for sample in SCAN]).numpy()
    np.testing.assert_array_equal(volume, targets)
    # the peak is scaled after the maximum has been taken: one more rounding of float32
    assert volume.max() == pytest.approx(float(SCAN[0].peak), rel=2**-23)


@pytest.mark.parametrize(
    "options",
    [
        {"partial_fourier": 0.5},
        {"echo_fraction": 1.2},
        {"phase_resolution": 0.0},
        {"oversampling": 3},
        {"averages": 0},
    ],
)
def test_impossible_options_are_named(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        AcquisitionOptions(**options)
