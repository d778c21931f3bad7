import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from mrirecon.readers.ge.layout import LAYOUTS
from mrirecon.readers.ge.scan import GeScan

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data"
TABLES = {  # header, per pass, unlock, slices, nex, abort, tool, exam, series, image, prescan
    20: (149788, 4096, 20480, 36864, 135168, 137220, 139272, 142820, 144780, 147340, 141320),
    26: (213684, 4096, 20480, 36864, 184320, 186372, 188424, 193660, 195620, 198180, 190472),
}


def true_kspace(slices=2, coils=3, lines=8, samples=16):
    rng = np.random.default_rng(0)
    parts = rng.integers(-900, 900, (2, slices, coils, samples, lines))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def pfile(path, kspace, revision=26.002, *, point_size=2, chopped=True, order=None, train=1, **put):
    """Write a P-file; ``kspace`` is (slice, coil, h, w), ``put`` are fields of the header."""
    slices, coils, samples, lines = kspace.shape
    reference = 0 if train == 1 else train
    number = int(revision)
    layout, table = LAYOUTS[number], TABLES[number]
    frames = lines + reference
    header = bytearray(layout.data)
    fields = {
        "collect_type": (56, "h", 0 if chopped else 1),
        "passes": (64, "h", 1),
        "slices": (68, "H", slices),
        "echoes": (70, "h", 1),
        "frames": (74, "h", frames),
        "point_size": (82, "h", point_size),
        "samples": (102, "H", samples),
        "views": (104, "h", frames + 1),
        "image_size": (110, "h", 2 * samples),
    }
    for name, (place, kind, value) in fields.items():
        struct.pack_into(f"<{kind}", header, place + layout.shift, put.pop(name, value))
    struct.pack_into("<f", header, 0, revision)
    struct.pack_into("<11i", header, layout.offsets, *table)
    header[34 + layout.shift : 44 + layout.shift] = b"GE_MED_NMR"
    struct.pack_into("<hh", header, layout.receivers, 0, coils - 1)
    of_image = {
        "view": (304, "f", 4.0 * samples),
        "view_phase": (308, "f", 4.0 * samples),
        "thickness": (316, "f", 3.0),
        "bandwidth": (352, "f", 31.25),
        "lines": (684, "f", lines),
        "repetition_time": (1056, "i", 250000),
        "inversion_time": (1060, "i", 0),
        "echo_time": (1064, "i", 5100),
        "flip_angle": (1412, "h", 10),
        "echo_train": (1484, "h", train),
    }
    for name, (place, kind, value) in of_image.items():
        struct.pack_into(f"<{kind}", header, table[9] + place, put.pop(name, value))
    sequence = put.pop("sequence", b"2dfast")
    header[table[9] + 1632 : table[9] + 1632 + len(sequence)] = sequence
    header[table[8] + 982 : table[8] + 990] = b"GRE scan"
    struct.pack_into("<i", header, table[7] + 572, 30000)
    assert not put
    order = list(range(slices)) if order is None else order
    for row, place in enumerate(order):
        struct.pack_into("<hh", header, table[3] + row * layout.row, 0, place + 1)
    views = np.full((coils, slices, frames + 1, samples, 2), 7, f"<i{point_size}")
    for row, place in enumerate(order):
        signs = np.where(np.arange(lines) % 2, -1, 1) if chopped else np.ones(lines)
        stored = np.moveaxis(kspace[row] * signs, 2, 1)
        views[:, place, 1 : lines + 1] = np.stack([stored.real, stored.imag], -1)
    path.write_bytes(bytes(header) + views.tobytes())
    return path


@pytest.mark.parametrize("revision", [20.006, 26.002])
@pytest.mark.parametrize("chopped", [True, False])
@pytest.mark.parametrize("point_size", [2, 4])
def test_kspace_equals_the_truth(tmp_path, revision, chopped, point_size):
    truth = true_kspace(slices=3)
    path = tmp_path / "P1.7"
    pfile(path, truth, revision, chopped=chopped, point_size=point_size, order=[0, 2, 1])
    scan = open_scan(path)
    assert isinstance(scan, GeScan)
    assert len(scan) == 3
    for index in range(3):  # slices in anatomical order, whatever their order in the file
        assert torch.equal(scan[index].kspace, torch.from_numpy(truth[index]))
        assert scan[index].mask.all()
    again = pickle.loads(pickle.dumps(scan))
    assert torch.equal(again[2].kspace, scan[2].kspace)


