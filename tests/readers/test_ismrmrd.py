import hashlib
import pickle

import h5py
import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.fourier import fft
from mrirecon.image import center_fit
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from tests.readers.mrd_files import PHASE, READ, SLICE, XML, MrdFile

CALIBRATION = (AcquisitionFlag.PARALLEL_CALIBRATION,)
BOTH = (AcquisitionFlag.PARALLEL_CALIBRATION_AND_IMAGING,)
COVARIANCE = np.array([[2.0, 0.6 + 0.5j], [0.6 - 0.5j, 1.0]])


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


@pytest.mark.parametrize("shape", [(2, 2, 16, 12), (1, 1, 15, 13), (1, 3, 12, 9), (1, 2, 9, 10)])
def test_reads_what_was_written(path, shape):
    file = MrdFile(shape)
    for index in range(shape[0]):
        file.lines(slice_=index)
    scan = open_scan(file.write(path))
    header = scan.header
    assert (header.format, header.name, header.slices) == ("ISMRMRD", "scan.h5", shape[0])
    assert header.grid == header.canvas == header.matrix == shape[2:]
    assert header.voxel == pytest.approx((2.0, 2.0, 5.0))
    assert (header.subject, header.acquisition) == ("subject-1", "tse_t2")
    assert header.sequence.echo_time == 90.0 and header.sequence.field_strength == 2.9
    for index, sample in enumerate(scan):
        close(sample.kspace, file.kspace[index])
        assert sample.mask.shape == (1, shape[3]) and sample.mask.all()
        assert sample.acs.tolist() == list(shape[2:])
        assert sample.key == ("scan.h5", index)
    with pytest.raises(IndexError, match="Samples 0"):
        scan[shape[0]]


def test_the_file_is_never_changed_and_never_kept_open(path):
    MrdFile().lines().write(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    path.chmod(0o400)
    scan = open_scan(path)
    first = scan[0]
    copy = pickle.loads(pickle.dumps(scan))
    assert len(pickle.dumps(scan)) < 5000
    close(copy[0].kspace, first.kspace)
    path.chmod(0o600)
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) == before
    with h5py.File(path, "r+"):
        pass


def test_other_kinds_of_readouts_never_enter_the_image(path):
    file = MrdFile().noise(COVARIANCE)
    junk = 1e3 * np.ones((2, 32), np.complex64)
    for flag in (
        AcquisitionFlag.NAVIGATION_DATA,
        AcquisitionFlag.PHASECORR_DATA,
        AcquisitionFlag.HPFEEDBACK_DATA,
        AcquisitionFlag.DUMMYSCAN_DATA,
        AcquisitionFlag.RTFEEDBACK_DATA,
        AcquisitionFlag.SURFACECOILCORRECTIONSCAN_DATA,
        AcquisitionFlag.PHASE_STABILIZATION_REFERENCE,
        AcquisitionFlag.PHASE_STABILIZATION,
    ):
        file.add(junk, (flag,), ky=5)
    # flags that share bits with the numbers 19 to 31, and vendor flags, change nothing
    every = (1, 2, 3, 4, 5, 6, 7, 8, 17, 18, 25, 57, 64)
    file.lines(flags=tuple(AcquisitionFlag(number) for number in every))
    scan = open_scan(file.write(path))
    whitening = torch.linalg.lstsq(
        file.kspace[0].reshape(2, -1).mT, scan[0].kspace.reshape(2, -1).mT
    ).solution.mT
    close(torch.einsum("ij,jhw->ihw", whitening, file.kspace[0]), scan[0].kspace, 1e-4)
    assert scan.header.whitened
    assert any("1 PHASECORR_DATA" in note for note in scan.header.notes)


