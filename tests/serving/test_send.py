"""``mrirecon send``: a file goes to a server as a scanner sends it, and images come back."""

import json
import socket
import struct
import threading
from contextlib import contextmanager, suppress

import h5py
import nibabel
import numpy as np
import pytest

from mrirecon.commands.send import Settings
from mrirecon.commands.sending import exchanged
from mrirecon.errors import MriReconError
from mrirecon.pipeline import Request, run
from mrirecon.raw.header import Encoding, Limits, MeasurementHeader, Space, parse_header
from mrirecon.raw.header_text import header_text
from mrirecon.raw.messages import MessageId
from mrirecon.raw.mrd_images import IMAGE_HEADER
from mrirecon.raw.mrd_records import AcquisitionFlag as Flag
from mrirecon.raw.readouts import Readouts
from mrirecon.readers import open_scan
from mrirecon.reconstruction import Provenance
from mrirecon.scan import ScanHeader
from mrirecon.serving.client import Client, Order, shown
from mrirecon.serving.images import ImageChoice
from mrirecon.serving.probe import probe
from mrirecon.serving.received import read_meta, volumes
from mrirecon.serving.wire import text_body
from mrirecon.writers import write_nifti
from mrirecon.writers.mrd import image_message
from tests.commands import mrirecon
from tests.readers import twix_files
from tests.readers.mrd_files import MrdFile
from tests.serving.scanner import FLOATS, cg_sense, served, zero_filled


def echoes():
    """Two echoes of two slices, the second of which comes first, and a noise scan."""
    file = MrdFile((2, 2, 16, 12)).noise(np.eye(2))
    for slice_ in (1, 0):
        for contrast in range(2):
            file.lines(slice_=slice_, contrast=contrast, gain=1 + contrast)
            file.heads[-1]["flags"] |= np.uint64(Flag.LAST_IN_SLICE.mask)
    return file


def phases():
    file = MrdFile((1, 2, 16, 12))
    for phase in range(3):
        file.lines(phase=phase, gain=1 + phase)
    return file


def stacks():
    """Two stacks of three slices, one across the other."""
    file = MrdFile((6, 2, 16, 12))
    for slice_ in range(6):
        file.lines(slice_=slice_)
    for head in file.heads[36:]:
        head["read_dir"], head["slice_dir"] = head["slice_dir"].copy(), -head["read_dir"]
        head["position"] = 7.0 * head["idx"]["slice"] * head["slice_dir"]
    return file


def volume():
    file = MrdFile((4, 2, 16, 12))
    for partition in range(4):
        file.lines(slice_=partition)
        for head in file.heads[-12:]:
            head["idx"]["slice"], head["idx"]["kspace_encode_step_2"] = 0, partition
            head["position"] = (1.0, 2.0, 3.0)
    return file


def sent(folder, server, *words, fails=False):
    host, port = server.address
    return mrirecon("send", f"host={host}", f"port={port}", *words, folder=folder, fails=fails)


def of_file(path):
    return {one.suffix: one for one in run(open_scan(path), zero_filled()).results}


CHOICES = {
    "config": "default", "pace": 0.0, "timeout": 20.0, "memory": 64.0, "formats": ["hdf5"],
    "existing": "refuse", "overwrite": False, "provenance": "private",
}  # fmt: skip


def received_by(server, raw, **changes):
    """Send a file in this process; returns the series that come back, by suffix."""
    scan = open_scan(raw)
    settings = Settings(str(raw), "out", *server.address, **(CHOICES | changes))
    found = volumes(exchanged(scan, settings), scan.header, Provenance("scan.h5"))
    return {one.suffix: one for one in found.series}


def same(found, expected):
    assert found.keys() == expected.keys()
    for suffix, own in expected.items():
        volume, header = own.volume.numpy(), found[suffix].header
        np.testing.assert_allclose(found[suffix].volume, volume, rtol=0, atol=1e-6 * volume.max())
        np.testing.assert_allclose(header.affine(), own.header.affine(), atol=1e-3)
        assert header.frames == own.header.frames and header.located == own.header.located
        assert header.sequence == own.header.sequence
        assert found[suffix].number == own.number


@pytest.mark.parametrize("make", [phases, stacks, volume], ids=lambda one: one.__name__)
def test_volumes_are_those_of_reconstruct(make, tmp_path):
    raw = make().write(tmp_path / "scan.h5")
    with served(FLOATS) as server:
        same(received_by(server, raw), of_file(raw))