def test_header(tmp_path):
    scan = open_scan(pfile(tmp_path / "P1.7", true_kspace(lines=16)))
    header = scan.header
    assert (header.format, header.vendor, header.acquisition) == ("GE P-file", "GE", "GRE scan")
    assert (header.grid, header.canvas, header.matrix) == ((16, 16), (32, 32), (32, 32))
    assert header.voxel == (2.0, 2.0, 3.0) and header.geometry is None
    sequence = header.sequence
    assert (sequence.repetition_time, sequence.echo_time, sequence.inversion_time) == (
        250,
        5.1,
        None,
    )
    assert (sequence.flip_angle, sequence.field_strength) == (10, 3)
    assert any("orientation of the image is unknown" in note for note in header.notes)
    assert any("baseline" in note for note in header.notes)
    assert dict(scan.content())["dwell time"] == "16 us"


def test_reference_views_of_fast_spin_echo_are_left_out(tmp_path):
    truth = true_kspace()
    scan = open_scan(pfile(tmp_path / "P1.7", truth, 20.006, chopped=False, train=4))
    assert scan.header.grid == (16, 8)
    assert torch.equal(scan[1].kspace, torch.from_numpy(truth[1]))
    assert any("8 PHASECORR_DATA" in note for note in scan.header.notes)


def test_rectangular_fields_of_view_are_not_guessed(tmp_path):
    scan = open_scan(pfile(tmp_path / "P1.7", true_kspace(), view_phase=32.0))
    assert scan.header.voxel is None


@pytest.mark.parametrize(
    ("put", "message"),
    [
        ({"passes": 2}, "several passes"),
        ({"echoes": 2}, "several echoes"),
        ({"collect_type": 64}, "3-D"),
        ({"sequence": b"epi2"}, "EPI"),
        ({"sequence": b"presscsi"}, "spectroscopy"),
        ({"lines": 10.0}, "Partial Fourier"),
        ({"samples": 32}, "make"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, put, message):
    with pytest.raises(RawDataError, match=message):
        open_scan(pfile(tmp_path / "P1.7", true_kspace(), **put))


@pytest.mark.parametrize("size", [0, 3])
def test_impossible_sample_sizes_are_refused(tmp_path, size):
    path = pfile(tmp_path / "P1.7", true_kspace())
    data = bytearray(path.read_bytes())
    struct.pack_into("<h", data, 82 + 76, size)
    path.write_bytes(data)
    with pytest.raises(RawDataError, match="2 or 4 bytes"):
        open_scan(path)


def test_unknown_revisions_are_refused(tmp_path):
    path = pfile(tmp_path / "P1.7", true_kspace())
    data = bytearray(path.read_bytes())
    for start, message in ((struct.pack("<f", 27.0), "revision 27"), (struct.pack(">f", 9.0), "")):
        data[:4] = start
        path.write_bytes(data)
        with pytest.raises(RawDataError, match=f"{message}.*expected one of 20"):
            open_scan(path)
    data[:8] = struct.pack("<fi", 26.0, 200000)
    path.write_bytes(data)
    with pytest.raises(RawDataError, match="200000 bytes long"):
        open_scan(path)


def test_a_slice_table_that_repeats_a_slice_is_refused(tmp_path):
    with pytest.raises(RawDataError, match="table of slices"):
        open_scan(pfile(tmp_path / "P1.7", true_kspace(), order=[1, 1]))


def test_a_measurement_cannot_be_chosen(tmp_path):
    path = pfile(tmp_path / "P1.7", true_kspace())
    with pytest.raises(RawDataError, match=r"reading\.measurement does not apply"):
        open_scan(path, ReadOptions(measurement=1))
    assert GeScan.noise_scan(path) is None


def test_damaged_files_raise_only_raw_data_errors(tmp_path):
    whole = pfile(tmp_path / "P1.7", true_kspace()).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.7"
    used = [0, 4, *range(110, 270, 2), 36864, 36866, 198180 + 304, 198180 + 684, 198180 + 1484]
    for trial in range(40):
        damaged = bytearray(whole)
        if trial % 4 == 0:
            del damaged[int(rng.integers(4, len(whole))) :]
        else:
            damaged[used[trial % len(used)] + int(rng.integers(4))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            scan = open_scan(path)
            assert all(torch.isfinite(torch.view_as_real(s.kspace)).all() for s in scan)
            assert trial % 4
        except RawDataError as error:
            assert str(path) in str(error)
        assert path.read_bytes() == damaged


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no measured files here")
@pytest.mark.parametrize(
    ("name", "slices", "voxel"),
    [
        ("ge_rev20_fse_8coil.7", 3, (0.75, 0.75, 4.7)),
        ("ge_rev26_gre_8coil.7", 7, (1.0, 1.0, 3.0)),
    ],
)
def test_measured_phantoms(name, slices, voxel):
    scan = open_scan(SAMPLES / name)
    assert (len(scan), scan.header.coils, scan.header.grid) == (slices, 8, (128, 128))
    assert scan.header.voxel == pytest.approx(voxel)
    energy = scan[slices - 1].kspace.abs().square().sum((0, 1))
    assert abs(int(energy.argmax()) - 64) <= 1