@pytest.mark.parametrize("noise_dwell", [5.0, 2.5, 0.0])
def test_whitened_noise_has_unit_variance_per_component(path, noise_dwell):
    # an image without signal, whose noise differs from the noise scan's by the bandwidth ratio
    file = MrdFile((1, 2, 64, 64)).noise(COVARIANCE, dwell=noise_dwell)
    ratio = 5.0 / noise_dwell * 0.8 if noise_dwell else 1.0
    rng = np.random.default_rng(2)
    root = np.linalg.cholesky(COVARIANCE / ratio)
    for row in range(64):
        x = rng.standard_normal((2, 2, 128))
        file.add(root @ (x[0] + 1j * x[1]) / np.sqrt(2), ky=row)
    scan = open_scan(file.write(path))
    noise = torch.view_as_real(scan[0].kspace).permute(0, 3, 1, 2).reshape(4, -1)
    # 4096 samples: variances are known to 2.2 %, correlations to 1.6 %; 4 sigma
    assert scan.header.whitened
    assert torch.cov(noise).sub(torch.eye(4)).abs().max() < 0.09


def test_whitened_averages_keep_unit_variance(path):
    file = MrdFile((1, 1, 64, 64)).noise(np.eye(1))
    rng = np.random.default_rng(3)
    for average in range(3):
        for row in range(64):
            x = rng.standard_normal((2, 1, 128)) / np.sqrt(2 * 0.8)
            file.add(x[0] + 1j * x[1], ky=row, average=average)
    kspace = open_scan(file.write(path))[0].kspace
    assert torch.view_as_real(kspace).std() == pytest.approx(1.0, abs=0.04)


def test_embedded_calibration_lines_are_merged(path):
    file = MrdFile((1, 2, 16, 24))
    for row in range(0, 24, 2):
        file.line(row, flags=BOTH if 8 <= row < 16 else ())
    for row in range(9, 16, 2):
        file.line(row, flags=CALIBRATION)
    scan = open_scan(file.write(path))
    sample = scan[0]
    expected = (np.arange(24) % 2 == 0) | ((np.arange(24) >= 8) & (np.arange(24) < 17))
    assert sample.mask.tolist() == [expected.tolist()]
    close(sample.kspace, file.kspace[0] * torch.from_numpy(expected))
    assert sample.acs.tolist() == [16, 9]  # [8, 16) is the largest block centred on 12
    assert sample.calibration is None


@pytest.mark.parametrize("mode", ["separate", "external", "interleaved", "other"])
def test_separate_calibration_is_kept_apart(path, mode):
    file = MrdFile((1, 2, 16, 24), xml={"calibration": mode}).lines(range(0, 24, 2))
    file.lines(range(8, 16), flags=CALIBRATION, gain=5.0)
    sample = open_scan(file.write(path))[0]
    assert sample.mask.tolist() == [[row % 2 == 0 for row in range(24)]]
    close(sample.kspace[..., ::2], file.kspace[0, ..., ::2])
    close(sample.calibration, 5.0 * file.kspace[0, ..., 8:16])
    assert sample.acs.tolist() == [16, 1]


@pytest.mark.parametrize(
    ("w", "measured", "kept"),
    [(24, (8, 16), (8, 16)), (24, (8, 17), (8, 17)), (25, (8, 17), (8, 17)),
     (25, (9, 17), (9, 16)), (25, (8, 16), (9, 16))],
)  # fmt: skip
@pytest.mark.parametrize("h", [16, 15])
def test_a_reference_block_has_its_centre_where_the_grid_has(path, h, w, measured, kept):
    """Of an even number of lines of an odd grid the unpaired one is left out."""
    file = MrdFile((1, 2, h, w), xml={"calibration": "separate"}).lines(range(0, w, 2))
    file.lines(range(*measured), flags=CALIBRATION)
    block = open_scan(file.write(path))[0].calibration
    close(block, file.kspace[0, ..., slice(*kept)])
    assert kept[0] + block.shape[-1] // 2 == w // 2


def test_averages_are_averaged_with_their_counts(path):
    file = MrdFile().lines(gain=0.5, average=0).lines(range(6), gain=1.5, average=1)
    scan = open_scan(file.write(path))
    gain = torch.tensor([1.0] * 6 + [0.5] * 6)
    close(scan[0].kspace, file.kspace[0] * gain)
    assert any("6 lines 1 times, 6 lines 2 times" in note for note in scan.header.notes)


