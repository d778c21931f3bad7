"""Single readouts along trajectories: ISMRMRD, its streams, and what their headers tell."""

import re
import struct

import h5py
import numpy as np
import pytest
import torch

from mrirecon.commands.sending import _opened
from mrirecon.errors import ConfigError, RawDataError
from mrirecon.fourier import fft
from mrirecon.inspection import as_text, inspect_file
from mrirecon.raw.acquired_scan import AcquiredScan, Measurement
from mrirecon.raw.header import parse_header
from mrirecon.raw.mrd_records import AcquisitionFlag
from mrirecon.raw.readouts import Readouts
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.sampling.trajectories import even_angles, golden_angles, radial
from tests.readers.mrd2_files import acquisition_record, version2
from tests.readers.mrd_files import PHASE, READ, SLICE, XML, MrdFile
from tests.readers.trajectory_files import (
    COILS,
    MATRIX,
    SAMPLES,
    SPOKES,
    add_spokes,
    arms,
    mrd_file,
    signal,
    spokes,
)

PLACES = spokes()
KSPACE = signal(PLACES)
VIEW = 0.032  # m


def opened(path, **reading):
    return open_scan(path, ReadOptions(**reading))


def check(sample, kspace=KSPACE, places=PLACES, atol=1e-5):
    torch.testing.assert_close(
        sample.kspace, torch.as_tensor(kspace).transpose(-1, -2), rtol=1e-4, atol=atol
    )
    torch.testing.assert_close(sample.trajectory, places.transpose(0, 1), rtol=1e-4, atol=1e-3)
    assert sample.grid == (MATRIX, MATRIX)


def noted(scan, words):
    return any(re.search(words, note) for note in scan.header.notes)


