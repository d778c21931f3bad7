import dataclasses
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.fourier import fft
from mrirecon.image import center_fit
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.readers.siemens.file import library
from mrirecon.readers.siemens.protocol import Protocol, coil_names, noise_dwell_time
from mrirecon.readers.siemens.scan import SiemensScan
from tests.readers.mrd_files import MrdFile
from tests.readers.twix_files import TwixMeasurement, coil_list, imaging, write

pytest.importorskip("twixtools", reason="the extra mrirecon[siemens] is not installed")

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data"
NOISE, PATREF, PATREF_AND_IMAGE, REFLECT, PHASCOR = 1 << 25, 1 << 22, 3 << 22, 1 << 24, 1 << 21


def truth_of(shape=(1, 2, 16, 12)):
    """Return a true image that is dark at the edge, which lies on both sides of the field of view.

    Siemens' data are conjugated after the oversampling is removed: that edge would change sides.
    """
    truth = MrdFile(shape)
    truth.image[..., 0, :] = 0
    truth.oversampled = fft(center_fit(truth.image, (truth.full, shape[-1]))).numpy()
    truth.kspace = fft(truth.image)
    return truth


def noise(channels=(0, 1), names=("H1", "H2"), adc=(1, 2), covariance=None, **changes):
    """Return a noise adjustment: a measurement of its own."""
    covariance = np.diag([4.0, 9.0]) if covariance is None else covariance
    made = TwixMeasurement(
        name="AdjCoilSens",
        uid=3,
        channels=channels,
        protocol={"tSequenceFileName": '"%AdjustSeq%/AdjCoilSensSeq"'} | coil_list(names, adc),
        **changes,
    )
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky(covariance)
    for _ in range(64):
        x = rng.standard_normal((2, len(covariance), 128))
        made.add(root @ (x[0] + 1j * x[1]) / np.sqrt(2), NOISE)
    return made