def test_partial_fourier_is_unmeasured(path):
    # 24 lines of which the first 8 are missing; the file counts from the first acquired one
    file = MrdFile((1, 1, 16, 24), xml={"center": 4, "maximum": 15})
    scan = open_scan(file.lines(range(8, 24), offset=-8).write(path))
    sample = scan[0]
    assert sample.mask.tolist() == [[row >= 8 for row in range(24)]]
    close(sample.kspace, file.kspace[0] * sample.mask)
    assert sample.acs.tolist() == [16, 9]
    assert any("Partial Fourier" in note for note in scan.header.notes)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([6, 8, 9, 11, 12, 13, 15, 17, 19, 23], False),  # random, -6 to 11, gaps of up to 4
        ([0, 3, 5, 6, 8, 9, 11, 12, 13, 15, 16], True),  # -12 to 4, gaps of up to 3
        ([6, 9, 12, 13, 15, 18, 21], False),  # every third
        ([6, 9, 11, 12, 13, 15, 18], False),
        ([0, 3, 6, 9, 11, 12, 13, 15, 18], True),
    ],
)
def test_random_lines_may_end_anywhere(path, lines, told):
    scan = open_scan(MrdFile((1, 1, 16, 24)).lines(lines).write(path))
    assert any("Partial Fourier" in note for note in scan.header.notes) == told


def test_asymmetric_echo_is_placed_by_its_center_and_masked(path):
    # k-space of a smooth object is concentrated at the centre, so the cut edge hardly matters
    file = MrdFile((1, 1, 32, 8))
    y = torch.linspace(-3, 3, 32)[:, None]
    # brighter towards one side: lines without any signal would count as filled up with zeros
    image = (torch.exp(-2 * (y - 0.4) ** 2) * torch.arange(1, 9)).to(torch.complex64)[None, None]
    file.oversampled = fft(center_fit(image, (64, 8))).numpy()
    scan = open_scan(file.lines(keep=slice(16, None)).write(path))
    sample = scan[0]
    # 16 of 64 oversampled samples are missing: 8 of 32 without oversampling
    assert sample.mask.shape == (32, 8)
    assert sample.mask.tolist() == [[row >= 8] * 8 for row in range(32)]
    truth = fft(image[0])
    assert (sample.kspace - truth * sample.mask).abs().max() < 0.01 * truth.abs().max()
    assert sample.acs.tolist() == [17, 8]
    assert any("Asymmetric echo: 16 samples before" in note for note in scan.header.notes)


def test_discarded_samples_do_not_count(path):
    file = MrdFile()
    for row in range(12):
        samples = np.full((2, 40), 1e4, np.complex64)
        samples[:, 3:35] = file.oversampled[0][:, :, row]
        file.add(samples, ky=row, center_sample=19, discard_pre=3, discard_post=5)
    close(open_scan(file.write(path))[0].kspace, file.kspace[0])


def test_reversed_readouts_are_turned_around(path):
    file = MrdFile().lines(range(6))
    for row in range(6, 12):
        samples = np.concatenate(
            [file.oversampled[0][:, ::-1, row], np.full((2, 2), 1e4, np.complex64)], axis=1
        )
        file.add(samples, (AcquisitionFlag.REVERSE,), ky=row, center_sample=15, discard_post=2)
    close(open_scan(file.write(path))[0].kspace, file.kspace[0])