UNITS = {
    "cycles": 1.0, "pixel": 1 / MATRIX, "radians": 2 * np.pi / MATRIX, "1/m": 1 / VIEW,
    "1/cm": 0.01 / VIEW, "rad/m": 2 * np.pi / VIEW,
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_found_and_told(tmp_path, unit):
    file = add_spokes(mrd_file(), KSPACE, PLACES, UNITS[unit])
    scan = opened(file.write(tmp_path / "scan.h5"))
    check(scan[0])
    assert noted(scan, "found by its extent") and scan.header.voxel == pytest.approx((2, 2, 5))
    assert scan.header.matrix == scan.header.grid == (MATRIX, MATRIX)
    check(opened(tmp_path / "scan.h5", trajectory_unit=unit)[0])


def test_an_interpolated_image_keeps_the_unit(tmp_path):
    file = add_spokes(mrd_file(y=2 * MATRIX, x=2 * MATRIX), KSPACE, PLACES, UNITS["pixel"])
    scan = opened(file.write(tmp_path / "scan.h5"))
    assert scan.header.grid == (2 * MATRIX, 2 * MATRIX)
    places = PLACES.transpose(0, 1)
    torch.testing.assert_close(scan[0].trajectory, places, rtol=1e-4, atol=1e-3)
    smaller = opened(tmp_path / "scan.h5", matrix=12)
    assert (smaller.header.grid, smaller.header.matrix) == ((16, 16), (12, 12))
    assert smaller.header.voxel == pytest.approx((32 / 12, 32 / 12, 5))


def test_slices_noise_and_order(tmp_path):
    file = mrd_file()
    file.noise(np.diag([1.0, 4.0, 9.0]).astype(complex), count=400)
    for slice_ in (2, 0, 1):
        add_spokes(file, (slice_ + 1) * KSPACE, PLACES, slice_=slice_)
    scan = opened(file.write(tmp_path / "scan.h5"))
    assert len(scan) == 3 and scan.header.whitened
    positions = np.array(scan.header.geometry.positions)
    np.testing.assert_allclose(np.diff(positions, axis=0), 7 * np.array([SLICE] * 2), atol=1e-4)
    np.testing.assert_allclose(scan.header.geometry.row_direction, READ, atol=1e-6)
    np.testing.assert_allclose(scan.header.geometry.column_direction, PHASE, atol=1e-6)
    for index in range(3):
        weights = np.sqrt(2 * 0.8) / np.array([1.0, 2.0, 3.0])  # the header's bandwidth
        expected = (index + 1) * weights[:, None, None] * KSPACE
        found = scan[index].kspace.transpose(-1, -2).numpy()
        assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    text = as_text(inspect_file(tmp_path / "scan.h5"))
    assert "radial, 20 diameters of 32 samples" in text and "stored with each readout" in text


def test_siemens_signs_averages_and_frames(tmp_path):
    file = mrd_file(vendor="SIEMENS")
    for repetition in range(2):
        for average in range(2):
            one = (1 + repetition + 10 * average) * KSPACE
            add_spokes(file, one, PLACES, repetition=repetition, average=average)
    scan = opened(file.write(tmp_path / "scan.h5"))
    assert len(scan) == 2
    kspace = np.concatenate([2 * KSPACE, 12 * KSPACE], 1).conj()
    check(scan[1], kspace, torch.cat([PLACES, PLACES]), atol=1e-4)
    check(opened(tmp_path / "scan.h5", fourier_sign=1)[1], kspace.conj(),
          torch.cat([PLACES, PLACES]), atol=1e-4)  # fmt: skip


def test_discarded_samples_and_readouts_of_several_lengths(tmp_path):
    file = mrd_file()
    for number in range(SPOKES):
        cut = 4 if number % 2 else 0
        file.add(KSPACE[:, number], ky=number, places=PLACES[number], discard_pre=3,
                 discard_post=2 + cut)  # fmt: skip
    sample = opened(file.write(tmp_path / "scan.h5"))[0]
    assert sample.kspace.shape == (COILS, SAMPLES - 5, SPOKES)
    torch.testing.assert_close(sample.kspace[:, :, 2].numpy(), KSPACE[:, 2, 3:-2])
    assert sample.mask[:, 2].all() and sample.mask[:-4, 1].all() and not sample.mask[-4:, 1].any()
    assert not sample.kspace[:, -4:, 1].any()
    torch.testing.assert_close(sample.trajectory[:-4, 1], PLACES[1, 3:-6], rtol=1e-4, atol=1e-4)


PARTITIONS = 6
STACK = np.stack([signal(PLACES, seed=seed) for seed in range(PARTITIONS)])


def stack(partitions=range(PARTITIONS), turned=0.0, third=True, counter=True):
    """A stack of stars whose slices are STACK: a file, its readouts in mixed order."""
    file = mrd_file()
    slab = fft(torch.from_numpy(STACK), (0,)).numpy()
    for z in sorted(partitions, key=lambda n: (n * 5) % 7):
        places = radial(even_angles(SPOKES) + turned * z, SAMPLES, MATRIX)
        if third:
            kz = torch.full((*places.shape[:-1], 1), float(z - PARTITIONS // 2))
            places = torch.cat([places, kz], -1)
        add_spokes(file, slab[z], places, kspace_encode_step_2=z if counter else 0)
    limits = (
        f"<encodingLimits><kspace_encoding_step_2><minimum>0</minimum>"
        f"<maximum>{PARTITIONS - 1}</maximum><center>{PARTITIONS // 2}</center>"
        "</kspace_encoding_step_2>"
    )
    return file, limits


def write_stack(path, file, limits):
    """Write a slab, of which the header tells partitions and thickness."""
    text = XML.replace("<encodingLimits>", limits)
    text = text.replace("<y>{w}</y><z>1</z>", f"<y>{{w}}</y><z>{PARTITIONS}</z>")
    text = text.replace("<y>{x}</y><z>1</z>", f"<y>{{x}}</y><z>{PARTITIONS}</z>")
    text = text.replace("<z>5</z>", "<z>30</z>")
    return file.write(path, xml_text=text)


@pytest.mark.parametrize("options", [{}, {"third": False}, {"counter": False}])
def test_stacks_of_stars_are_transformed_along_their_partitions(tmp_path, options):
    scan = opened(write_stack(tmp_path / "scan.h5", *stack(**options)))
    assert scan.header.slices == PARTITIONS and not scan.header.volumetric
    for index, sample in enumerate(scan):
        check(sample, STACK[index], atol=1e-4)
    assert scan.header.voxel == pytest.approx((2, 2, 5))
    positions = np.array(scan.header.geometry.positions)
    np.testing.assert_allclose(np.diff(positions, axis=0), 5 * np.array([SLICE] * 5), atol=1e-4)
    np.testing.assert_allclose(positions[PARTITIONS // 2], [1, 2, 3], atol=1e-4)
    assert noted(scan, "stack of 6 partitions was Fourier transformed into 6 slices")


def test_missing_partitions_are_filled_with_zeros(tmp_path):
    there = [1, 2, 3, 4]
    scan = opened(write_stack(tmp_path / "scan.h5", *stack(there)))
    slab = fft(torch.from_numpy(STACK), (0,))
    slab[[0, 5]] = 0
    expected = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(slab, dim=0), dim=0,
                                                 norm="ortho"), dim=0)  # fmt: skip
    check(scan[2], expected[2] * (6 / 4) ** 0.5, atol=1e-4)
    assert noted(scan, r"2 of 6 partitions were not acquired.*-2 to 1 off the centre.*zero-filled")


def test_readouts_of_a_slab_that_lack_partitions(tmp_path):
    file, limits = stack()
    lost = [
        n
        for n, h in enumerate(file.heads)
        if (h["idx"]["kspace_encode_step_2"], h["idx"]["kspace_encode_step_1"] % 4) == (1, 0)
    ]
    for kept in (file.heads, file.data, file.places):
        kept[:] = [value for n, value in enumerate(kept) if n not in lost]
    scan = opened(write_stack(tmp_path / "scan.h5", file, limits))
    assert noted(scan, "^5 of 20 readouts lack some of the 6 partitions")
    assert not noted(opened(write_stack(tmp_path / "whole.h5", *stack())), "lack some")


def test_partitions_whose_counter_contradicts_their_places(tmp_path):
    file, limits = stack()
    for head in file.heads:
        number = head["idx"]["kspace_encode_step_2"]
        head["idx"]["kspace_encode_step_2"] = {0: 1, 1: 0}.get(int(number), number)
    with pytest.raises(RawDataError, match=r"contradict each other.*-2\.0, -3\.0, -1\.0"):
        opened(write_stack(tmp_path / "scan.h5", file, limits))


def test_a_readout_far_away_from_the_others(tmp_path):
    file = mrd_file(maximum=99)
    many, places = signal(spokes(100)), spokes(100)
    add_spokes(file, many, places)
    file.places[32] *= 30  # not among those that are looked at beforehand
    path = file.write(tmp_path / "scan.h5")
    with pytest.raises(RawDataError, match=r"scan_counter 32\) reaches to 202.* about 8"):
        opened(path)[0]


def test_stacks_that_turn_are_refused(tmp_path):
    scan = opened(write_stack(tmp_path / "scan.h5", *stack(turned=0.3)))
    with pytest.raises(RawDataError, match="lies elsewhere in partition"):
        scan[0]


def test_golden_angles_by_counter_and_by_order(tmp_path):
    places = spokes(golden=True)
    kspace = signal(places)
    file = add_spokes(mrd_file("goldenangle"), kspace, None)
    with pytest.raises(RawDataError, match=r"'goldenangle'.*reading\.trajectory=.*golden"):
        opened(file.write(tmp_path / "a.h5"))
    scan = opened(tmp_path / "a.h5", trajectory="golden")
    check(scan[0], kspace, places)
    assert noted(scan, "made as told: golden, angles by the counter kspace_encode_step_1")
    order = mrd_file("goldenangle")
    for number in np.random.default_rng(0).permutation(2 * SPOKES):  # not stored in this order
        angle = radial(golden_angles(1, int(number)), SAMPLES, MATRIX)[0]
        order.add(signal(angle[None], seed=number)[:, 0], scan_counter=number,
                  repetition=number // SPOKES)  # fmt: skip
    scan = opened(order.write(tmp_path / "b.h5"), trajectory="golden")
    assert len(scan) == 2 and noted(scan, "by the order of acquisition")
    whole = torch.cat([radial(golden_angles(1, n), SAMPLES, MATRIX) for n in range(20, 40)])
    torch.testing.assert_close(scan[1].trajectory, whole.transpose(0, 1), rtol=1e-4, atol=1e-4)
    first = signal(whole[:1], seed=20)[:, 0]
    torch.testing.assert_close(scan[1].kspace[:, :, 0].numpy(), first)


def test_named_spokes_with_an_asymmetric_echo_and_reversed_ones(tmp_path):
    file = mrd_file()
    for number in range(SPOKES):
        samples, flags, center = KSPACE[:, number, 6:], (), SAMPLES // 2 - 6
        if number % 2:
            samples, flags = samples[:, ::-1], (AcquisitionFlag.REVERSE,)
            center = SAMPLES // 2 - 1
        file.add(samples, flags, ky=number, center_sample=center)
    sample = opened(file.write(tmp_path / "scan.h5"), trajectory="radial")[0]
    found = sample.trajectory
    torch.testing.assert_close(found[:, 2], PLACES[2, 6:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[:, 3], PLACES[3, 6:].flip(0), rtol=1e-4, atol=1e-4)


def test_readouts_that_are_repetitions_with_density_beside_their_places(tmp_path):
    places = arms(6)
    kspace = signal(places)
    stored = torch.cat([places, places.norm(dim=-1, keepdim=True)], -1)
    file = mrd_file("spiral")
    for number in range(6):
        file.add(kspace[:, number], repetition=number, places=stored[number], sample_time_us=0)
    scan = opened(file.write(tmp_path / "scan.h5"))
    assert len(scan) == 1
    check(scan[0], kspace, places)
    assert noted(scan, "a repetition of its own") and noted(scan, "density compensation")
    assert "spiral, 6 arms of 60 samples" in as_text(inspect_file(tmp_path / "scan.h5"))


def test_the_header_may_be_wrong_about_the_trajectory(tmp_path):
    file = add_spokes(mrd_file("cartesian"), KSPACE, PLACES)
    check(opened(file.write(tmp_path / "a.h5"))[0])
    lines = mrd_file("cartesian", w=MATRIX, maximum=MATRIX - 1, center=MATRIX // 2, view_w=32.0)
    along = np.stack([np.arange(SAMPLES) - SAMPLES // 2, np.zeros(SAMPLES)], -1)
    for row in range(MATRIX):
        lines.line(row, places=along)
    sample = opened(lines.write(tmp_path / "b.h5"))[0]
    assert sample.cartesian
    torch.testing.assert_close(sample.kspace, lines.kspace[0], rtol=1e-4, atol=1e-4)


def test_streams(tmp_path):
    file = add_spokes(mrd_file(), KSPACE, PLACES, UNITS["pixel"])
    records = [
        ("acquisition", acquisition_record(head, data, trajectory=places.T.copy()))
        for head, data, places in zip(file.heads, file.data, file.places, strict=True)
    ]
    (tmp_path / "two.mrd").write_bytes(version2(file, records=records))
    check(opened(tmp_path / "two.mrd")[0])
    (tmp_path / "one.mrd").write_bytes(stream(file))
    check(opened(tmp_path / "one.mrd")[0])


def stream(file):
    """The bytes of a file as a scanner sends it."""
    xml = XML.format(**file.xml).encode()
    parts = [struct.pack("<HI", 3, len(xml)), xml]
    for head, data, places in zip(file.heads, file.data, file.places, strict=True):
        parts += [struct.pack("<H", 1008), head.tobytes(), places.tobytes(), data.tobytes()]
    return b"".join([*parts, struct.pack("<H", 4)])


def koosh(places):
    return torch.cat([places, places[..., :1] * torch.linspace(-1, 1, SPOKES)[:, None, None]], -1)


def broken(places):
    places = places.clone()
    places[4, 7, 1] = torch.nan
    return places


@pytest.mark.parametrize(
    ("places", "unit", "found"),
    [
        (koosh(PLACES), 1.0, r"three axes of k-space \(a kooshball\)"),
        (broken(PLACES), 1.0, r"holds values that are not finite"),
        (0 * PLACES, 1.0, "is zero everywhere"),
        (PLACES, 7.0, r"unit of the trajectory is not clear.*reading\.trajectory_unit"),
        (PLACES[..., :1], 1.0, r"'radial'.*do not tell where.*reading\.trajectory"),
    ],
)
def test_what_is_refused(tmp_path, places, unit, found):
    path = add_spokes(mrd_file(), KSPACE, places, unit).write(tmp_path / "scan.h5")
    with pytest.raises(RawDataError, match=found) as error:
        opened(path)[0]
    assert str(path) in str(error.value)


def test_options_that_cannot_be(tmp_path):
    path = add_spokes(mrd_file(), KSPACE, PLACES).write(tmp_path / "scan.h5")
    for reading, found in (
        ({"center": 3}, r"reading\.center is the phase-encoding counter"),
        ({"trajectory": "traj.npy"}, r"reading\.trajectory=traj\.npy, expected a Pulseq sequence"),
    ):
        with pytest.raises(RawDataError, match=found):
            opened(path, **reading)
    lines = mrd_file("cartesian", w=MATRIX, maximum=MATRIX - 1, center=8, view_w=32.0).lines()
    with pytest.raises(RawDataError, match=r"reading\.matrix is for readouts along"):
        opened(lines.write(tmp_path / "lines.h5"), matrix=8)


def test_damaged_and_missing_readouts(tmp_path):
    kspace = KSPACE.copy()
    kspace[0, 3, 5] = np.nan
    path = add_spokes(mrd_file(), kspace, PLACES).write(tmp_path / "a.h5")
    with pytest.raises(RawDataError, match="not finite"):
        opened(path)[0]
    kspace[:, 3] = 0  # a converter fills up with zeros what was not measured
    sample = opened(add_spokes(mrd_file(), kspace, PLACES).write(tmp_path / "b.h5"))[0]
    assert sample.mask.shape == (1, SPOKES) and int(sample.mask.sum()) == SPOKES - 1


def test_signal_elsewhere_than_the_trajectory_says_is_told(tmp_path):
    path = add_spokes(mrd_file(), np.roll(KSPACE, 9, -1), PLACES).write(tmp_path / "scan.h5")
    assert noted(opened(path), "do not belong together")


def test_files_whose_rows_are_compressed(tmp_path):
    path = add_spokes(mrd_file(), KSPACE, PLACES).write(tmp_path / "a.h5")
    with h5py.File(path) as file, h5py.File(tmp_path / "b.h5", "w") as other:
        group = other.create_group("dataset")
        group["xml"] = file["dataset/xml"][:]
        group.create_dataset("data", data=file["dataset/data"][:], chunks=(4,), compression="gzip")
    check(opened(tmp_path / "b.h5")[0])


def test_frames_of_successive_readouts(tmp_path):
    places = spokes(2 * SPOKES + 3, golden=True)
    kspace = signal(places)
    path = add_spokes(mrd_file("goldenangle"), kspace, places).write(tmp_path / "scan.h5")
    scan = opened(path, spokes_per_frame=SPOKES)
    assert [frame.repetition for frame in scan.header.frames] == [0, 1]
    check(scan[1], kspace[:, SPOKES : 2 * SPOKES], places[SPOKES : 2 * SPOKES])
    assert noted(scan, r"20 successive readouts: 2 frames\. 3 readouts at the end")
    with pytest.raises(RawDataError, match="only 43 successive readouts"):
        opened(path, spokes_per_frame=50)


def test_frames_of_slabs_count_spokes_and_not_partitions(tmp_path):
    scan = opened(write_stack(tmp_path / "scan.h5", *stack()), spokes_per_frame=10)
    assert len(scan.header.frames) == 2 and scan.header.slices == PARTITIONS
    sample = scan[PARTITIONS + 2]
    check(sample, STACK[2][:, 10:], PLACES[10:], atol=1e-4)


def test_frames_by_time(tmp_path):
    places = spokes(40, golden=True)
    kspace = signal(places)
    for vendor in ("SIEMENS", "other"):
        file = mrd_file("goldenangle", vendor=vendor)
        for number in range(40):  # 5 ms apart, two units of 2.5 ms
            file.add(kspace[:, number], ky=number, places=places[number],
                     acquisition_time_stamp=1000 + 2 * number)  # fmt: skip
        file.write(tmp_path / f"{vendor}.h5")
    scan = opened(tmp_path / "SIEMENS.h5", frame_duration=50)
    assert len(scan) == 4
    check(scan[2], kspace[:, 20:30].conj(), places[20:30])
    assert noted(scan, "Each frame has the readouts of 50 ms: 4 frames, of 10 to 10")
    with pytest.raises(RawDataError, match=r"unit is known.*reading\.spokes_per_frame"):
        opened(tmp_path / "other.h5", frame_duration=50)


def test_cardiac_phases(tmp_path):
    places = spokes(40, golden=True)
    kspace = signal(places)
    file = mrd_file("goldenangle")
    times = np.concatenate([np.arange(n) for n in (8, 12, 8, 12)])  # of unequal heartbeats
    for number, time in enumerate(times):
        file.add(kspace[:, number], ky=number, places=places[number],
                 physiology_time_stamp=[0, 10 * time, 0])  # fmt: skip
    scan = opened(file.write(tmp_path / "scan.h5"), cardiac_phases=4)
    assert [frame.phase for frame in scan.header.frames] == [0, 1, 2, 3]
    expected = [0, 1, 8, 9, 10, 20, 21, 28, 29, 30]
    check(scan[0], kspace[:, expected], places[expected])
    assert noted(scan, r"4 heartbeats were sorted into 4 cardiac phases.*time_stamp\[1\]")
    add_spokes(mrd_file(), KSPACE, PLACES).write(tmp_path / "none.h5")
    with pytest.raises(RawDataError, match=r"physiology_time_stamp.*not set"):
        opened(tmp_path / "none.h5", cardiac_phases=4)


def test_one_way_to_make_frames():
    with pytest.raises(ConfigError, match="one way"):
        ReadOptions(spokes_per_frame=3, frame_duration=4.0)
    with pytest.raises(ConfigError, match=r"reading\.cardiac_phases=0"):
        ReadOptions(cardiac_phases=0)


def test_sending_is_refused(tmp_path):
    path = add_spokes(mrd_file(), KSPACE, PLACES).write(tmp_path / "scan.h5")
    with pytest.raises(RawDataError, match="which a server does not reconstruct"):
        _opened(path, ReadOptions())
    file = MrdFile((1, COILS, MATRIX, MATRIX), xml={"trajectory": "radial"})
    add_spokes(file, KSPACE, PLACES)
    heads = np.array(file.heads)
    readouts = Readouts(heads, file.data)  # as a server receives them
    measurement = Measurement("session", parse_header(XML.format(**file.xml)), heads)
    with pytest.raises(RawDataError, match="came without their trajectories"):
        AcquiredScan("session", "MRD", measurement, readouts.select)
