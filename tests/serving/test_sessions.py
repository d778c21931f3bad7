"""Sessions as they are: probes, settings, noise of other sessions, and clients that misbehave."""

import json
import socket
import struct
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from mrirecon.raw.header import MeasurementHeader
from mrirecon.raw.messages import MessageId
from mrirecon.raw.mrd_records import AcquisitionFlag as Flag
from mrirecon.raw.whitening import NoiseScan
from mrirecon.serving.choosing import Named
from mrirecon.serving.images import ImageChoice
from mrirecon.serving.limits import Limits
from mrirecon.serving.noise import NoiseStore
from mrirecon.serving.parameters import parameters_of
from mrirecon.serving.recording import Folders
from mrirecon.serving.wire import Wire, name_body, text_body
from tests.readers.mrd_files import MrdFile
from tests.serving.fuzz import fuzz
from tests.serving.scanner import (
    FLOATS,
    cg_sense,
    collected,
    connected,
    header_body,
    messages_of,
    readout_body,
    served,
    session,
    zero_filled,
)
from tests.serving.test_equal_images import (
    COVARIANCE,
    ended,
    repetitions,
    separate_reference,
    slices,
)


def pixels(answer):
    return [image for _, _, image in answer.images]


def honest(server):
    """An honest session still gets its images."""
    answer = session(server, messages_of(slices((0,))))
    assert answer.closed and len(answer.images) == 1, answer.texts


def test_probes():
    with served() as server:
        socket.create_connection(server.address).close()
        answer = session(server, [(MessageId.CONFIG_FILE, name_body("x")), (MessageId.CLOSE, b"")])
        assert answer.closed and not answer.texts
        assert session(server, [(MessageId.CLOSE, b"")]).closed
        honest(server)


def test_images_come_while_readouts_still_arrive():
    file = slices()
    messages = list(messages_of(file))
    first_slice = 2 + 64 + 12
    with served() as server:
        wire = connected(server)
        for number, body in messages[:first_slice]:
            wire.send(number, body)
        while (message := wire.receive()).id != MessageId.IMAGE:
            assert message.id == MessageId.TEXT
        assert int(message.head["slice"]) == 0
        for number, body in messages[first_slice:]:
            wire.send(number, body)
        assert len(collected(wire).images) == 2
        wire.close()


def test_what_a_configuration_is_called():
    doubled = []

    def build(words):
        doubled.append(words)
        return zero_filled()

    named = {"other": Named(("model=other",), ImageChoice("complex64"))}
    number = {"type": "double", "default": 0.1, "minimum": 0, "maximum": 1}
    word = {"type": "choice", "default": "float32", "values": ["float32", "int16"]}
    allowed = {"weight": {"key": "model.weight", **number}, "pixels": {"key": "images", **word}}
    parameters = parameters_of(allowed)
    with served(build=build, named=named, parameters=parameters) as server:
        del doubled[:]
        answer = session(server, messages_of(slices((0,)), "nonsense"))
        assert "no configuration 'nonsense'" in answer.told("WRN")[0] and len(answer.images) == 1
        settings = {
            "parameters": {"config": "", "customconfig": None, "weight": "0.25", "pixels": "int16"}
        }
        answer = session(server, messages_of(slices((0,)), "default", json.dumps(settings)))
        assert not answer.told("WRN") and pixels(answer)[0].dtype == np.int16
        assert doubled == [("model.weight=0.25",)]
        settings = {"parameters": {"weight": "2", "path": "/etc/passwd", "config": "other"}}
        answer = session(server, messages_of(slices((0,)), "default", json.dumps(settings)))
        assert [text.split(":")[0] for text in answer.told("WRN")] == [
            "weight", "the setting 'path' is unknown and has no effect",
        ]  # fmt: skip
        assert doubled == [("model.weight=0.25",)]  # nothing was built for a value out of bounds
        for text in ("{", "[1]", "[" * 10**5, '{"parameters": 3}'):
            answer = session(server, messages_of(slices((0,)), "default", text))
            assert answer.told("WRN") and len(answer.images) == 1


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"key": "model.weight", "type": "string", "default": ""}, "type"),
        ({"key": "model.weight", "type": "double", "default": 1}, "both bounds"),
        ({"key": "model._target_", "type": "boolean", "default": True}, "no setting"),
        ({"key": "model", "type": "choice", "default": "a", "values": []}, "needs some words"),
        ({"key": "model.n", "type": "int", "default": 9, "minimum": 0, "maximum": 5}, "0 to 5"),
    ],
)
def test_settings_that_cannot_be_allowed(node, words):
    with pytest.raises(ValueError, match=words):
        parameters_of({"one": node})