def test_slices_are_sorted_by_position_and_the_affine_is_exact(path):
    file = MrdFile((3, 1, 16, 12))
    for counter, place in ((0, 2), (1, 0), (2, 1)):
        file.lines(
            slice_=counter, position=np.array([1.0, 2.0, 3.0]) + 7.5 * place * np.array(SLICE)
        )
    scan = open_scan(file.write(path))
    for index, counter in enumerate((1, 2, 0)):
        close(scan[index].kspace, file.kspace[counter])
    geometry = scan.header.geometry
    assert geometry.row_direction == pytest.approx(READ)
    assert geometry.column_direction == pytest.approx(PHASE)
    affine = scan.header.affine()
    lps = affine @ np.array([12 // 2, 16 // 2, 2, 1])
    expected = (np.array([1.0, 2.0, 3.0]) + 15.0 * np.array(SLICE)) * [-1, -1, 1]
    np.testing.assert_allclose(lps[:3], expected, atol=1e-5)
    np.testing.assert_allclose(affine[:3, 1], np.array(READ) * [-1, -1, 1] * 2.0, atol=1e-6)


def test_missing_geometry_is_told(path):
    nothing = {"read_dir": 0, "phase_dir": 0, "slice_dir": 0, "position": 0}
    header = open_scan(MrdFile().lines(**nothing).write(path)).header
    assert header.geometry is None and any("all zero" in note for note in header.notes)


def test_siemens_sign_and_center(path):
    file = MrdFile((1, 1, 16, 12), xml={"vendor": "SIEMENS", "center": 6})
    file.lines(range(2, 12), offset=-2, user=[0, 0, 0, 0, 0, 4, 0, 0])
    scan = open_scan(file.write(path))
    close(scan[0].kspace, file.conjugated(0) * scan[0].mask)
    assert scan[0].mask.tolist() == [[row >= 2 for row in range(12)]]
    assert any("line 6" in note and "4" in note for note in scan.header.notes)


def test_header_at_base_resolution(path):
    file = MrdFile(xml={"full": 16, "view_full": 32.0}).lines()
    scan = open_scan(file.write(path))
    assert scan.header.grid == (16, 12) and scan.header.voxel == pytest.approx((2.0, 2.0, 5.0))
    close(scan[0].kspace, file.kspace[0])


def test_oversampling_that_was_removed_already(path):
    file = MrdFile()
    for row in range(12):
        file.add(file.kspace[0][..., row].numpy(), ky=row)
    scan = open_scan(file.write(path))
    assert scan.header.grid == (16, 12)
    close(scan[0].kspace, file.kspace[0])


def test_unrecorded_echo_center(path):
    scan = open_scan(MrdFile().lines(center_sample=0).write(path))
    close(scan[0].kspace, MrdFile().kspace[0])
    assert any("center_sample is 0" in note for note in scan.header.notes)


def test_reconstruction_matrix_and_phase_oversampling(path):
    # 12 lines over 24 mm are encoded; 10 x 1.6 mm pixels are wanted along x, 20 x 1.6 mm along y
    file = MrdFile(xml={"x": 10, "view_x": 16.0, "y": 20, "view_y": 32.0}).lines()
    header = open_scan(file.write(path)).header
    assert (header.grid, header.canvas, header.matrix) == ((16, 12), (20, 15), (20, 10))
    assert header.voxel == pytest.approx((1.6, 1.6, 5.0))


def test_several_encodings_are_refused(path):
    file = MrdFile().lines(encoding_space_ref=0).lines(encoding_space_ref=1)
    with pytest.raises(RawDataError, match="several encodings") as error:
        open_scan(file.write(path))
    assert "encoding_space_ref" in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("counter", ["segment", "user"])
def test_lines_repeated_for_an_unknown_purpose_are_refused(path, counter):
    other = {"segment": 1} if counter == "segment" else {"user": [0, 0, 7, 0, 0, 0, 0, 0]}
    name = "segment" if counter == "segment" else r"user\[2\]"
    with pytest.raises(RawDataError, match=f"line 3 .* slice 0.*counter '{name}'"):
        open_scan(MrdFile().lines().line(3, **other).write(path))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: MrdFile(xml={"trajectory": "epi"}).lines(), "'epi'"),
        (lambda: MrdFile(xml={"trajectory": "radial"}).lines(), "'radial'"),
        (lambda: MrdFile().lines(flags=(AcquisitionFlag.COMPRESSION2,)), "compressed"),
        (
            lambda: (
                MrdFile(xml={"etl": 12})
                .lines(range(0, 12, 2))
                .lines(range(1, 12, 2), flags=(AcquisitionFlag.REVERSE,))
            ),
            "looks like EPI",
        ),
        (
            lambda: (
                MrdFile()
                .lines(range(0, 12, 2))
                .lines(range(1, 12, 2), flags=(AcquisitionFlag.REVERSE,))
                .line(6, flags=(AcquisitionFlag.PHASECORR_DATA,))
            ),
            "phase-correction readouts: this looks like EPI",
        ),
        (lambda: MrdFile().line(6), "spectroscopy"),
        (lambda: MrdFile().noise(COVARIANCE), "none of the 64 readouts .* 64 noise"),
        (lambda: MrdFile().lines(offset=3), r"spans 3..14, .* 3..14 of 0..11"),
        (lambda: MrdFile().lines(center_sample=32), "center_sample 32"),
        (lambda: MrdFile().lines(discard_pre=32), "discard_pre 32"),
        (lambda: MrdFile().lines(encoding_space_ref=2), "describes only 1"),
        (lambda: MrdFile().lines().add(np.ones((3, 32)), ky=1), "different or no channels"),
        (lambda: MrdFile(), "no readouts"),
    ],
)
def test_what_is_not_supported_is_refused(path, build, words):
    with pytest.raises(RawDataError, match=words) as error:
        open_scan(build().write(path))
    assert str(error.value).startswith(str(path))


