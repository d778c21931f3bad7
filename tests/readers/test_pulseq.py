"""Trajectories of Pulseq sequences: their ADC events are the readouts of a scan."""

import sys

import numpy as np
import pytest
import torch

from mrirecon.errors import RawDataError
from mrirecon.inspection import as_text, inspect_file
from mrirecon.raw.pulseq_file import read_sequence
from mrirecon.read_options import ReadOptions
from mrirecon.readers import open_scan
from tests.readers.trajectory_files import add_spokes, mrd_file, signal

SPOKES, SAMPLES, VIEW = 8, 32, 0.032
"""VIEW is in m."""


def diameters():
    """Places (readout, sample, 2) in cycles per field of view; samples in the middle of dwells."""
    radius = (torch.arange(SAMPLES) + 0.5) / 2 - SAMPLES / 4
    angles = torch.arange(SPOKES) * torch.pi / SPOKES
    return radius[:, None] * torch.stack([angles.cos(), angles.sin()], -1)[:, None]


PLACES = diameters()
KSPACE = signal(PLACES)


def write_sequence(path, view=(VIEW, VIEW, 0.005), through=0.0, short=0, prescan=False):
    """Write a radial sequence, as its gradients are made by pypulseq."""
    pp = pytest.importorskip("pypulseq")
    system = pp.Opts(max_grad=40, grad_unit="mT/m", max_slew=150, slew_unit="T/m/s")
    sequence, flat, rise = pp.Sequence(system), SAMPLES * 1e-5, 3e-4
    excite = pp.make_block_pulse(0.1, duration=1e-3, system=system, use="excitation")
    if prescan:  # noise
        sequence.add_block(pp.make_adc(16, duration=16e-5, system=system))
    for number, (x, y) in enumerate((PLACES[:, -1] - PLACES[:, 0]).tolist()):
        areas = {"x": x, "y": y, "z": through}
        along = [
            pp.make_trapezoid(
                axis, flat_area=area / VIEW * SAMPLES / (SAMPLES - 1), flat_time=flat,
                rise_time=rise, system=system,
            )
            for axis, area in areas.items() if abs(area) > 1e-6
        ]  # fmt: skip
        back = [
            pp.make_trapezoid(g.channel, area=-g.area / 2, duration=2e-3, system=system)
            for g in along
        ]
        count = SAMPLES - short * (number == 3)
        adc = pp.make_adc(count, dwell=1e-5, delay=rise, system=system)
        sequence.add_block(excite)
        sequence.add_block(*back)
        sequence.add_block(adc, *along)
    if view is not None:
        sequence.set_definition("FOV", list(view))
    sequence.write(str(path))
    return str(path)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    return write_sequence(tmp_path_factory.mktemp("pulseq") / "radial.seq")


def scan_of(folder, **changes):
    """A file of these readouts that does not tell where their samples lie, in another order."""
    file = mrd_file("radial", maximum=SPOKES - 1)
    for number in reversed(range(SPOKES)):
        file.add(KSPACE[:, number], ky=number, scan_counter=number, **changes)
    return file.write(folder / "scan.h5")


def test_places_are_those_of_the_gradients_since_the_excitation(sequence):
    found = read_sequence(sequence)
    assert found.view == pytest.approx(32) and len(found.places) == SPOKES
    places = torch.from_numpy(found.stacked())
    torch.testing.assert_close(places[..., :2] * VIEW, PLACES, rtol=0, atol=1e-3)
    assert places[..., 2].eq(0).all() and read_sequence(sequence) is found


def test_readouts_of_a_file_get_their_places(tmp_path, sequence):
    path, reading = scan_of(tmp_path), ReadOptions(trajectory=sequence, gradient_delays="none")
    scan = open_scan(path, reading)
    told = "\n".join(scan.header.notes)
    assert "trajectory is that of radial.seq: its 8 ADC events are the imaging readouts" in told
    assert "cycles per metre, as told" in told and scan.header.grid == (16, 16)
    sample = scan[0]
    kspace = torch.from_numpy(KSPACE).transpose(-1, -2)
    for readout in range(SPOKES):
        apart = (sample.trajectory[:, readout, None] - PLACES.transpose(0, 1)).abs()
        same = apart.amax((0, 2)).argmin()
        assert apart.amax((0, 2))[same] < 1e-3
        torch.testing.assert_close(sample.kspace[..., readout], kspace[..., same])
    assert "radial" in as_text(inspect_file(path, reading=reading))


def test_noise_readouts_have_events_too(tmp_path):
    name = write_sequence(tmp_path / "prescan.seq", prescan=True)
    file = mrd_file("radial", maximum=SPOKES - 1).noise(np.eye(3), count=1, samples=16)
    path = add_spokes(file, KSPACE, None).write(tmp_path / "scan.h5")
    scan = open_scan(path, ReadOptions(trajectory=name, gradient_delays="none"))
    torch.testing.assert_close(scan[0].trajectory, PLACES.transpose(0, 1), rtol=0, atol=1e-3)
    assert any("ADC events are all readouts" in note for note in scan.header.notes)


def test_arrays_take_the_field_of_view_of_the_sequence(tmp_path, sequence):
    np.save(tmp_path / "k.npy", KSPACE)
    scan = open_scan(tmp_path / "k.npy", ReadOptions(trajectory=sequence, gradient_delays="none"))
    torch.testing.assert_close(scan[0].trajectory, PLACES.transpose(0, 1), rtol=0, atol=1e-3)
    assert scan.header.grid == (16, 16)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"through": 4.0}, "goes along three axes of k-space: readouts move by"),
        ({"short": 2}, r"ADC event 4 of the sequence other.seq has 30 samples, but .* has 32"),
        ({"prescan": True}, "has 9 ADC events, but the scan has 8 imaging readouts"),
    ],
)
def test_sequences_of_other_scans_are_refused(tmp_path, settings, told):
    name = write_sequence(tmp_path / "other.seq", **settings)
    path = scan_of(tmp_path)
    with pytest.raises(RawDataError, match=told) as error:
        open_scan(path, ReadOptions(trajectory=name))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"view": None}, "has no field of view among its definitions"),
        ({"short": 2}, "has readouts of 30 and 32 samples"),
    ],
)
def test_sequences_that_make_no_array_are_refused(tmp_path, settings, told):
    name = write_sequence(tmp_path / "other.seq", **settings)
    np.save(tmp_path / "k.npy", KSPACE)
    with pytest.raises(RawDataError, match=told):
        open_scan(tmp_path / "k.npy", ReadOptions(trajectory=name))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # by pypulseq
def test_files_that_are_no_sequences(tmp_path, monkeypatch):
    path, broken = scan_of(tmp_path), tmp_path / "broken.seq"
    with pytest.raises(RawDataError, match=r"reading\.trajectory=.*: no such file"):
        open_scan(path, ReadOptions(trajectory=str(broken)))
    broken.write_text("[VERSION]")
    with pytest.raises(RawDataError, match=r"has no part \[BLOCKS\] or \[ADC\]"):
        open_scan(path, ReadOptions(trajectory=str(broken)))
    broken.write_text("[VERSION]\nmajor 1\n[BLOCKS]\n[ADC]\n1 2")
    monkeypatch.setitem(sys.modules, "pypulseq", None)
    with pytest.raises(RawDataError, match="needs the package pypulseq"):
        open_scan(path, ReadOptions(trajectory=str(broken)))
    monkeypatch.undo()
    pytest.importorskip("pypulseq")
    with pytest.raises(RawDataError, match="cannot be read as a Pulseq"):
        open_scan(path, ReadOptions(trajectory=str(broken)))