def assert_kspace(scan, truth):
    for index in range(len(scan)):
        torch.testing.assert_close(scan[index].kspace, truth.kspace[index], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("vb", [True, False])
def test_kspace_and_header(tmp_path, vb):
    truth = truth_of((2, 2, 16, 12))
    scan = open_scan(write(tmp_path / "scan.dat", imaging(truth, vb=vb).sync()))
    assert isinstance(scan, SiemensScan)
    assert len(scan) == 2
    assert_kspace(scan, truth)
    header = scan.header
    assert (header.format, header.vendor, header.acquisition) == (
        "Siemens twix",
        "SIEMENS",
        "gre test",
    )
    assert (header.grid, header.matrix, header.voxel) == ((16, 12), (16, 12), (2.0, 2.0, 5.0))
    sequence = header.sequence
    assert (sequence.repetition_time, sequence.echo_time, sequence.inversion_time) == (8, 3, None)
    assert sequence.flip_angle == 20 and sequence.field_strength == 2.89
    assert header.patient_position == "HFS"
    assert header.geometry is not None
    np.testing.assert_allclose(header.geometry.positions, [(1, 2, 3), (1, 2, 10)])
    np.testing.assert_allclose(header.geometry.row_direction, (-1, 0, 0), atol=1e-7)
    np.testing.assert_allclose(header.geometry.column_direction, (0, 1, 0), atol=1e-7)
    np.testing.assert_allclose(header.geometry.slice_direction, (0, 0, 1), atol=1e-7)
    assert dict(scan.content())["dwell time"] == "10 us"


def test_a_pickled_scan_reads_the_same(tmp_path):
    scan = open_scan(write(tmp_path / "scan.dat", imaging(truth_of())))
    again = pickle.loads(pickle.dumps(scan))
    assert torch.equal(again[0].kspace, scan[0].kspace)


@pytest.mark.parametrize("vb", [True, False])
def test_readout_headers(tmp_path, vb):
    made = imaging(truth_of(), vb=vb)
    counters = {"Lin": 3, "Ave": 1, "Seg": 2, "Ida": 4, "Ide": 9}
    made.add(np.ones((2, 8)), 1 << 28 | 1 << 1, 3, 6, cut=(1, 2), center_par=5, **counters)
    scan = SiemensScan(write(tmp_path / "scan.dat", made))
    head = scan.measurement().heads[-1]
    assert head["flags"] == (
        AcquisitionFlag.FIRST_IN_SLICE.mask
        | AcquisitionFlag.NAVIGATION_DATA.mask
        | AcquisitionFlag.RTFEEDBACK_DATA.mask
    )
    assert (head["number_of_samples"], head["active_channels"], head["center_sample"]) == (8, 2, 3)
    assert (head["discard_pre"], head["discard_post"]) == (1, 2)
    assert (head["idx"]["kspace_encode_step_1"], head["idx"]["average"]) == (3, 1)
    assert head["idx"]["segment"] == 2
    assert head["idx"]["user"].tolist() == [4, 0, 0, 0, 9, 6, 5, 0]
    assert head["measurement_uid"] == 7 and head["acquisition_time_stamp"] == 1000
    assert head["user_int"].tolist() == [0, 1, 2, 3, *([0] * 3 if vb else [4, 5, 6]), 12]


def test_reversed_lines_are_turned_around(tmp_path):
    truth = truth_of()
    made = imaging(truth, lines=range(0, 12, 2))
    for row in range(1, 12, 2):
        samples = truth.oversampled[0][:, ::-1, row].conj()
        made.add(samples, REFLECT, truth.full // 2 - 1, 6, (1, 2, 3), Lin=row)
    assert_kspace(open_scan(write(tmp_path / "scan.dat", made)), truth)


def test_embedded_calibration_is_merged(tmp_path):
    truth = truth_of()
    made = imaging(truth, lines=[0, 2, 8, 10])
    for row in (4, 5, 6, 7):
        mask = PATREF if row % 2 else PATREF_AND_IMAGE
        samples = truth.oversampled[0][:, :, row].conj()
        made.add(samples, mask, None, 6, (1, 2, 3), Lin=row)
    scan = open_scan(write(tmp_path / "scan.dat", made))
    assert np.flatnonzero(scan[0].mask[0]).tolist() == [0, 2, 4, 5, 6, 7, 8, 10]
    assert any("2 embedded calibration lines" in note for note in scan.header.notes)


def test_partial_fourier_is_placed_around_its_centre(tmp_path):
    truth = truth_of()
    made = imaging(truth, lines=[])
    for row in range(4, 12):  # the scanner counts from the first measured line
        samples = truth.oversampled[0][:, :, row].conj()
        made.add(samples, 0, None, 2, (1, 2, 3), Lin=row - 4)
    sample = open_scan(write(tmp_path / "scan.dat", made))[0]
    assert np.flatnonzero(sample.mask[0]).tolist() == list(range(4, 12))
    torch.testing.assert_close(
        sample.kspace, truth.kspace[0] * sample.mask[..., :], atol=1e-4, rtol=1e-4
    )


def test_phase_oversampling_and_interpolation(tmp_path):
    truth = truth_of((1, 1, 16, 24))
    made = imaging(
        truth,
        protocol={
            "sKSpace.lPhaseEncodingLines": 12,
            "sKSpace.dPhaseOversamplingForDialog": 1.0,
            "sSliceArray.asSlice[0].dPhaseFOV": 24.0,
        },
        derived={"NImageCols": 32, "NImageLins": 24},
    )
    header = open_scan(write(tmp_path / "scan.dat", made)).header
    assert (header.grid, header.canvas, header.matrix) == ((16, 24), (32, 48), (32, 24))
    assert header.voxel == (1.0, 1.0, 5.0)


def test_noise_of_another_measurement(tmp_path):
    truth = truth_of((1, 2, 16, 12))
    image = imaging(truth, protocol=coil_list(("H2", "H1"), (1, 2)))
    path = write(tmp_path / "scan.dat", noise(), image)
    scan = open_scan(path)
    header = scan.header
    assert header.whitened
    assert any("0 AdjCoilSens, 1 gre test" in note for note in header.notes)
    assert any("matched by name" in note for note in header.notes)
    # variances 4 and 9 belong to H1 and H2; image dwell 10, noise 5 us; the image's H2 is first
    gain = np.sqrt(2 * 10 / 5 * 0.793) / np.array([3.0, 2.0])
    expected = torch.tensor(gain, dtype=torch.float32)[:, None, None] * truth.kspace[0].abs()
    error = (scan[0].kspace.abs() - expected).norm() / expected.norm()
    assert error < 0.05  # of the estimated covariance
    for number in (0, "AdjCoilSens"):
        with pytest.raises(RawDataError, match="none of the 64 readouts is an imaging line"):
            open_scan(path, ReadOptions(measurement=number))
    assert_kspace(open_scan(path, ReadOptions(measurement=-1, noise=None)), _scaled(truth, scan))
    with pytest.raises(RawDataError, match="no measurement 2"):
        open_scan(path, ReadOptions(measurement=2))


def _scaled(truth, scan):
    truth.kspace = scan[0].kspace[None]
    return truth


def test_noise_of_another_file_and_in_the_same_measurement(tmp_path):
    other = write(tmp_path / "noise.dat", noise())
    made = imaging(truth_of(), protocol=coil_list(("H1", "H2"), (1, 2)))
    path = write(tmp_path / "scan.dat", made)
    assert not open_scan(path).header.whitened
    assert open_scan(path, ReadOptions(noise=str(other))).header.whitened
    rng = np.random.default_rng(0)
    for _ in range(32):
        made.add(rng.standard_normal((2, 64)) + 0j, NOISE)
    scan = open_scan(write(tmp_path / "own.dat", made))
    assert scan.header.whitened
    noise_heads = scan.measurement().heads[-1]
    assert noise_heads["sample_time_us"] == pytest.approx(120.0)  # floor(76800 / 64) / 10


def test_coil_names_follow_the_adc_channels():
    elements = [
        {"lRxChannelConnected": "1", "lADCChannelConnected": adc, "sCoilElementID": {"tElement": n}}
        for n, adc in (("A", "12"), ("B", "3"), ("C", "5"))
    ]
    told = Protocol(
        {"MeasYaps": {"sCoilSelectMeas": {"aRxCoilSelectData": [{"asList": elements}]}}}
    )
    assert coil_names(told, (11, 4, 2)) == {0: "A", 1: "C", 2: "B"}
    assert coil_names(told, (0, 1, 2)) == {0: "B", 1: "C", 2: "A"}
    assert coil_names(told, (0, 1)) == {}
    for element in elements:
        element["lADCChannelConnected"] = "1"
    assert coil_names(told, (0, 1, 2)) == {0: "A", 1: "B", 2: "C"}


def test_noise_dwell_times_by_software():
    def told(sequence, version):
        sections = {"MeasYaps": {"tSequenceFileName": sequence}}
        return Protocol(sections | {"Dicom": {"SoftwareVersions": version}})

    assert noise_dwell_time(told("tse", "syngo MR B17"), 256, vb=True) == pytest.approx(
        30.048, abs=1e-3
    )
    assert noise_dwell_time(told("tse", "syngo MR E11"), 256, vb=False) == 30.0
    assert noise_dwell_time(told("tse", "syngo MR XA20"), 256, vb=False) == 5.0
    assert noise_dwell_time(told("%A%/AdjCoilSensSeq", "E11"), 256, vb=False) == 5.0


@pytest.mark.parametrize(
    ("protocol", "mask", "message"),
    [
        ({"sFastImaging.lEPIFactor": 64}, REFLECT, "'epi'"),
        ({"sKSpace.ucTrajectory": "0x2"}, 0, "'radial'"),
        ({"sKSpace.ucTrajectory": 4}, 0, "'spiral'"),
        ({"sSliceAcceleration.lMultiBandFactor": 2}, 0, "multiband"),
        ({}, 1 << 38, "multi-band"),
        ({}, 1 << 40, "BLADE"),
        ({"sSpecPara.lVectorSize": 2048}, 0, "spectroscopy"),
        ({"tSequenceFileName": '"%SiemensSeq%\\\\svs_se"'}, 0, "spectroscopy"),
        ({"sKSpace.lPhaseEncodingLines": 4}, 0, "protocol plans 4"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, protocol, mask, message):
    path = write(tmp_path / "scan.dat", imaging(truth_of(), protocol=protocol, mask=mask))
    with pytest.raises(RawDataError, match=message):
        open_scan(path)


def test_epi_by_its_phase_correction(tmp_path):
    made = imaging(truth_of(), mask=REFLECT)
    made.add(np.ones((2, 32)), PHASCOR)
    with pytest.raises(RawDataError, match="'epi'"):
        open_scan(write(tmp_path / "scan.dat", made))


def test_numbered_readouts_are_refused(tmp_path):
    made = imaging(truth_of(), lines=[])
    for number in range(48):
        made.add(np.ones((2, 32)), Lin=number)
    with pytest.raises(RawDataError, match="numbered its readouts"):
        open_scan(write(tmp_path / "scan.dat", made))


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "scan.dat", imaging(truth_of()))
    library.cache_clear()
    monkeypatch.setitem(sys.modules, "twixtools", None)
    with pytest.raises(RawDataError, match=r"pip install 'mrirecon\[siemens\]'"):
        open_scan(path)


@pytest.mark.parametrize("vb", [True, False])
def test_damaged_files_raise_only_raw_data_errors(tmp_path, vb):
    made = imaging(truth_of((1, 2, 8, 6)), vb=vb)
    parts = (made,) if vb else (noise(), made)
    whole = write(tmp_path / "whole.dat", *parts).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.dat"
    refused = 0
    for trial in range(40):
        damaged = bytearray(whole)
        if trial % 2:
            del damaged[int(rng.integers(64, len(whole) - 160)) :]  # the end mark has 160 bytes
        else:
            damaged[int(rng.integers(0, len(whole)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            for sample in open_scan(path):
                assert torch.isfinite(torch.view_as_real(sample.kspace)).all()
        except RawDataError as error:
            refused += 1
            assert str(path) in str(error)
        assert path.read_bytes() == damaged
    assert refused >= 20  # every truncation


def test_cut_off_files_say_so(tmp_path):
    path = write(tmp_path / "scan.dat", imaging(truth_of(), vb=True))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(RawDataError, match="cut off"):
        open_scan(path)


needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no measured files here")


@needs_samples
@pytest.mark.parametrize(
    ("name", "shape", "frames"),
    [
        ("siemens_ve11_gre_2coil.dat", (2, 160, 160), 2),
        ("siemens_ve_gre_2rep.dat", (2, 160, 160), 1),
        ("siemens_ve_gre_bodycoil_2rep.dat", (2, 128, 128), 2),
        ("siemens_7t_singlechannel.dat", (1, 256, 256), 1),
    ],
)
def test_measured_phantoms(name, shape, frames):
    scan = open_scan(SAMPLES / name)
    assert (scan[0].kspace.shape, len(scan.header.frames)) == (shape, frames)
    assert scan.header.geometry is not None and scan.header.vendor == "SIEMENS"


@needs_samples
@pytest.mark.parametrize(
    ("name", "message"),
    [("siemens_ve_epi.dat", "'epi'"), ("siemens_xa20_tse_noise.dat", "numbered its readouts")],
)
def test_measured_files_that_are_refused(name, message):
    with pytest.raises(RawDataError, match=message):
        open_scan(SAMPLES / name)


@needs_samples
def test_measured_noise_adjustment():
    found = SiemensScan.noise_scan(SAMPLES / "siemens_xa20_tse_noise.dat")
    assert found is not None
    assert (found.samples, found.dwell, found.covariance.shape) == (256 * 512, 5.0, (2, 2))
    assert dataclasses.asdict(found)["labels"] == {0: "Body:1:BC1", 1: "Body:1:BC0"}