def test_whole_reversed_echoes_are_no_epi(path):
    """The second echo of a bipolar gradient-echo train."""
    file = MrdFile(xml={"etl": 2}).lines(contrast=0)
    reverse = {"flags": (AcquisitionFlag.REVERSE,), "contrast": 1, "center_sample": 15}
    for row in range(12):
        file.add(file.oversampled[0][:, ::-1, row], ky=row, **reverse)
    for sample in open_scan(file.write(path)):
        close(sample.kspace, file.kspace[0])


def test_lines_outside_of_the_grid_are_never_wrapped(path):
    with pytest.raises(RawDataError, match="1 of 12 lines lie outside"):
        open_scan(MrdFile().lines(offset=1).write(path))


@pytest.mark.parametrize("damage", ["length", "nan"])
def test_damaged_readouts_are_named(path, damage):
    file = MrdFile().lines()
    if damage == "nan":
        file.data[4][0, 3] = np.nan
    else:
        file.heads[4]["number_of_samples"] = 31
    file.write(path)
    with pytest.raises(RawDataError, match="readout 4 holds 128" if damage == "length" else "NaN"):
        open_scan(path)[0]


def test_a_poor_noise_scan_only_scales(path):
    file = MrdFile().noise(np.diag([4.0, 1.0]), count=1, samples=12).lines()
    header = open_scan(file.write(path)).header
    assert not header.whitened and any("only 12 samples" in note for note in header.notes)


@pytest.mark.parametrize("value", [0.0, 1e-6, np.nan], ids=str)
@pytest.mark.parametrize("averages", [1, 2])
def test_a_dead_channel_costs_only_itself(path, value, averages):
    """The image is that of the scan without the channel, whatever the channel holds."""
    root = np.random.default_rng(0).standard_normal((4, 4)) + 3 * np.eye(4)
    images = []
    for kept in ([0, 1, 2, 3], [0, 1, 3]):
        file = MrdFile((1, 4, 16, 12)).noise(root @ root.T)
        for average in range(averages):
            file.lines(average=average)
        for head, data in zip(file.heads, file.data, strict=True):
            head["active_channels"] = len(kept)
            data[2] *= value
        file.data = [np.ascontiguousarray(data[kept]) for data in file.data]
        place = path.with_name(f"{len(kept)}.h5")
        scan = open_scan(file.write(place))
        assert scan.header.whitened
        images.append(scan[0].kspace)
    assert any("Channels left out" in note and " 2 (" in note for note in open_scan(
        path.with_name("4.h5")).header.notes)  # fmt: skip
    assert not images[0][2].any()
    close(images[0][[0, 1, 3]], images[1], 1e-5)


def test_noise_with_other_channels_is_not_used(path):
    header = open_scan(MrdFile().noise(np.eye(3)).lines().write(path)).header
    assert not header.whitened and any(
        "has 3 channels, the image 2" in note for note in header.notes
    )


def test_the_last_imaging_measurement_is_read(path):
    MrdFile(seed=1).lines().write(path, "dataset_1")
    wanted = MrdFile(seed=2).lines()
    wanted.write(path, "dataset_2")
    scan = open_scan(path)
    close(scan[0].kspace, wanted.kspace[0])
    assert any("dataset_1" in note and "read: /dataset_2" in note for note in scan.header.notes)