def named_coils(file, labels=("A", "B")):
    coils = "".join(
        f"<coilLabel><coilNumber>{n}</coilNumber><coilName>{name}</coilName></coilLabel>"
        for n, name in enumerate(labels)
    )
    file.xml["vendor"] = f"simulated</systemVendor>{coils}<systemVendor>"
    return file


def test_noise_of_an_earlier_session():
    noise = named_coils(MrdFile((1, 2, 16, 12)).noise(COVARIANCE))
    scan = named_coils(ended(MrdFile((1, 2, 16, 12)).lines()))
    both = named_coils(slices((0,)))
    with served() as server:
        plain = session(server, messages_of(scan))
        answer = session(server, messages_of(noise))
        assert answer.closed and not answer.images and not answer.told("ERR"), answer.texts
        whitened = session(server, messages_of(scan))
        expected = session(server, messages_of(both))
        other = session(
            server, messages_of(named_coils(ended(MrdFile((1, 2, 16, 12)).lines()), "AC"))
        )
    np.testing.assert_allclose(pixels(whitened)[0], pixels(expected)[0], rtol=1e-5)
    assert np.abs(pixels(plain)[0] - pixels(expected)[0]).max() > 0.1
    np.testing.assert_array_equal(pixels(other)[0], pixels(plain)[0])


def test_noise_is_that_of_the_same_patient_or_named():
    coils = MeasurementHeader(coil_labels={0: "A", 1: "B"}, subject="one", measurement="m1")
    store = NoiseStore(60)
    store.keep(NoiseScan(COVARIANCE, 100, 5.0, coils.coil_labels, "x"), coils)
    assert store.find(coils) and store.find(replace(coils, subject=None))
    for changes in (
        {"subject": "two"}, {"patient_position": "FFS"}, {"coil_labels": {0: "A", 1: "C"}},
        {"coil_labels": {}},
    ):  # fmt: skip
        assert store.find(replace(coils, **changes)) is None
        named = replace(coils, **changes, dependencies=(("Noise", "m1"),))
        assert store.find(named) is not None
    assert NoiseStore(60).find(coils) is None
    old = NoiseStore(0)
    old.keep(NoiseScan(COVARIANCE, 100, 5.0, coils.coil_labels, "x"), coils)
    assert old.find(coils) is None


@pytest.mark.parametrize("told", [False, True])
def test_whole_numbers_have_one_scale_for_a_series(told):
    file = repetitions(count=4)  # each brighter than the one before
    if told:
        limit = "<repetition><minimum>0</minimum><maximum>3</maximum></repetition>"
        limits = f"<encodingLimits>{limit}</encodingLimits>"
        file.xml["trajectory"] = f"cartesian</trajectory>{limits}<trajectory>cartesian"
    with served(ImageChoice("int16")) as server, served() as floats:
        answer = session(server, messages_of(file))
        exact = session(floats, messages_of(file))
    assert len(answer.images) == len(exact.images) == 8
    slopes = {
        text.split("RescaleSlope</name><value>")[1].split("<")[0] for _, text, _ in answer.images
    }
    slope = float(*slopes)
    first = max(image.max() for image in pixels(exact)[:2])
    assert slope == pytest.approx(first * (2 if told else 1) / 4095)
    for (_, _, found), (_, _, image) in zip(answer.images, exact.images, strict=True):
        expected = np.minimum(np.rint(image / slope), 4095)
        assert np.abs(found - expected).max() <= 1
    assert "are 4095" in answer.told("WRN")[0]
    text = answer.images[0][1]
    for name in ("DataRole", "ImageComment", "WindowCenter", "Keep_image_geometry", "ImageRowDir"):
        assert f"<name>{name}</name>" in text


def test_a_given_scale_lets_slices_go_at_once():
    with served(ImageChoice("int16", 100.0)) as server, served() as floats:
        answer = session(server, messages_of(slices()))
        exact = session(floats, messages_of(slices()))
    for found, image in zip(pixels(answer), pixels(exact), strict=True):
        assert np.abs(found - np.minimum(np.rint(100 * image), 4095)).max() <= 1