def test_files_are_those_of_reconstruct(tmp_path):
    file = echoes()
    every = [n for n, head in enumerate(file.heads) if not head["idx"]["kspace_encode_step_1"] % 2]
    file.heads, file.data = [file.heads[n] for n in every], [file.data[n] for n in every]
    raw = file.write(tmp_path / "scan.h5")
    with served(FLOATS) as server:
        words = ("input=scan.h5", "output=out", "formats=[hdf5,nifti]")
        sent(tmp_path, server, *words)
        text = sent(tmp_path, server, *words, fails=True)
        assert "existing=skip" in text and "exists" in text
        assert "all outputs are there" in sent(tmp_path, server, *words, "existing=skip")
    expected = of_file(raw)
    assert expected.keys() == {"_echo-1", "_echo-2"}
    for suffix, result in expected.items():
        write_nifti(tmp_path / "own.nii.gz", result, overwrite=True)
        own, found = (
            nibabel.load(tmp_path / f"{name}.nii.gz") for name in ("own", f"out/scan{suffix}")
        )
        np.testing.assert_allclose(found.affine, own.affine, atol=1e-3)
        np.testing.assert_allclose(found.get_fdata(), own.get_fdata(), atol=1e-5)
        with h5py.File(tmp_path / "out" / f"scan{suffix}.h5") as file:
            stored = file["reconstruction"][()]
        np.testing.assert_allclose(stored, result.volume.numpy()[0], atol=1e-5)
        text = json.loads((tmp_path / "out" / f"scan{suffix}.json").read_text())
        assert text["EchoTime"] == pytest.approx(result.header.sequence.echo_time / 1e3)
        assert "input=scan.h5" in text["mrirecon"]["Command"]
        assert text["mrirecon"]["AchievedAcceleration"] == 2


def test_whole_numbers(tmp_path):
    raw = echoes().write(tmp_path / "scan.h5")
    with served(ImageChoice("int16")) as server:
        found = received_by(server, raw)
    for suffix, result in of_file(raw).items():
        own = result.volume.numpy()
        np.testing.assert_allclose(found[suffix].volume, own, atol=own.max() / 4095 * 0.51)


def test_complex_images(tmp_path):
    raw = phases().write(tmp_path / "scan.h5")
    with served(ImageChoice("complex64"), build=cg_sense) as server:
        (found,) = received_by(server, raw).values()
    (own,) = run(open_scan(raw), cg_sense(), Request(phase=True)).results
    np.testing.assert_allclose(found.complex_volume, own.complex_volume, atol=1e-5)


def test_twix_files_get_a_header(tmp_path):
    """Also a paced one: time stamps of the vendor have a known unit."""
    truth = MrdFile((2, 2, 16, 12))
    raw = twix_files.write(tmp_path / "meas.dat", twix_files.imaging(truth))
    with served(FLOATS) as server:
        same(received_by(server, raw, pace="real"), of_file(raw))


@pytest.mark.parametrize("names", ["ab", "ba", ""], ids=["same coils", "another order", "unnamed"])
def test_noise_of_another_measurement_is_sent(names, tmp_path):
    """In the same session when the coils are the same, else in one before."""
    covariance = np.array([[4.0, 1.0j], [-1.0j, 2.0]])
    raw = MrdFile((1, 2, 16, 12)).noise(covariance).write(tmp_path / "scan.h5", "noise")
    MrdFile((1, 2, 16, 12)).lines().write(raw, "scan")
    with h5py.File(raw, "r+") as file:
        for group, named in (("noise", names), ("scan", sorted(names))):
            labels = "".join(
                f"<coilLabel><coilNumber>{n}</coilNumber><coilName>{name}</coilName></coilLabel>"
                for n, name in enumerate(named)
            )
            end = "</acquisitionSystemInformation>"
            text = file[group]["xml"][0].decode()
            file[group]["xml"][0] = text.replace(end, labels + end)
    with served(FLOATS) as server:
        found = received_by(server, raw)
    expected = of_file(raw)
    assert expected[""].header.whitened
    same(found, expected)