@pytest.mark.parametrize("chosen", ["dataset_1", "/dataset_1", 0, "-2"])
def test_another_measurement_can_be_chosen(path, chosen):
    wanted = MrdFile(seed=1).lines()
    wanted.write(path, "dataset_1")
    MrdFile(seed=2).lines().write(path, "dataset_2")
    close(open_scan(path, ReadOptions(measurement=chosen))[0].kspace, wanted.kspace[0])


def test_an_unknown_measurement_is_refused(path):
    with pytest.raises(RawDataError, match=r"no measurement 'x'; expected .* /dataset"):
        open_scan(MrdFile().lines().write(path), ReadOptions(measurement="x"))


def whitened_like(path, expected, **reading):
    scan = open_scan(path, ReadOptions(**reading))
    close(scan[0].kspace, expected)
    return scan.header


def test_noise_of_another_measurement_or_file(path, tmp_path):
    """The same as with the noise scan in the measurement itself."""
    expected = open_scan(MrdFile().noise(COVARIANCE).lines().write(tmp_path / "own.h5"))[0].kspace
    MrdFile().noise(COVARIANCE).write(path, "dataset_1")
    MrdFile().lines().write(path, "dataset_2")
    header = whitened_like(path, expected)
    assert header.whitened and any("measurement /dataset_1 of" in note for note in header.notes)
    image = MrdFile().lines().write(tmp_path / "image.h5")
    noise = MrdFile().noise(COVARIANCE).write(tmp_path / "noise.h5")
    header = whitened_like(image, expected, noise=str(noise))
    assert any("noise.h5" in note for note in header.notes)
    assert not open_scan(image).header.whitened


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda path: MrdFile().lines().write(path), "no readouts flagged as noise"),
        (lambda path: MrdFile().noise(np.eye(3)).write(path), "has 3 channels, the image 2"),
        (lambda path: path, "no such file"),
        (lambda path: (path.write_text("text"), path)[1], "no file of acquisitions"),
    ],
)
def test_noise_files_that_do_not_serve_are_refused(path, tmp_path, build, words):
    MrdFile().lines().write(path)
    with pytest.raises(RawDataError, match=words):
        open_scan(path, ReadOptions(noise=str(build(tmp_path / "noise.h5"))))


def test_choices_that_do_not_apply_are_refused(path):
    with pytest.raises(RawDataError, match=r"reading\.axes does not apply to ISMRMRD"):
        open_scan(MrdFile().lines().write(path), ReadOptions(axes="h w"))


def test_the_fourier_sign_can_be_chosen(path):
    file = MrdFile().lines()
    file.write(path)
    close(open_scan(path, ReadOptions(fourier_sign=-1))[0].kspace, file.conjugated(0))


def test_what_the_header_has_beyond_the_standard_is_told(path):
    notes = open_scan(MrdFile(xml={"etl": "many"}).lines().write(path)).header.notes
    assert any("unknownElement" in note for note in notes)
    assert any("echoTrainLength 'many'" in note for note in notes)


@pytest.mark.parametrize("name", ["w", "full", "x"])
def test_an_absurd_matrix_is_refused_before_memory_is_taken(path, name):
    with pytest.raises(RawDataError, match=r"samples, the readouts span|more than half"):
        open_scan(MrdFile(xml={name: 4_000_000}).lines().write(path))


def bright_center(center, told):
    """A file whose line ``center`` has most of the signal, and whose header tells ``told``."""
    file = MrdFile(shape=(1, 2, 16, 32), xml={"center": told})
    for row in range(32):
        file.line(row, gain=20.0 if row == center else 1.0)
    return file


def test_a_center_away_from_the_signal_is_told_and_can_be_corrected(path, tmp_path):
    notes = open_scan(bright_center(16, 16).write(path)).header.notes
    assert not any("strongest" in note for note in notes)
    file = bright_center(11, 16).write(tmp_path / "b.h5")
    assert any("= 11, 5 from the encoding centre 16" in n for n in open_scan(file).header.notes)
    with pytest.raises(RawDataError, match="lie outside"):  # 31 - 11 does not fit
        open_scan(file, ReadOptions(center=11))