LINE = MrdFile().line(0)
BROKEN = {
    "a readout before the header": (
        [(MessageId.ACQUISITION, readout_body(LINE.heads[0], LINE.data[0]))], "before the header",
    ),
    "a header that is none": ([(MessageId.HEADER, text_body("hello"))], "cannot be parsed"),
    "entities": (
        [(MessageId.HEADER, text_body('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'))],
        "document type",
    ),
    "a text of 4 GB": ([(MessageId.TEXT, struct.pack("<I", 2**32 - 1))], "announces 4294967299"),
    "an image": (
        [(MessageId.IMAGE, np.ones(198, np.uint8).tobytes() + struct.pack("<Q", 2**63))],
        "unknown data type 257",
    ),
    "nothing but a header": ([(MessageId.HEADER, header_body(LINE)), (MessageId.CLOSE, b"")], ""),
    "one line": (
        [(MessageId.HEADER, header_body(LINE)),
         (MessageId.ACQUISITION, readout_body(LINE.heads[0], LINE.data[0])),
         (MessageId.CLOSE, b"")], "no phase encoding",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_served_is_told_in_a_sentence(name):
    messages, words = BROKEN[name]
    with served() as server:
        wire = connected(server)
        for number, body in messages:
            wire.send(number, body)
        answer = collected(wire)
        wire.close()
        assert answer.closed or answer.told("ERR")
        assert not words or words in answer.told("ERR")[0], answer.texts
        assert all("Traceback" not in text and "\n" not in text for text in answer.texts)
        honest(server)


def test_an_unknown_message():
    with served() as server:
        stray = socket.create_connection(server.address)
        stray.sendall(b"GET / HTTP/1.1\r\n\r\n")
        told = stray.recv(4096)
        stray.close()
        assert b"ERR message id 17735 is unknown" in told
        honest(server)


def test_a_fault_of_ours_ends_one_session_only(monkeypatch):
    with served() as server:
        monkeypatch.setattr("mrirecon.serving.imaging.run", lambda *_: 1 / 0)
        answer = session(server, messages_of(slices((0,))))
        assert answer.told("ERR") == ["internal error of the server; see its log"]
        monkeypatch.undo()
        honest(server)


def test_a_client_that_stops_within_a_message_is_let_go():
    with served(limits=Limits(memory=64, idle=5, stalled=0.5)) as server:
        wire = connected(server)
        wire.send(MessageId.HEADER, struct.pack("<I", 100), b"<is")
        started = time.monotonic()
        assert "stopped for 0.5 s" in collected(wire).told("ERR")[0]
        assert time.monotonic() - started < 4
        wire.close()


def test_a_client_that_does_not_read_is_let_go(monkeypatch):
    monkeypatch.setattr("mrirecon.serving.wire.LINGER", 0.1)
    with served(limits=Limits(memory=64, idle=5, stalled=0.5)) as server:
        deaf = socket.create_connection(server.address)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for number, body in messages_of(repetitions(count=40)):
            deaf.sendall(struct.pack("<H", number) + body)
        honest(server)
        deaf.close()


def test_images_that_nobody_reads_are_bounded(monkeypatch):
    release, send = threading.Event(), Wire.send

    def stuck(wire, message, *parts):
        if message == MessageId.IMAGE:
            release.wait(20)
        send(wire, message, *parts)

    monkeypatch.setattr(Wire, "send", stuck)
    file = MrdFile((1, 1, 256, 256))
    for repetition in range(7):  # images of 256 KB, four of which the session may hold
        ended(file.lines(range(122, 134), repetition=repetition))
    with served(limits=Limits(memory=1, idle=20, stalled=20), total=64) as server:
        wire = connected(server)
        for number, body in messages_of(file):
            wire.send(number, body)
        deadline = time.monotonic() + 15
        while not any(one.ending for one, _ in server._living()) and time.monotonic() < deadline:
            time.sleep(0.05)
        release.set()
        assert "wait to be read" in collected(wire).told("ERR")[0]
        wire.close()


def test_memory_of_a_session_is_bounded():
    file = MrdFile((1, 2, 512, 64), xml={"calibration": "embedded"})
    file.lines()
    with served(limits=Limits(memory=1, idle=5, stalled=2), total=2) as server:
        answer = session(server, messages_of(file))
        assert "more than 1 MB" in answer.told("ERR")[0]
        honest(server)


def test_memory_of_a_long_series_does_not_grow():
    with served(limits=Limits(memory=1, idle=5, stalled=2), total=2) as server:
        file = MrdFile((1, 2, 256, 8))
        for repetition in range(30):  # 2 MB of readouts
            ended(file.lines(repetition=repetition))
        answer = session(server, messages_of(file))
        assert not answer.told("ERR"), answer.texts
        assert len(answer.images) == 30


def test_more_clients_than_places():
    with served(sessions=1) as server:
        first = connected(server)
        first.send(MessageId.CONFIG_FILE, name_body("default"))
        time.sleep(0.2)
        second = connected(server)
        answer = collected(second)
        assert "1 clients are connected" in answer.told("ERR")[0] and answer.closed
        first.send(MessageId.CLOSE)
        assert collected(first).closed
        for wire in (first, second):
            wire.close()


def test_twenty_clients_at_once():
    answers = []
    with served(sessions=20) as server:

        def client():
            answers.append(session(server, messages_of(slices((0,)))))

        threads = [threading.Thread(target=client) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(answer.images) for answer in answers] == [1] * 20


def test_shutting_down_finishes_what_is_complete_and_aborts_the_rest():
    with served() as server:
        wire = connected(server)
        for number, body in list(messages_of(slices()))[:-5]:
            wire.send(number, body)
        time.sleep(0.5)
        told = server.close(grace=5)
        assert told == "0 sessions finished, 1 aborted"
        assert "shuts down" in collected(wire).told("ERR")[0]
        wire.close()


def test_what_came_can_be_saved(tmp_path):
    with served(FLOATS, folders=Folders(messages=tmp_path)) as server:
        messages = list(messages_of(slices()))
        session(server, messages)
        socket.create_connection(server.address).close()
        time.sleep(0.3)
    (saved,) = tmp_path.iterdir()
    stream = b"".join(struct.pack("<H", number) + body for number, body in messages)
    assert saved.suffix == ".mrd" and saved.read_bytes() == stream


def test_lines_that_come_too_late_are_told():
    file = repetitions(count=3)
    file.line(3, 0, repetition=0)
    with served() as server:
        answer = session(server, messages_of(file))
    assert "1 readouts came after a later repetition" in answer.told("WRN")[0]
    assert len(answer.images) == 6


def test_navigators_are_refused_as_in_a_file():
    file = slices((0,))
    file.line(0, 0, flags=(Flag.PHASECORR_DATA,))
    with served() as server:
        answer = session(server, messages_of(file))
    assert answer.closed


def test_a_short_fuzz(monkeypatch):
    monkeypatch.setattr("mrirecon.serving.wire.LINGER", 0.1)
    fuzz(10, seed=1)


def test_a_quality_page_of_each_session(tmp_path):
    with served(FLOATS, folders=Folders(pages=tmp_path), build=cg_sense) as server:
        good = session(server, messages_of(separate_reference()))
        session(server, messages_of(MrdFile((1, 2, 16, 12)).noise(COVARIANCE)))
    assert good.closed and not good.told("ERR"), good.texts
    (page,) = tmp_path.iterdir()
    text = page.read_text(encoding="utf-8")
    assert page.name.endswith("-session-1_qc.html") and "CgSense" in text
    assert "subject-1" not in text and "tse_t2" in text


def test_trouble_with_a_quality_page_costs_no_image(tmp_path):
    with served(FLOATS, folders=Folders(pages=tmp_path / "none")) as server:
        answer = session(server, messages_of(slices((0,))))
    assert answer.closed and len(answer.images) == 1 and not answer.told("ERR")


def test_contrasts_and_sets_are_series_of_their_own():
    """The header does not tell how many of them there are."""
    file = MrdFile((1, 2, 16, 12))
    for contrast, set_, gain in ((0, 0, 1), (0, 1, 100), (1, 0, 10000)):
        ended(file.lines(gain=gain, contrast=contrast, set=set_))
    with served(ImageChoice("int16")) as server:
        answer = session(server, messages_of(file))
    found = [(int(h["image_series_index"]), int(p.max())) for h, _, p in answer.images]
    assert found == [(1, 4095), (2, 4095), (3, 4095)]