def test_headers_are_written_as_they_are_read():
    header = MeasurementHeader(
        encodings=(
            Encoding(
                Space((32, 16, 1), (300.5, 200.0, 5.0)),
                Space((16, 16, None), (150.0, 200.0, None)),
                {"slice": Limits(0, 3, 2), "kspace_encoding_step_1": Limits(None, 15, 7)},
                acceleration=(2.0, 1.0), calibration_mode="separate", echo_train_length=4,
                multiband=2,
            ),
            Encoding(),
        ),
        vendor="SIEMENS & <others>", model="x\x01y", field_strength=2.89, noise_bandwidth=0.79,
        coil_labels={0: "HE1", 3: "HE4"}, repetition_times=(3000.0,), echo_times=(10.5, 20.0),
        flip_angles=(15.0,), protocol="t2", subject="p1", measurement="m1",
        dependencies=(("Noise", "n1"),), patient_position="HFS", imaging_frequency=123.25,
        pilot_tone=True,
    )  # fmt: skip
    found = parse_header(header_text(header))
    assert found.model == "xy" and not found.notes
    assert {**vars(found), "model": header.model} == vars(header)


@contextmanager
def scripted(*answers, wait=True):
    """A server that sends bytes to one client, after the client has closed unless told not to."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listening.accept()[0] as connection:
            if wait:
                connection.recv(2**20)
            with suppress(OSError):  # a client that has seen enough may have left
                for answer in answers:
                    connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(2**20):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listening:
        yield listening.getsockname()
    thread.join(5)


def message(kind, *parts):
    return struct.pack("<H", kind) + b"".join(parts)


CLOSE = message(MessageId.CLOSE)


def image(pixels, meta="", **changes):
    head = np.zeros((), IMAGE_HEADER)
    codes = {"int16": 2, "uint16": 1, "float32": 5, "float64": 6, "complex64": 7}
    head["data_type"], head["channels"] = codes[pixels.dtype.name], pixels.shape[0]
    head["matrix_size"], head["field_of_view"] = pixels.shape[:0:-1], (8, 6, 5)
    head["read_dir"], head["phase_dir"], head["slice_dir"] = np.eye(3)
    for name, value in changes.items():
        head[name] = value
    return message(MessageId.IMAGE, *image_message(head[()], pixels, meta))


def kept(*answers, timeout=2.0, memory=8.0, wait=True):
    """Return the images and texts that a client keeps of a scripted server."""
    texts = []
    with scripted(*answers, wait=wait) as place:
        client = Client(socket.create_connection(place), timeout, memory, texts.append)
        return client.exchange(Order("<x/>", settings={"weight": 1}), []), texts


def scaled(slope):
    meta = f"<meta><name>RescaleSlope</name><value>{slope}</value></meta>"
    return f"<ismrmrdMeta>{meta}</ismrmrdMeta>"


ONES = np.ones((1, 1, 3, 4), np.float32)
BOMB = '<!DOCTYPE a [<!ENTITY b "c">]><ismrmrdMeta>&b;</ismrmrdMeta>'


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((message(MessageId.TEXT, text_body("ERR no\x1b[31m coils")), CLOSE), "no [31m coils"),
        ((image(ONES),), "without a CLOSE message, after 1 images"),
        ((), "without a CLOSE message, after 0 images"),
        ((b"HTTP/1.1 400 Bad Request",), "message id 21576 is unknown"),
        ((image(ONES)[:150],), "ended within a message"),
        ((message(MessageId.TEXT, struct.pack("<I", 2**32 - 1)),), "announces 4294967299 bytes"),
        ((image(ONES, BOMB),), "define entities"),
        ((image(ONES, "<a"),), "no XML"),
        ((image(ONES, "x" * 2**19),), "attributes of an image have 524288 bytes"),
        ([image(np.ones((1, 1, 512, 512), np.float32))] * 9, "more than 8 MB of images"),
        ([image(ONES)] * 300, "more than 8 MB of images"),
    ],
)
def test_servers_that_misbehave_are_named(answers, words):
    with pytest.raises(MriReconError, match=words.replace("[", r"\[")):
        kept(*answers)


def test_a_silent_server_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = Client(socket.create_connection(listening.getsockname()), 0.3, 8, print)
        with pytest.raises(MriReconError, match=r"silent for 0\.3 s after the last"):
            client.exchange(Order("<x/>"), [])


def test_a_server_may_talk_and_send_while_readouts_are_sent():
    file, texts = echoes(), []
    readouts = [Readouts(np.array(file.heads), file.data)]
    with scripted(message(MessageId.TEXT, text_body("WRN slow")), image(ONES), CLOSE) as place:
        client = Client(socket.create_connection(place), 5, 8, texts.append)
        images = client.exchange(Order("<x/>", "{}"), readouts, lambda *_: 0.001)
    assert texts == ["WRN slow"] and len(images) == 1


def received(*messages):
    found, _ = kept(*messages, CLOSE)
    scan = ScanHeader("scan.h5", "ISMRMRD", 1, 1, (8, 6), (8, 6), (8, 6))
    return volumes(found, scan, Provenance("scan.h5"))


def test_images_of_other_servers():
    """Slices out of order, a volume, numbers with a scale, and several series of one contrast."""
    meta = scaled(0.5)
    whole = np.arange(12, dtype=np.int16).reshape(1, 1, 3, 4)
    found = received(
        image(whole, meta, slice=1, position=(0, 0, 5)),
        image(2 * whole, meta, slice=0, position=(0, 0, -5)),
        image(np.stack([ONES[0, 0], 3 * ONES[0, 0]])[None], image_series_index=7),
    )
    first, second = found.series
    assert (first.suffix, second.suffix) == ("", "_series-2")
    values = first.volume.numpy()[0]
    np.testing.assert_array_equal(values[0], whole[0, 0].T)  # sorted by position; doubled, halved
    np.testing.assert_array_equal(values[1], whole[0, 0].T / 2)
    assert first.header.voxel == (2.0, 2.0, 5.0)
    np.testing.assert_array_equal(second.volume.numpy()[0, :, 0, 0], [1, 3])
    assert second.header.geometry.positions == ((0, 0, -2.5), (0, 0, 0))


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([image(np.ones((2, 1, 3, 4), np.float32))], "2 channels"),
        ([image(np.full((1, 1, 3, 4), np.nan, np.float32))], "not finite"),
        ([image(np.full((1, 1, 3, 4), 1e300))], "not finite"),
        ([image(ONES, image_type=2)], "type 2"),
        ([image(np.ones((1, 1, 3, 4), np.int16), scaled("0"))], "RescaleSlope is '0'"),
        ([image(np.ones((1, 1, 3, 4), np.int16), scaled("inf"))], "RescaleSlope is 'inf'"),
        ([image(np.ones((1, 1, 3, 4), np.int16), scaled("half"))], "RescaleSlope is 'half'"),
        ([], "it sent none"),
        ([image(ONES, slice=n, repetition=n) for n in range(9)], "9 frames at 9 places"),
    ],
)
def test_images_that_cannot_be_volumes_are_named(messages, words):
    with pytest.raises(MriReconError, match=words):
        received(*messages)


def test_probe_and_what_cannot_be_sent(tmp_path):
    with served(FLOATS) as server:
        port = server.address[1]
        assert "answers (CLOSE)" in sent(tmp_path, server)
        np.save(tmp_path / "a.npy", np.ones((2, 8, 8), np.complex64))
        text = sent(tmp_path, server, "input=a.npy", "output=out", fails=True)
        assert "sorted already" in text and "ISMRMRD" in text
        assert "qc" in sent(tmp_path, server, "input=a.npy", "output=o", "formats=qc", fails=True)
        (raw := echoes()).write(tmp_path / "scan.h5")
        text = sent(tmp_path, server, "input=scan.h5", "output=o", "pace=real", fails=True)
        assert "vendor is simulated" in text, raw.xml
    text = mrirecon("send", f"port={port}", folder=tmp_path, fails=True)
    assert "no server can be reached" in text
    with scripted(b"HTTP/1.1") as place, pytest.raises(MriReconError, match="48 54, expected"):
        probe(*place, 2)
    with scripted() as place:
        assert probe(*place, 2) == "end of the session"
    assert not (tmp_path / "o").exists() and not (tmp_path / "out").exists()


def test_text_of_a_server_cannot_steer_a_terminal():
    assert shown("WRN a\x1b]0;x\x07\nb\u202e" + "c" * 900).startswith("WRN a ]0;x b ccc")
    assert len(shown("c" * 900)) == 500
    assert read_meta(b"") == {}


def test_a_server_cannot_fill_a_log():
    said = [message(MessageId.TEXT, text_body(f"DBG {n}")) for n in range(300)]
    texts = kept(*said[:3] * 9, CLOSE)[1]
    assert texts == ["DBG 0", "DBG 1", "DBG 2"]  # each once
    texts = kept(*said, CLOSE)[1]
    assert texts[:200] == [f"DBG {n}" for n in range(200)]
    assert texts[200:] == ["the server says more; it is left out"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_places_that_are_not_finite_are_told():
    found = received(image(ONES, position=np.nan, field_of_view=np.inf))
    assert found.series[0].header.geometry is None
    assert "not finite" in found.remarks[0]