def test_a_file_written_by_the_reference_library(path):
    ismrmrd = pytest.importorskip("ismrmrd")
    file = MrdFile().lines()
    with ismrmrd.Dataset(str(path), mode="w") as dataset:
        dataset.write_xml_header(XML.format(**file.xml).encode())
        for row in range(12):
            acquisition = ismrmrd.Acquisition.from_array(
                np.ascontiguousarray(file.oversampled[0][:, :, row]), center_sample=16
            )
            acquisition.idx.kspace_encode_step_1 = row
            dataset.append_acquisition(acquisition)
    close(open_scan(path)[0].kspace, file.kspace[0])


@pytest.mark.parametrize("view_full", [32.0, 64.0])
def test_a_header_at_base_resolution_keeps_the_field_of_view(path, view_full):
    """The matrix is that without oversampling, the field of view with it or not."""
    file = MrdFile(xml={"full": 16, "view_full": view_full}).lines()
    scan = open_scan(file.write(path))
    assert scan.header.grid == scan.header.canvas == (16, 12)
    assert scan.header.voxel[:2] == pytest.approx((2, 2))
    close(scan[0].kspace, file.kspace[0])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (range(16, 64), "about 75% of k-space, from -16 to 31"),
        (range(16, 64, 2), "about 75%"),
        (range(28, 64), "(partial_fourier=pocs fills it in)"),
        (range(29, 64), "(too much for partial_fourier=pocs)"),
        (range(0, 34), "(too much for partial_fourier=pocs)"),
        (range(8, 56), None),  # symmetric: less phase resolution, no partial Fourier
        (range(40, 64), "miss it"),
    ],
)
def test_the_share_of_partial_fourier(path, rows, words):
    file = MrdFile(shape=(1, 2, 16, 64)).lines(rows)
    notes = open_scan(file.write(path)).header.notes
    found = [note for note in notes if "phase encoding" in note]
    assert found == [] if words is None else words in found[0]


def test_channels_without_names_are_matched_by_number_and_that_is_told(path, tmp_path):
    MrdFile().lines().write(path)
    noise = MrdFile().noise(COVARIANCE).write(tmp_path / "noise.h5")
    notes = open_scan(path, ReadOptions(noise=str(noise))).header.notes
    assert any("matched by number" in note for note in notes)


def test_an_empty_scan_has_no_centre_to_complain_about(path):
    notes = open_scan(MrdFile().lines(gain=0.0).write(path)).header.notes
    assert not any("strongest" in note for note in notes)


def test_a_slice_that_moves_is_told(path):
    file = MrdFile().lines(range(6)).lines(range(6, 12), position=[1.0, 7.0, 3.0])
    assert any("changes by up to 5.0 mm" in n for n in open_scan(file.write(path)).header.notes)


def test_the_time_between_repetitions_is_known_for_siemens(tmp_path):
    for vendor, expected in (("SIEMENS", 2.5), ("GE", None)):
        file = MrdFile(xml={"vendor": vendor})
        for repetition in range(3):
            file.lines(repetition=repetition, acquisition_time_stamp=500 + 1000 * repetition)
        header = open_scan(file.write(tmp_path / f"{vendor}.h5")).header
        assert header.sequence.frame_interval == expected


def test_compressed_rows_are_read_through_the_library(path):
    file = MrdFile().lines()
    file.write(path)
    with h5py.File(path, "r+") as stored:
        rows = stored["dataset/data"][:]
        del stored["dataset/data"]
        stored["dataset"].create_dataset("data", data=rows, chunks=(4,), compression="gzip")
    close(open_scan(path)[0].kspace, file.kspace[0])


def test_missing_rows_are_told(path):
    file = MrdFile().lines()
    file.write(path)
    with h5py.File(path, "r+") as stored:
        stored["dataset/data"].resize((20,))
    with pytest.raises(RawDataError, match="8 of the 20 rows of '/dataset/data' are missing"):
        open_scan(path)
